"""Valid at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.policies.validity.base import Rule
from forestflow.domain.policies.view import ReleaseView


@dataclass(frozen=True, slots=True)
class ImmediatelyValid(Rule):
    """The release is valid as soon as it is loaded."""

    FORM: ClassVar[str] = "immediately"

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        return cls() if kind == "immediately" and not value else None

    def holds(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> bool:
        return True

    def detail(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> str:
        return "always holds"
