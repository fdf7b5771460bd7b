"""What users are told, and what simulations foretell, against literal snapshots."""

import pytest

from forestflow.domain import settings as s
from forestflow.domain.errors import Invalid
from forestflow.domain.explain import explain
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.policies.expiration import KeepAll, KeepLatest, MaxAge
from forestflow.domain.policies.phase_in import ImmediatePhaseIn, LinearTimeBasedPhaseIn, PhaseInStep, StepPhaseIn
from forestflow.domain.policies.validity import (
    ImmediatelyValid,
    MinServedEventsBasedValidity,
    NeverValid,
    PerformanceBasedValidity,
    TimeBasedValidity,
)
from forestflow.domain.simulate import simulate
from forestflow.domain.verdicts import ReleaseSnapshot

CONTRACT = Contract("o", "p", 0)


def fqrv(name):
    return Fqrv(CONTRACT, name)


def release(name, *rules, created=0, valid=None, events=0, metrics=None, phase_in=None, **settings):
    policy = s.PolicySettings(rules or (ImmediatelyValid(),), phase_in or ImmediatePhaseIn())
    return ReleaseSnapshot(fqrv(name), s.ServableSettings(policy, **settings), created, valid, events, metrics or {})


def only(snapshot, now=0, **contract):
    (explained,) = explain(CONTRACT, s.ContractSettings(**contract), [snapshot], now).releases
    return explained


def test_a_release_that_waits_says_for_what_and_until_when():
    rules = (TimeBasedValidity(1000), ImmediatelyValid(), TimeBasedValidity(400))
    explained = only(release("r", *rules, created=100), 300)
    assert [(r.rule, r.holds, r.changes_at_ms) for r in explained.rules] == [
        ("TimeBasedValidity", False, 1100),
        ("ImmediatelyValid", True, None),
        ("TimeBasedValidity", False, 500),
    ]
    assert explained.rules[0].detail == "200 ms old, needs 1000 ms"
    assert (explained.valid, explained.weight, explained.changes_at_ms) == (False, 0, 1100)
    assert "waits for TimeBasedValidity and TimeBasedValidity" in explained.reason


def test_what_time_alone_does_not_change_has_no_time():
    rules = (TimeBasedValidity(1000), MinServedEventsBasedValidity(10), NeverValid())
    explained = only(release("r", *rules, events=3))
    assert explained.changes_at_ms is None
    assert explained.rules[1].detail == "3 events served, needs 10"
    assert explained.rules[2].detail == "never holds"


@pytest.mark.parametrize(
    ("metrics", "name", "default", "detail"),
    [
        ({}, "auc", None, "auc: nothing reported, needs 0.8"),
        ({"auc": 0.5}, "auc", None, "auc: 0.5, needs 0.8"),
        ({"auc": 0.5}, None, "auc", "auc: 0.5, needs 0.8"),
        ({"auc": 0.5}, None, None, "the only metric reported: 0.5, needs 0.8"),
    ],
)
def test_performance_is_told_with_its_numbers(metrics, name, default, detail):
    snapshot = release("r", PerformanceBasedValidity(0.8, name), metrics=metrics)
    assert only(snapshot, metrics=s.MetricSettings(default)).rules[0].detail == detail


def test_shares_and_the_next_change_of_a_phase_in():
    releases = [
        release("a", valid=0),
        release("b", valid=0, phase_in=LinearTimeBasedPhaseIn(100), shadow=s.ShadowSettings(enabled=True)),
        release("c", valid=0, phase_in=StepPhaseIn((PhaseInStep(10, 0), PhaseInStep(60, 100)))),
    ]
    plan = explain(CONTRACT, s.ContractSettings(KeepAll()), releases, 25_500)
    assert [(r.weight, r.phase_in_pct, r.changes_at_ms) for r in plan.releases] == [
        (100, 100, None),
        (25, 25, 26_000),
        (0, 0, 60_000),
    ]
    assert [r.share for r in plan.releases] == [0.8, 0.2, 0.0]
    assert [r.shadows for r in plan.releases] == [False, True, False]
    assert "25 of 125 by the FairPhaseInPctBasedRouter" in plan.releases[1].reason
    assert "gives it nothing at 0 % phase-in" in plan.releases[2].reason


def test_failures_and_expiry():
    releases = [release("a", valid=0), release("b", valid=1)]
    plan = explain(CONTRACT, s.ContractSettings(), releases, 2, {fqrv("b"): "the disk is bad"})
    assert plan.releases[1].reason == "it cannot answer: the disk is bad"
    assert plan.releases[0].share == 1.0
    assert plan.expiring == (fqrv("a"),)
    aging = explain(CONTRACT, s.ContractSettings(MaxAge(5)), [release("a", valid=1000)], 2000)
    assert aging.releases[0].changes_at_ms == 6000


def timeline(settings, releases, **options):
    points = simulate(settings, releases, 0, **{"horizon_ms": 10_000, "step_ms": 1000, **options})
    return [
        (p.at_ms, {f.release_version: round(share, 3) for f, share in p.shares.items()}, [*map(str, p.expired)])
        for p in points
    ]


def test_a_simulated_canary():
    releases = [
        release("old", valid=-1),
        release("new", TimeBasedValidity(2000), phase_in=LinearTimeBasedPhaseIn(4)),
    ]
    assert timeline(s.ContractSettings(KeepAll()), releases) == [
        (0, {"old": 1.0}, []),
        (2000, {"old": 1.0}, []),
        (3000, {"old": 0.8, "new": 0.2}, []),
        (4000, {"old": 0.667, "new": 0.333}, []),
        (5000, {"old": 0.571, "new": 0.429}, []),
        (6000, {"old": 0.5, "new": 0.5}, []),
    ]


def test_a_simulated_shadow_becomes_valid_by_its_events_and_replaces_the_old_one():
    shadow = release("new", MinServedEventsBasedValidity(45), shadow=s.ShadowSettings(enabled=True, sample_percent=50))
    points = timeline(s.ContractSettings(KeepLatest(1)), [release("old", valid=-1), shadow], events_per_second=20)
    assert points == [(0, {"old": 1.0}, []), (5000, {"new": 1.0}, ["o.p.0.old"])]


@pytest.mark.parametrize(
    "bad",
    [
        {"horizon_ms": 0},
        {"step_ms": 0},
        {"step_ms": 1, "horizon_ms": 10**6},
        {"events_per_second": -1},
        {"events_per_second": float("nan")},
        {"events_per_second": float("inf")},
    ],
)
def test_simulations_that_make_no_sense(bad):
    with pytest.raises(Invalid):
        timeline(s.ContractSettings(), [], **bad)
