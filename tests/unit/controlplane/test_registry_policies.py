"""Policies in the registry: metrics, validity that comes and goes, history, rollback, simulation."""

from __future__ import annotations

import pytest

from forestflow.controlplane.clock import SteadyClock
from forestflow.domain import settings as s
from forestflow.domain.errors import Invalid, LoadFailed
from forestflow.domain.events import ContractSet, MetricReported, ServableBecameInvalid, ServableDeployed
from forestflow.domain.ids import Contract
from forestflow.domain.metrics import MAX_METRICS, MetricReport, Sample
from forestflow.domain.policies.expiration import KeepAll, KeepLatest, MaxAge
from forestflow.domain.policies.phase_in import LinearTimeBasedPhaseIn, ManualPhaseIn
from forestflow.domain.policies.routers import PerformanceRouter
from forestflow.domain.policies.validity import NeverValid, PerformanceBasedValidity
from forestflow.domain.refusals import UnknownContract, UnknownServable
from forestflow.domain.reports import Counts
from forestflow.domain.simulate import Proposal
from tests.unit.controlplane.test_registry import CONTRACT, World, fqrv, plan_of, request, until

KEEP = s.ContractSettings(KeepAll(), metrics=s.MetricSettings("auc", window=2))


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path / "data")
    await world.start()
    yield world
    await world.registry.stop()


def auc(*values):
    return (MetricReport("auc", tuple(Sample(v, 0) for v in values)),)


async def weights(world):
    return {name: release.weight for name, release in (await plan_of(world.registry)).items()}


async def test_reported_metrics_show_decide_and_survive(world):
    waits = s.PolicySettings((PerformanceBasedValidity(0.8),))
    await world.registry.deploy(request("old", contract_settings=KEEP))
    await world.registry.deploy(request("new", policy_settings=waits))
    assert await weights(world) == {"old": 100, "new": 0}
    await world.registry.report_metrics(fqrv("new"), auc(0.5, 0.9))
    assert await weights(world) == {"old": 100, "new": 0}, "0.7 on average"
    await world.registry.report_metrics(fqrv("new"), auc(0.9))
    assert await weights(world) == {"old": 100, "new": 100}, "the window of two holds 0.9 and 0.9"
    metrics = {m.fqrv.release_version: m for m in await world.registry.queries.metrics(CONTRACT)}
    assert metrics["new"].performance_metrics == {"auc": 0.9}
    registry = await world.restart()
    metrics = {m.fqrv.release_version: m for m in await registry.queries.metrics(CONTRACT)}
    assert metrics["new"].performance_metrics == {"auc": 0.9}
    await registry.report_metrics(fqrv("new"), (MetricReport("auc", (Sample(0.1, 0),), replace=True),))
    assert await weights(world) == {"old": 100, "new": 100}, "once valid, always valid"
    with pytest.raises(UnknownServable):
        await registry.report_metrics(fqrv("nobody"), auc(1))


async def test_a_release_has_so_many_metrics_at_most(world):
    """Each report of a new one took time by the number of those before."""
    await world.registry.deploy(request("new", contract_settings=KEEP))
    many = tuple(MetricReport(f"m{i}", (Sample(1, 0),)) for i in range(MAX_METRICS))
    await world.registry.report_metrics(fqrv("new"), many)
    await world.registry.report_metrics(fqrv("new"), many)
    with pytest.raises(Invalid, match=f"{MAX_METRICS + 1} metrics; at most {MAX_METRICS} are kept"):
        await world.registry.report_metrics(fqrv("new"), auc(1))


async def test_performance_router_follows_the_metrics(world):
    settings = s.ContractSettings(KeepAll(), PerformanceRouter("auc", 0.0))
    await world.registry.deploy(request("a", contract_settings=settings))
    await world.registry.deploy(request("b"))
    await world.registry.report_metrics(fqrv("a"), auc(0.9))
    await world.registry.report_metrics(fqrv("b"), auc(0.3))
    assert await weights(world) == {"a": 7500, "b": 2500}


async def test_new_rules_take_a_release_out_and_clocks_start_anew_only_then(world):
    await world.registry.deploy(request("a", contract_settings=KEEP))
    await world.registry.deploy(request("b"))
    since = {m.fqrv.release_version: m.became_valid_at_ms for m in await world.registry.queries.metrics(CONTRACT)}
    world.now_ms += 5_000
    phase = s.PolicySettings(phase_in_policy=ManualPhaseIn(30))
    await world.registry.update_servable(fqrv("b"), phase, None)
    assert await weights(world) == {"a": 100, "b": 30}
    await world.registry.update_servable(fqrv("b"), s.PolicySettings((NeverValid(),)), None)
    assert await weights(world) == {"a": 100, "b": 0}
    await world.registry.update_servable(fqrv("b"), s.PolicySettings(), None)
    assert await weights(world) == {"a": 100, "b": 100}
    now = {m.fqrv.release_version: m.became_valid_at_ms for m in await world.registry.queries.metrics(CONTRACT)}
    assert now == {"a": since["a"], "b": since["b"] + 5_000}
    kinds = [type(entry.event) for entry in await world.registry.queries.history(CONTRACT)]
    assert kinds.count(ServableBecameInvalid) == 1


