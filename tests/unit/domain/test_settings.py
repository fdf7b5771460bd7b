import math

import pytest

from forestflow.domain import settings as s
from forestflow.domain.errors import InvalidSettings


@pytest.mark.parametrize(
    "make",
    [
        lambda: s.TimeBasedValidity(-1),
        lambda: s.PerformanceBasedValidity(math.nan),
        lambda: s.MinServedEventsBasedValidity(-1),
        lambda: s.LinearTimeBasedPhaseIn(-1),
        lambda: s.KeepLatest(0),
        lambda: s.KeepTopRanked(0, "auc"),
        lambda: s.KeepTopRanked(1, ""),
        lambda: s.Resources(cpu=-1),
        lambda: s.Resources(gpu=math.inf),
        lambda: s.Resources(memory_mb=-5),
        lambda: s.DeploymentSettings(replicas=0),
        lambda: s.DeploymentSettings(replicas=1001),
        lambda: s.DeploymentSettings(max_queued=0),
        lambda: s.DeploymentSettings(timeout_seconds=0),
        lambda: s.DeploymentSettings(timeout_seconds=86_401),
        lambda: s.ServableSettings(logging_settings=s.LoggingSettings(s.LogLevel.FULL)),
        lambda: s.PerformanceBasedValidity(0.5, ""),
        lambda: s.StepPhaseIn(()),
        lambda: s.StepPhaseIn((s.PhaseInStep(0, 101),)),
        lambda: s.StepPhaseIn((s.PhaseInStep(-1, 10),)),
        lambda: s.StepPhaseIn((s.PhaseInStep(0, 50), s.PhaseInStep(10, 40))),
        lambda: s.StepPhaseIn((s.PhaseInStep(10, 50), s.PhaseInStep(10, 60))),
        lambda: s.ManualPhaseIn(101),
        lambda: s.MaxAge(0),
        lambda: s.PerformanceRouter("auc", 1.5),
        lambda: s.PerformanceRouter(""),
        lambda: s.ContractSettings(router=s.PerformanceRouter()),
        lambda: s.StickyRouter(""),
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
    assert s.ContractSettings() == s.ContractSettings(s.KeepLatest(1), s.FairPhaseInPctBasedRouter())
    assert s.ServableSettings().policy_settings == s.PolicySettings((s.ImmediatelyValid(),), s.ImmediatePhaseIn())
    assert s.DeploymentSettings().replicas == 1


def test_a_release_shadows_when_logged_unless_told_otherwise():
    logged = s.LoggingSettings(s.LogLevel.SAMPLE, ("id",))
    assert not s.ServableSettings().shadows
    assert s.ServableSettings(logging_settings=logged).shadows
    assert not s.ServableSettings(logging_settings=logged, shadow=s.ShadowSettings(enabled=False)).shadows
    assert s.ServableSettings(shadow=s.ShadowSettings(enabled=True)).shadows
