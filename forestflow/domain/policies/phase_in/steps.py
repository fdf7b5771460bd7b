"""Phase a release in by steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.policies.phase_in.base import PhaseIn

_STEP = re.compile(r"([0-9]+)=([0-9]+)")


@dataclass(frozen=True, slots=True)
class PhaseInStep:
    """From ``after_secs`` seconds after the release became valid on: ``percent``."""

    after_secs: int
    percent: int

    def __str__(self) -> str:
        return f"{self.after_secs}:{self.percent}"


@dataclass(frozen=True, slots=True)
class StepPhaseIn(PhaseIn):
    """The percent is 0 before the first step, then that of the last step that was reached. Steps only go up."""

    FORM: ClassVar[str] = "steps:SECONDS=PERCENT,…"

    steps: tuple[PhaseInStep, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise InvalidSettings("StepPhaseIn needs at least one step")
        for step in self.steps:
            if step.after_secs < 0 or not 0 <= step.percent <= 100:
                raise InvalidSettings("a step of StepPhaseIn needs afterSecs of at least 0 and a percent in 0..100")
        for earlier, later in pairwise(self.steps):
            if later.after_secs <= earlier.after_secs or later.percent < earlier.percent:
                raise InvalidSettings("the steps of StepPhaseIn must come in the order of time, and never go down")

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        found = [_STEP.fullmatch(step) for step in value.split(",")]
        steps = [PhaseInStep(int(step[1]), int(step[2])) for step in found if step]
        return cls(tuple(steps)) if kind == "steps" and len(steps) == len(found) else None

    def percent_at(self, elapsed_ms: int) -> int:
        return max((step.percent for step in self.steps if elapsed_ms >= step.after_secs * 1000), default=0)

    def changes_at(self, elapsed_ms: int) -> int | None:
        return next((at for step in self.steps if (at := step.after_secs * 1000) > elapsed_ms), None)
