"""Every operation on a host may fail in every way; the replicas recover, and nothing spins."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from forestflow.controlplane import replicas as module
from forestflow.controlplane.replicas import HostLost, ReplicaSet, Wanted
from forestflow.domain.assignment import Assignment, Loaded
from forestflow.domain.errors import ArtifactRejected, LoadFailed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.lifecycle import ReplicaState as S
from forestflow.domain.plan import ReplicaAddress
from forestflow.domain.reports import ReplicaLoad
from forestflow.domain.requests import H2OMojo, Python
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import IOMetadata, ModelMetadata, TensorType

A = Fqrv(Contract("o", "p", 0), "a")
METADATA = ModelMetadata((IOMetadata("numeric", TensorType.Float64, (2,)),))
FAILURES = [HostLost("gone"), LoadFailed("no"), RuntimeError("surprise"), ValueError("the name is taken")]


def assignment(replica_id, digest="d"):
    return Assignment(replica_id, A, H2OMojo("m.zip"), Path("/store/m.zip"), digest, Resources(), 10, 100)


class Hosts:
    """``fail[operation]`` is a list of exceptions, raised one per call; ``calls`` is what was asked, in order."""

    def __init__(self):
        self.calls, self.fail, self.gates, self.left = [], {}, {}, {}
        self.deaths, self.started = {}, set()
        self.ended = None  # why a watchdog ended them
        self.waits = None  # what they wait for

    async def _do(self, operation, replica_id):
        self.calls.append((operation, replica_id))
        gate = self.gates.get(operation)
        if gate is not None:
            await gate.wait()
        if self.fail.get(operation) and (error := self.fail[operation].pop(0)):
            raise error

    async def start(self, replica_id, resources, requirements):
        self.requirements = requirements
        await self._do("start", replica_id)
        self.started.add(replica_id)

    async def alive(self, replica_id):
        if replica_id not in self.started:
            raise HostLost("never started")
        await self._do("alive", replica_id)

    async def lacking(self, resources, now=False):
        return self.waits

    async def load(self, replica_id, wanted, report):
        self.report = report  # the last one's
        await self._do("load", replica_id)
        return Loaded(wanted, ReplicaAddress(replica_id, "n", "/s", "h:1"), METADATA, 1)

    async def lost(self, replica_id):
        await self._do("lost", replica_id)
        self.deaths[replica_id] = asyncio.Event()
        await self.deaths[replica_id].wait()
        return self.ended

    async def drain(self, replica_id, timeout_seconds):
        await self._do("drain", replica_id)

    async def stop(self, replica_id):
        await self._do("stop", replica_id)

    async def inspect(self, replica_id):
        await self._do("inspect", replica_id)
        return ReplicaLoad(7, 1, 2, {1: 3})

    async def logs(self, fqrv, replica_ids, tail, after):
        return [(fqrv, tuple(replica_ids), tail, after)]

    async def survivors(self):
        return self.left

    def count(self, operation):
        return sum(1 for name, _ in self.calls if name == operation)


class World:
    def __init__(self):
        self.hosts = Hosts()
        self.now = 0.0
        self.threads = 0  # that work for the replicas now
        self.wanted = {A: Wanted(1, Resources(), assignment)}
        self.set = ReplicaSet(self.hosts, lambda: self.wanted, lambda fqrv: None, lambda: self.now)

    async def to_thread(self, function, *arguments):
        self.threads += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)
        finally:
            self.threads -= 1

    async def settle(self):
        for _ in range(30):
            await asyncio.sleep(0.001 if self.threads else 0)
        if self.threads:
            await self.settle()

    async def go(self, seconds=0.0):
        """Let time pass as the registry does, in ticks."""
        for _ in range(max(1, int(seconds * 2))):
            self.now += 0.5 if seconds else 0
            self.set.reconcile()
            await self.settle()

    @property
    def states(self):
        return [state for state, _ in self.set.states(A)]


@pytest.fixture
async def world(monkeypatch):
    monkeypatch.setattr(module, "PLAN_GRACE_SECONDS", 0)
    world = World()
    monkeypatch.setattr(asyncio, "to_thread", world.to_thread)
    yield world
    world.hosts.gates.clear()
    await world.set.close()


@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("operation", ["start", "load", "alive", "lost"])
async def test_one_failure_of_any_operation_is_recovered_from(world, operation, error):
    world.hosts.fail[operation] = [error]
    if operation == "alive":
        world.hosts.fail["start"] = [HostLost("at first")]
    await world.go(5)
    assert world.states == [S.READY]
    assert len(world.set.addresses(A)) == 1
    assert world.set.model(A) == METADATA


@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("operation", ["start", "load", "alive"])
async def test_what_fails_for_ever_is_tried_ever_more_seldom(world, operation, error):
    if operation == "alive":
        world.hosts.fail["load"] = [HostLost("at first")]
        world.hosts.fail["start"] = [None] + [error] * 10_000
    world.hosts.fail[operation] = [error] * 10_000
    await world.go(300)
    assert 3 <= world.hosts.count(operation) < 30, "back-off: 1, 2, 4, ... 60 s"
    assert S.READY not in world.states
    (message,) = [text for _, text in world.set.states(A)]
    assert str(error) in message


async def test_who_dies_as_soon_as_it_is_ready_does_not_spin_but_is_back_within_seconds(world):
    world.hosts.fail["lost"] = [HostLost("poisoned")] * 10_000
    await world.go(60)
    assert 10 < world.hosts.count("load") < 30
    assert not world.set.failed(A)
    world.hosts.fail.clear()
    await world.go(module.STEADY_SECONDS + 5)
    assert world.states == [S.READY]
    loads = world.hosts.count("load")
    next(iter(world.hosts.deaths.values())).set()
    await world.go()
    assert world.hosts.count("load") == loads + 1, "all is forgiven: it is back at once"


async def test_why_its_watchdog_ended_it_is_told_also_when_it_is_back(world):
    await world.go()
    world.hosts.ended = "it used more than 64 MiB; raise resources.memoryMB"
    next(iter(world.hosts.deaths.values())).set()
    await world.go()
    assert world.set.states(A) == [(S.READY, world.hosts.ended)]
    message, world.hosts.ended = world.hosts.ended, None
    next(iter(world.hosts.deaths.values())).set()
    await world.go()
    assert world.set.states(A) == [(S.READY, None)], message


async def test_who_hangs_again_and_again_is_back_with_pauses_however_long_it_was_ready(world):
    await world.go()
    world.hosts.ended = "it did not come back from its model"
    pauses = []
    for _ in range(6):
        await world.go(module.STEADY_SECONDS + 5)
        next(iter(world.hosts.deaths.values())).set()
        died = world.now
        await world.settle()
        while world.states != [S.READY]:
            await world.go(0.5)
        pauses.append(world.now - died)
    assert pauses[:2] == [0.0, 0.0]
    assert 1.0 <= pauses[3] <= pauses[5] <= 5.0


async def test_requests_wait_for_a_lost_replica_while_it_loads_again(world):
    await world.go()
    gate = world.hosts.gates["load"] = asyncio.Event()
    next(iter(world.hosts.deaths.values())).set()
    await world.go()
    assert world.states == [S.LOADING]
    assert not world.set.failed(A)
    gate.set()


async def test_a_model_that_kills_its_host_counts_as_failed(world):
    world.hosts.fail["load"] = [HostLost("out of memory")] * 3
    await world.go()
    assert world.set.failed(A)
    await world.go(10)
    assert not world.set.failed(A)


async def test_what_nobody_foresaw_is_logged_with_its_reason(world, caplog):
    world.hosts.fail["load"] = [RuntimeError("surprise")]
    with caplog.at_level(logging.ERROR, "forestflow.registry"):
        await world.go()
    assert world.states == [S.FAILED]
    assert world.set.states(A)[0][1] == "RuntimeError: surprise"
    assert world.set.failed(A)
    assert any(record.exc_info for record in caplog.records)


async def test_a_lost_artifact_fails_its_release_alone(world):
    def missing(replica_id):
        raise ArtifactRejected("artifact d is not in the artifact store")

    b = replace(A, release_version="b")
    world.wanted = {A: Wanted(1, Resources(), missing), b: Wanted(1, Resources(), assignment)}
    await world.go()
    assert world.states == [S.FAILED]
    assert world.set.states(b) == [(S.READY, None)]


async def test_a_replica_stopped_while_it_loads_stays_stopped(world, caplog):
    gate = world.hosts.gates["load"] = asyncio.Event()
    await world.go()
    assert world.states == [S.LOADING]
    world.wanted = {}
    await world.go()
    gate.set()
    await world.settle()
    assert world.set.states(A) == []
    assert world.hosts.count("stop") == 1
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
async def test_a_drain_that_fails_still_ends_in_a_stop(world, error):
    await world.go()
    world.hosts.fail["drain"] = [error]
    world.wanted = {}
    await world.go()
    await asyncio.sleep(0.01)
    assert world.set.states(A) == []
    assert world.hosts.count("stop") == 1


async def test_a_host_that_dies_while_it_drains_is_not_brought_back(world):
    await world.go()
    gate = world.hosts.gates["drain"] = asyncio.Event()
    world.wanted = {}
    await world.go()
    await asyncio.sleep(0.01)
    assert world.states == [S.DRAINING]
    next(iter(world.hosts.deaths.values())).set()
    await world.go()
    assert world.set.states(A) == []
    gate.set()
    await world.settle()
    assert world.hosts.count("stop") == 1
    assert world.hosts.count("alive") == 0


async def test_a_stop_that_fails_is_logged(world, caplog):
    world.hosts.fail["stop"] = [RuntimeError("stuck")]
    world.hosts.gates["load"] = asyncio.Event()
    await world.go()
    world.wanted = {}
    await world.go()
    assert "an operation on a replica failed" in caplog.text


async def test_close_waits_for_hosts_that_were_stopping_already(world):
    await world.go()
    gate = world.hosts.gates["stop"] = asyncio.Event()
    world.wanted = {}
    await world.go()
    await asyncio.sleep(0.01)
    assert world.hosts.count("stop") == 1
    closing = asyncio.ensure_future(world.set.close())
    await world.settle()
    assert not closing.done()
    gate.set()
    await closing


@pytest.mark.parametrize(
    ("loaded", "kept"),
    [
        (assignment("1"), True),
        (replace(assignment("1"), artifact=Path("/cache/of/another/node/m.zip")), True),
        (assignment("1", digest="other"), False),
        (replace(assignment("1"), max_frame=7), False),
        (replace(assignment("1"), fqrv=replace(A, release_version="gone")), False),
        (None, False),
    ],
)
async def test_survivors_are_kept_only_if_they_have_what_is_wanted_today(world, loaded, kept):
    world.hosts.left = {"1": loaded and Loaded(loaded, ReplicaAddress("1", "n", "/s", "h:1"), METADATA, 1)}
    await world.set.adopt()
    await world.settle()
    assert (world.states == [S.READY]) is kept
    assert world.hosts.count("stop") == (not kept)


async def test_a_survivor_outlives_its_artifact(world):
    def missing(replica_id):
        raise ArtifactRejected("lost")

    world.wanted = {A: Wanted(1, Resources(), missing)}
    world.hosts.left = {"1": Loaded(assignment("1"), ReplicaAddress("1", "n", "/s", "h:1"), METADATA, 1)}
    await world.set.adopt()
    assert world.states == [S.READY]


async def test_a_host_starts_with_the_requirements_of_its_model(world, tmp_path):
    (tmp_path / "requirements.txt").write_text("emoji==2.13.0\n")
    model = replace(assignment("x"), flavor=Python("s.py", requirements=("-r requirements.txt",)), artifact=tmp_path)
    readers = []

    def wanted(replica_id):
        readers.append(threading.current_thread())
        return replace(model, replica_id=replica_id)

    world.wanted = {A: Wanted(1, Resources(), wanted)}
    await world.go()
    assert world.hosts.requirements == ("emoji==2.13.0",)
    assert readers[0] is not threading.current_thread(), "files are read in a thread"


async def test_what_is_installed_for_a_model_is_told_until_it_is_ready(world):
    world.hosts.gates["load"] = asyncio.Event()
    await world.go()
    world.hosts.report("installing the requirements: Collecting numpy")
    assert world.set.states(A) == [(S.LOADING, "installing the requirements: Collecting numpy")]
    world.hosts.gates["load"].set()
    await world.settle()
    assert world.set.states(A) == [(S.READY, None)]
    world.hosts.report("too late")
    assert world.set.states(A) == [(S.READY, None)]


async def test_an_artifact_that_is_lost_is_told_by_loading_it(world):
    def lost(replica_id):
        raise ArtifactRejected("it is not in the artifact store")

    world.wanted = {A: Wanted(1, Resources(), lost)}
    await world.go(5)
    assert world.set.failed(A)
    assert world.set.states(A) == [(S.FAILED, "it is not in the artifact store")]


async def test_replicas_are_asked_once_they_are_loaded(world):
    world.hosts.gates["load"] = asyncio.Event()
    await world.go()
    (loading,) = await world.set.inspect(A)
    assert (loading.state, loading.load) == (S.LOADING, None)
    world.hosts.gates["load"].set()
    await world.go()
    (ready,) = await world.set.inspect(A)
    assert (ready.state, ready.load) == (S.READY, ReplicaLoad(7, 1, 2, {1: 3}))
    assert await world.set.logs(A, 5, {}) == [(A, (ready.replica_id,), 5, {})]
    world.wanted = {}
    await world.go(20)
    assert await world.set.inspect(A) == []
    assert await world.set.logs(A, 5, {}) == [(A, (), 5, {})], "whatever there is"


async def test_a_host_that_waits_for_a_node_says_so(world, monkeypatch):
    """In its status, not as a failure; and no longer once it is there."""
    monkeypatch.setattr(module, "EXPLAIN_SECONDS", 0)
    gate = world.hosts.gates["start"] = asyncio.Event()
    await world.go()
    assert world.set.states(A) == [(S.STARTING, None)]
    world.hosts.waits = "no node has 1 GPU"
    await world.settle()
    assert world.set.states(A) == [(S.STARTING, "no node has 1 GPU")]
    assert not world.set.failed(A)
    world.hosts.waits = "waits for a node with 1 GPU free"
    await world.settle()
    assert world.set.states(A) == [(S.STARTING, "waits for a node with 1 GPU free")]
    gate.set()
    load = world.hosts.gates["load"] = asyncio.Event()
    await world.settle()
    assert world.set.states(A) == [(S.LOADING, None)]
    load.set()
    await world.go()
    assert world.set.states(A) == [(S.READY, None)]
