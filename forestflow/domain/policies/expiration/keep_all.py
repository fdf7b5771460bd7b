"""Keep all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.ids import Fqrv
from forestflow.domain.policies.expiration.base import Expiration
from forestflow.domain.policies.view import ReleaseView


@dataclass(frozen=True, slots=True)
class KeepAll(Expiration):
    """Nothing expires by itself."""

    FORM: ClassVar[str] = "all"

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        return cls() if kind == "all" and not value else None

    def expired(self, latest_first: Sequence[ReleaseView], now_ms: int) -> list[Fqrv]:
        return []
