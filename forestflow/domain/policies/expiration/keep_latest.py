"""Keep the newest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.ids import Fqrv
from forestflow.domain.policies import forms
from forestflow.domain.policies.expiration.base import Expiration, check_keep
from forestflow.domain.policies.view import ReleaseView


@dataclass(frozen=True, slots=True)
class KeepLatest(Expiration):
    """The valid releases that became valid last are kept."""

    FORM: ClassVar[str] = "latest:COUNT"

    servables_to_keep: int

    def __post_init__(self) -> None:
        check_keep(self.servables_to_keep)

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        keep = forms.whole(value) if kind == "latest" else None
        return None if keep is None else cls(keep)

    def expired(self, latest_first: Sequence[ReleaseView], now_ms: int) -> list[Fqrv]:
        return [release.fqrv for release in latest_first[self.servables_to_keep :]]
