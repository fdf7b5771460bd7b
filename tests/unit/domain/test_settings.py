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
    ],
)
def test_refuses_what_makes_no_sense(make):
    with pytest.raises(InvalidSettings):
        make()


def test_defaults_are_the_originals():
    assert s.ContractSettings() == s.ContractSettings(s.KeepLatest(1), s.FairPhaseInPctBasedRouter())
    assert s.ServableSettings().policy_settings == s.PolicySettings((s.ImmediatelyValid(),), s.ImmediatePhaseIn())
    assert s.DeploymentSettings().replicas == 1
