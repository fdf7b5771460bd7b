"""Phase a release in by hand: its percentage is what somebody set last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.policies import forms
from forestflow.domain.policies.phase_in.base import PhaseIn


@dataclass(frozen=True, slots=True)
class ManualPhaseIn(PhaseIn):
    """The percent is whatever was last set."""

    FORM: ClassVar[str] = "manual:PERCENT"

    percent: int

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise InvalidSettings(f"the percent of ManualPhaseIn must be in 0..100, got {self.percent}")

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        percent = forms.whole(value) if kind == "manual" else None
        return None if percent is None else cls(percent)

    def percent_at(self, elapsed_ms: int) -> int:
        return self.percent
