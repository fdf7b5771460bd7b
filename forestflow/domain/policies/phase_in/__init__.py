"""Phase-in: how fast a valid release gets its share."""

from forestflow.domain.policies.phase_in.immediate import ImmediatePhaseIn
from forestflow.domain.policies.phase_in.linear import LinearTimeBasedPhaseIn
from forestflow.domain.policies.phase_in.manual import ManualPhaseIn
from forestflow.domain.policies.phase_in.steps import PhaseInStep, StepPhaseIn

__all__ = ["ImmediatePhaseIn", "LinearTimeBasedPhaseIn", "ManualPhaseIn", "PhaseInPolicy", "PhaseInStep", "StepPhaseIn"]

PhaseInPolicy = ImmediatePhaseIn | LinearTimeBasedPhaseIn | StepPhaseIn | ManualPhaseIn
