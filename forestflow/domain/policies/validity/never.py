"""Never valid: for a release that only shadows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.policies.validity.base import Rule
from forestflow.domain.policies.view import ReleaseView


@dataclass(frozen=True, slots=True)
class NeverValid(Rule):
    """The release never answers users; it may shadow."""

    FORM: ClassVar[str] = "never"

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        return cls() if kind == "never" and not value else None

    def holds(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> bool:
        return False

    def detail(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> str:
        return "never holds"