async def test_history_tells_who_answered_when_and_why(world):
    await world.registry.deploy(request("a", contract_settings=KEEP))
    world.now_ms += 1000
    await world.registry.deploy(request("b", policy_settings=s.PolicySettings(phase_in_policy=ManualPhaseIn(50))))
    world.now_ms += 1000
    await world.registry.delete(fqrv("a"))
    queries = world.registry.queries
    entries = await queries.history(CONTRACT)
    assert [type(e.event) for e in entries][:2] == [ContractSet, ServableDeployed]
    assert [e.seq for e in entries] == sorted(e.seq for e in entries)

    async def then(at_ms):
        found = await queries.plan_at(CONTRACT, at_ms)
        return {r.fqrv.release_version: r.weight for r in found.plan.releases}, type(found.cause.event).__name__

    assert await then(1_000_500) == ({"a": 100}, "ServableBecameValid")
    assert await then(1_001_500) == ({"a": 100, "b": 50}, "ServableBecameValid")
    assert await then(1_002_500) == ({"b": 50}, "ServablesDeleted")
    with pytest.raises(UnknownContract):
        await queries.plan_at(CONTRACT, 999_999)
    for query in (queries.history, queries.explain):
        with pytest.raises(UnknownContract):
            await query(Contract("never", "was", 1))


async def test_rollback_brings_back_settings_and_nothing_else(world):
    registry = world.registry
    await registry.deploy(request("a", contract_settings=KEEP))
    await registry.report_counts("router", 1, {fqrv("a"): Counts(7, 0)})
    good = (await registry.queries.history(CONTRACT))[-1].seq
    await registry.update_contract(CONTRACT, s.ContractSettings(KeepLatest(7)))
    await registry.update_servable(fqrv("a"), s.PolicySettings((NeverValid(),)), None)
    await registry.deploy(request("later"))
    await registry.rollback(CONTRACT, good)
    assert await registry.queries.contract_settings(CONTRACT) == KEEP
    assert await registry.queries.settings_of(fqrv("a")) == s.ServableSettings()
    assert await weights(world) == {"a": 100, "later": 100}
    assert (await registry.queries.metrics(CONTRACT))[0].score_count == 7
    events = len(await registry.queries.history(CONTRACT))
    await registry.rollback(CONTRACT, good)
    assert len(await registry.queries.history(CONTRACT)) == events, "nothing to do"
    with pytest.raises(Invalid, match="did not exist"):
        await registry.rollback(CONTRACT, 0)
    with pytest.raises(UnknownContract):
        await registry.rollback(Contract("never", "was", 1), good)


async def test_explain_and_simulate(world):
    registry = world.registry
    await registry.deploy(request("a", contract_settings=KEEP))
    world.hosts.fail_load = None
    explained = await registry.queries.explain(CONTRACT)
    assert [(r.weight, r.share, r.valid) for r in explained.releases] == [(100, 1.0, True)]
    slow = s.PolicySettings(phase_in_policy=LinearTimeBasedPhaseIn(10))
    points = await registry.queries.simulate(CONTRACT, Proposal(policies={"a": slow}, horizon_ms=5000))
    assert points[0].shares == {fqrv("a"): 1.0}, "the only one answers at any percent"
    with pytest.raises(UnknownServable):
        await registry.queries.simulate(CONTRACT, Proposal(policies={"nobody": slow}))
    with pytest.raises(UnknownContract):
        await registry.queries.simulate(Contract("never", "was", 1), Proposal())
    assert await registry.queries.settings_of(fqrv("a")) == s.ServableSettings(), "nothing was changed"


async def test_explain_says_why_a_release_failed(world):
    await world.registry.deploy(request("a", contract_settings=KEEP))
    world.hosts.fail_load = LoadFailed("the disk is bad")
    world.hosts.kill(next(iter(world.hosts.running)))
    await until(lambda: world.registry._replicas.failed(fqrv("a")))
    explained = await world.registry.queries.explain(CONTRACT)
    assert explained.releases[0].reason == "it cannot answer: the disk is bad"


async def test_max_age_expires_by_itself_but_not_the_last(world):
    settings = s.ContractSettings(MaxAge(60))
    await world.registry.deploy(request("a", contract_settings=settings))
    world.now_ms += 1000
    await world.registry.deploy(request("b"))
    world.now_ms += 59_000
    await until(lambda: [r.fqrv for r in world.registry._state.releases()] == [fqrv("b")])
    world.now_ms += 10**9
    world.registry._evaluate(CONTRACT)
    assert await world.registry.queries.releases(CONTRACT) == [fqrv("b")]


async def test_a_report_is_journalled_whole(world):
    await world.registry.deploy(request("a", contract_settings=KEEP))
    await world.registry.report_metrics(fqrv("a"), auc(0.1, 0.2))
    last = (await world.registry.queries.history(CONTRACT))[-1].event
    assert last == MetricReported(fqrv("a"), auc(0.1, 0.2)[0])


def test_the_clock_never_repeats_what_was_written_down(monkeypatch):
    ahead = 10**15
    assert SteadyClock(ahead)() >= ahead
    clock = SteadyClock()
    before = clock()
    monkeypatch.setattr("time.time_ns", lambda: 0)  # the wall clock is set back
    assert before <= clock() < before + 60_000
