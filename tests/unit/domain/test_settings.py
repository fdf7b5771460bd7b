import math

import pytest

from forestflow.domain import settings as s
from forestflow.domain.errors import InvalidSettings
from forestflow.domain.policies.expiration import KeepLatest, KeepTopRanked, MaxAge
from forestflow.domain.policies.phase_in import (
    ImmediatePhaseIn,
    LinearTimeBasedPhaseIn,
    ManualPhaseIn,
    PhaseInStep,
    StepPhaseIn,
)
from forestflow.domain.policies.routers import FairPhaseInPctBasedRouter, PerformanceRouter, StickyRouter
from forestflow.domain.policies.validity import (
    ImmediatelyValid,
    MinServedEventsBasedValidity,
    PerformanceBasedValidity,
    TimeBasedValidity,
)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TimeBasedValidity(-1),
        lambda: PerformanceBasedValidity(math.nan),
        lambda: MinServedEventsBasedValidity(-1),
        lambda: LinearTimeBasedPhaseIn(-1),
        lambda: KeepLatest(0),
        lambda: KeepTopRanked(0, "auc"),
        lambda: KeepTopRanked(1, ""),
        lambda: s.Resources(cpu=-1),
        lambda: s.Resources(gpu=math.inf),
        lambda: s.Resources(memory_mb=-5),
        lambda: s.DeploymentSettings(replicas=0),
        lambda: s.DeploymentSettings(replicas=1001),
        lambda: s.DeploymentSettings(max_queued=0),
        lambda: s.DeploymentSettings(timeout_seconds=0),
        lambda: s.DeploymentSettings(timeout_seconds=86_401),
        lambda: s.ServableSettings(logging_settings=s.LoggingSettings(s.LogLevel.FULL)),
        lambda: PerformanceBasedValidity(0.5, ""),
        lambda: StepPhaseIn(()),
        lambda: StepPhaseIn((PhaseInStep(0, 101),)),
        lambda: StepPhaseIn((PhaseInStep(-1, 10),)),
        lambda: StepPhaseIn((PhaseInStep(0, 50), PhaseInStep(10, 40))),
        lambda: StepPhaseIn((PhaseInStep(10, 50), PhaseInStep(10, 60))),
        lambda: ManualPhaseIn(101),
        lambda: MaxAge(0),
        lambda: PerformanceRouter("auc", 1.5),
        lambda: PerformanceRouter(""),
        lambda: s.ContractSettings(router=PerformanceRouter()),
        lambda: StickyRouter(""),
        lambda: s.MetricSettings(window=0),
        lambda: s.MetricSettings(alpha=0),
        lambda: s.MetricSettings(""),
        lambda: s.ShadowSettings(sample_percent=101),
        lambda: s.ShadowSettings(max_backlog=-1),
    ],
)
def test_refuses_what_makes_no_sense(make):
    with pytest.raises(InvalidSettings):
        make()


def test_defaults_are_the_originals():
    assert s.ContractSettings() == s.ContractSettings(KeepLatest(1), FairPhaseInPctBasedRouter())
    assert s.ServableSettings().policy_settings == s.PolicySettings((ImmediatelyValid(),), ImmediatePhaseIn())
    assert s.DeploymentSettings().replicas == 1


def test_a_release_shadows_when_logged_unless_told_otherwise():
    logged = s.LoggingSettings(s.LogLevel.SAMPLE, ("id",))
    assert not s.ServableSettings().shadows
    assert s.ServableSettings(logging_settings=logged).shadows
    assert not s.ServableSettings(logging_settings=logged, shadow=s.ShadowSettings(enabled=False)).shadows
    assert s.ServableSettings(shadow=s.ShadowSettings(enabled=True)).shadows
