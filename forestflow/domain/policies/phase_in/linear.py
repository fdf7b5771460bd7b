"""Phase a release in steadily with time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.policies import forms
from forestflow.domain.policies.phase_in.base import PhaseIn


@dataclass(frozen=True, slots=True)
class LinearTimeBasedPhaseIn(PhaseIn):
    """The percent grows from 0 to 100 in ``phase_in_over_secs`` seconds after the release became valid."""

    FORM: ClassVar[str] = "linear:SECONDS"

    phase_in_over_secs: int

    def __post_init__(self) -> None:
        if self.phase_in_over_secs < 0:
            raise InvalidSettings("phaseInOverSecs must not be negative")

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        seconds = forms.whole(value) if kind == "linear" else None
        return None if seconds is None else cls(seconds)

    def percent_at(self, elapsed_ms: int) -> int:
        # elapsed / (seconds * 1000) * 100
        return 100 if self.phase_in_over_secs == 0 else min(100, elapsed_ms // self._ms_per_percent)

    def changes_at(self, elapsed_ms: int) -> int | None:
        percent = self.percent_at(elapsed_ms)
        return None if percent >= 100 else (percent + 1) * self._ms_per_percent

    @property
    def _ms_per_percent(self) -> int:
        return self.phase_in_over_secs * 10
