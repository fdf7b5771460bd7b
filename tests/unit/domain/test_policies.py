"""Literal snapshots in, verdicts out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestflow.domain import settings as s
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.policies.expiration import KeepAll, KeepLatest, KeepTopRanked, MaxAge
from forestflow.domain.policies.phase_in import (
    ImmediatePhaseIn,
    LinearTimeBasedPhaseIn,
    ManualPhaseIn,
    PhaseInStep,
    StepPhaseIn,
)
from forestflow.domain.policies.routers import (
    FairPhaseInPctBasedRouter,
    LatestPhaseInPctBasedRouter,
    PerformanceRouter,
    StickyRouter,
)
from forestflow.domain.policies.validity import (
    ImmediatelyValid,
    MinServedEventsBasedValidity,
    NeverValid,
    PerformanceBasedValidity,
    TimeBasedValidity,
)
from forestflow.domain.policies.view import Ordering
from forestflow.domain.verdicts import ReleaseSnapshot, expired, is_valid, percent_of, shares

CONTRACT = Contract("o", "p", 0)


def release(name="r", *, created=0, valid=None, events=0, metrics=None, rules=None, phase_in=None):
    policy = s.PolicySettings(rules if rules is not None else (ImmediatelyValid(),), phase_in or ImmediatePhaseIn())
    return ReleaseSnapshot(Fqrv(CONTRACT, name), s.ServableSettings(policy), created, valid, events, metrics or {})


@pytest.mark.parametrize(
    ("rule", "snapshot", "now", "holds"),
    [
        (ImmediatelyValid(), release(), 0, True),
        (NeverValid(), release(), 10**15, False),
        (TimeBasedValidity(1000), release(created=500), 1499, False),
        (TimeBasedValidity(1000), release(created=500), 1500, True),
        (TimeBasedValidity(0), release(created=500), 400, False),  # the clock stepped back
        (MinServedEventsBasedValidity(3), release(events=2), 0, False),
        (MinServedEventsBasedValidity(3), release(events=3), 0, True),
        (PerformanceBasedValidity(0.8), release(), 0, False),
        (PerformanceBasedValidity(0.8), release(metrics={"auc": 0.79}), 0, False),
        (PerformanceBasedValidity(0.8), release(metrics={"auc": 0.8}), 0, True),
    ],
)
def test_rules(rule, snapshot, now, holds):
    assert rule.holds(snapshot, now, None) is holds


def test_all_rules_must_hold_and_valid_stays_valid():
    rules = (TimeBasedValidity(10), MinServedEventsBasedValidity(5))
    assert not is_valid(release(rules=rules, events=5), 9)
    assert not is_valid(release(rules=rules, events=4), 10)
    assert is_valid(release(rules=rules, events=5), 10)
    assert is_valid(release(rules=(NeverValid(),), valid=3), 4)
    assert is_valid(release(rules=()), 0)


@pytest.mark.parametrize(
    ("policy", "now", "percent"),
    [
        (ImmediatePhaseIn(), 1000, 100),
        (LinearTimeBasedPhaseIn(0), 1000, 100),
        (LinearTimeBasedPhaseIn(10), 900, 0),  # before it became valid: the clock stepped back
        (LinearTimeBasedPhaseIn(10), 1000, 0),
        (LinearTimeBasedPhaseIn(10), 6000, 50),
        (LinearTimeBasedPhaseIn(10), 10_999, 99),
        (LinearTimeBasedPhaseIn(10), 11_000, 100),
        (LinearTimeBasedPhaseIn(10), 10**15, 100),
    ],
)
def test_phase_in_of_a_release_valid_since_1000(policy, now, percent):
    assert percent_of(release(valid=1000, phase_in=policy), now) == percent


@given(st.integers(0, 10_000), st.lists(st.integers(-(10**9), 10**9), min_size=2))
def test_phase_in_is_monotonic_and_within_bounds(seconds, times):
    percents = [percent_of(release(valid=0, phase_in=LinearTimeBasedPhaseIn(seconds)), now) for now in sorted(times)]
    assert percents == sorted(percents)
    assert all(0 <= p <= 100 for p in percents)


@pytest.mark.parametrize(
    ("policy", "elapsed_s", "percent"),
    [
        (ManualPhaseIn(37), 0, 37),
        (StepPhaseIn((PhaseInStep(0, 5), PhaseInStep(60, 50), PhaseInStep(120, 100))), -5, 5),
        (StepPhaseIn((PhaseInStep(0, 5), PhaseInStep(60, 50), PhaseInStep(120, 100))), 59.9, 5),
        (StepPhaseIn((PhaseInStep(0, 5), PhaseInStep(60, 50), PhaseInStep(120, 100))), 60, 50),
        (StepPhaseIn((PhaseInStep(10, 80),)), 9, 0),
        (StepPhaseIn((PhaseInStep(10, 80),)), 10**6, 80),
    ],
)
def test_our_own_phase_ins(policy, elapsed_s, percent):
    assert percent_of(release(valid=10_000, phase_in=policy), 10_000 + int(elapsed_s * 1000)) == percent


def test_the_default_metric_decides_where_none_is_named():
    candidate = release(metrics={"auc": 0.9, "f1": 0.1}, rules=(PerformanceBasedValidity(0.8),))
    assert is_valid(candidate, 0, "auc")
    assert not is_valid(candidate, 0, "f1")
    assert not is_valid(candidate, 0)


def names(fqrvs):
    return [f.release_version for f in fqrvs]


def test_keep_latest_keeps_those_that_became_valid_last():
    releases = [release("a", valid=1), release("b", valid=3), release("c", valid=2)]
    assert names(expired(KeepLatest(1), releases, 0)) == ["c", "a"]
    assert names(expired(KeepLatest(3), releases, 0)) == []
    # same instant: the one created later counts as later
    twins = [release("old", valid=1, created=0), release("new", valid=1, created=1)]
    assert names(expired(KeepLatest(1), twins, 0)) == ["old"]


def test_keep_top_ranked_ranks_missing_metrics_last_and_ties_by_age():
    releases = [
        release("best", valid=1, metrics={"auc": 0.9}),
        release("none", valid=9),
        release("tie-old", valid=2, metrics={"auc": 0.5}),
        release("tie-new", valid=3, metrics={"auc": 0.5}),
    ]
    assert names(expired(KeepTopRanked(1, "auc"), releases, 0)) == ["tie-new", "tie-old", "none"]
    assert names(expired(KeepTopRanked(1, "auc", Ordering.ASC), releases, 0)) == ["tie-old", "best", "none"]
    assert names(expired(KeepTopRanked(9, "auc"), releases, 0)) == []


def test_keep_all_and_max_age():
    releases = [release("a", valid=0), release("b", valid=1000), release("c", valid=2000)]
    assert expired(KeepAll(), releases, 10**9) == []
    assert names(expired(MaxAge(2), releases, 2999)) == ["a"]
    assert names(expired(MaxAge(2), releases, 10**9)) == ["b", "a"], "the last one stays"


def weights(router, releases, now=0, **contract):
    settings = s.ContractSettings(router=router, **contract)
    return {f.release_version: w for f, w in shares(settings, releases, now).items()}


def test_performance_router_shares_by_metric_and_explores():
    releases = [
        release("good", valid=0, metrics={"auc": 0.9}),
        release("fair", valid=0, metrics={"auc": 0.3}),
        release("new", valid=0),
    ]
    # 10 % for all alike, 90 % as 3 : 1
    assert weights(PerformanceRouter("auc", 0.3), releases) == {"good": 6250, "fair": 2750, "new": 1000}
    assert weights(PerformanceRouter("auc", 0.0), releases) == {"good": 7500, "fair": 2500}
    # 1/0.9 : 1/0.3 = 1 : 3
    assert weights(PerformanceRouter("auc", 0.0, Ordering.ASC), releases) == {"good": 2500, "fair": 7500}
    by_default = weights(PerformanceRouter(None, 0.0), releases, metrics=s.MetricSettings("auc"))
    assert by_default == {"good": 7500, "fair": 2500}
    nobody_knows = [release("a", valid=0), release("b", valid=0)]
    assert weights(PerformanceRouter("auc", 0.0), nobody_knows) == {"a": 5000, "b": 5000}


def test_the_tiniest_metric_is_no_infinity():
    releases = [release("a", valid=0, metrics={"loss": 5e-324}), release("b", valid=0, metrics={"loss": 1.0})]
    assert weights(PerformanceRouter("loss", 0.1, Ordering.ASC), releases) == {"a": 9500, "b": 500}


def test_sticky_router_weighs_by_percent():
    releases = [release("a", valid=0), release("b", valid=0, phase_in=ManualPhaseIn(20))]
    assert weights(StickyRouter("user"), releases) == {"a": 100, "b": 20}


def test_fair_router_shares_by_percent():
    releases = [release("a", valid=0), release("b", valid=0, phase_in=LinearTimeBasedPhaseIn(100))]
    assert weights(FairPhaseInPctBasedRouter(), releases, 25_000) == {"a": 100, "b": 25}
    assert weights(FairPhaseInPctBasedRouter(), releases, 0) == {"a": 100}


def test_latest_router_takes_the_last_and_the_one_before_it_until_phased_in():
    releases = [
        release("a", valid=0),
        release("b", valid=1),
        release("c", valid=2, phase_in=LinearTimeBasedPhaseIn(1)),
    ]
    assert weights(LatestPhaseInPctBasedRouter(), releases, 502) == {"c": 50, "b": 100}
    assert weights(LatestPhaseInPctBasedRouter(), releases, 1002) == {"c": 100}


def test_somebody_must_answer_even_at_zero_percent():
    lone = [release("a", valid=5, phase_in=LinearTimeBasedPhaseIn(100))]
    assert percent_of(lone[0], 5) == 0
    assert weights(FairPhaseInPctBasedRouter(), lone, 5) == {"a": 1}
    assert weights(FairPhaseInPctBasedRouter(), []) == {}
