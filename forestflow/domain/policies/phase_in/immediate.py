"""Phase a release in all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.policies.phase_in.base import PhaseIn


@dataclass(frozen=True, slots=True)
class ImmediatePhaseIn(PhaseIn):
    """The release takes 100 % of its share from the moment it is valid."""

    FORM: ClassVar[str] = "immediate"

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        return cls() if kind == "immediate" and not value else None

    def percent_at(self, elapsed_ms: int) -> int:
        return 100
