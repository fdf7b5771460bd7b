"""Expire with age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.ids import Fqrv
from forestflow.domain.policies import forms
from forestflow.domain.policies.expiration.base import Expiration
from forestflow.domain.policies.view import ReleaseView


@dataclass(frozen=True, slots=True)
class MaxAge(Expiration):
    """Releases that have been valid for ``max_age_secs`` seconds go, but never the one that became valid last."""

    FORM: ClassVar[str] = "age:SECONDS"

    max_age_secs: int

    def __post_init__(self) -> None:
        if self.max_age_secs < 1:
            raise InvalidSettings(f"maxAgeSecs must be at least 1, got {self.max_age_secs}")

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        seconds = forms.whole(value) if kind == "age" else None
        return None if seconds is None else cls(seconds)

    def expired(self, latest_first: Sequence[ReleaseView], now_ms: int) -> list[Fqrv]:
        return [r.fqrv for r in latest_first[1:] if now_ms >= self.expires_at(r.became_valid_at_ms or 0)]

    def expires_at(self, became_valid_at_ms: int) -> int:
        return became_valid_at_ms + self.max_age_secs * 1000
