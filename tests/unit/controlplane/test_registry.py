"""The registry with a real journal and artifact store, and hosts that a test can make fail.

The models are the example MOJOs; they are checked and copied, and their loading is the fake host's.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from forestflow.artifacts.store import ArtifactStore
from forestflow.controlplane.journal import Journal
from forestflow.controlplane.registry import Registry
from forestflow.controlplane.replicas import HostLost
from forestflow.domain import settings as s
from forestflow.domain.assignment import Loaded
from forestflow.domain.errors import Invalid, LoadFailed, StorageFailed
from forestflow.domain.events import ServableDeployed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.lifecycle import ReplicaState, ServableState
from forestflow.domain.plan import ReplicaAddress
from forestflow.domain.policies.expiration import KeepAll, KeepLatest, KeepTopRanked
from forestflow.domain.policies.phase_in import LinearTimeBasedPhaseIn
from forestflow.domain.policies.routers import LatestPhaseInPctBasedRouter
from forestflow.domain.policies.validity import TimeBasedValidity
from forestflow.domain.refusals import (
    ContractValidationError,
    NoActiveServables,
    ServableAlreadyExists,
    ServeRequestInvalid,
    UnknownContract,
    UnknownServable,
)
from forestflow.domain.reports import Counts
from forestflow.domain.requests import H2OMojo, ServeRequest
from forestflow.domain.tensors import IOMetadata, ModelMetadata, TensorType
from forestflow.settings.sections import RegistrySettings

MODELS = Path(__file__).parents[3] / "forestflow" / "examples" / "models"
CONTRACT = Contract("samples", "energy", 0)
METADATA = ModelMetadata((IOMetadata("numeric", TensorType.Float64, (4,)),))


def fqrv(release="r1"):
    return Fqrv(CONTRACT, release)


def request(release="r1", model="energy_gbm_v1.zip", *, path=None, contract_settings=None, **settings):
    return ServeRequest(
        f"file://{path or MODELS}",
        fqrv(release),
        H2OMojo(model),
        s.ServableSettings(**settings),
        contract_settings,
    )


class FakeHosts:
    """Host processes that live in memory. ``fail_load`` and ``kill`` make them misbehave."""

    def __init__(self):
        self.running = {}  # replica id -> Loaded or None
        self.deaths = {}
        self.fail_load = None
        self.installs = 0  # how often a load tells that it installs something
        self.hang = False
        self.stopped = []
        self.lacks = None  # what no node has

    async def lacking(self, resources, now=False):
        return self.lacks if resources.gpu else None

    async def start(self, replica_id, resources, requirements=()):
        self.running[replica_id] = None
        self.deaths[replica_id] = asyncio.Event()

    async def alive(self, replica_id):
        if replica_id not in self.running:
            raise HostLost("gone")
        self.deaths[replica_id] = asyncio.Event()

    async def load(self, replica_id, assignment, report):
        for _ in range(self.installs):
            await asyncio.sleep(0.05)
            report("installing the requirements: Collecting numpy")
        if self.hang:
            await asyncio.Event().wait()
        if isinstance(self.fail_load, Exception):
            raise self.fail_load
        assert assignment.artifact.is_file()
        address = ReplicaAddress(replica_id, "node", f"/run/{replica_id}.sock", "127.0.0.1:1")
        self.running[replica_id] = Loaded(assignment, address, METADATA, 1)
        return self.running[replica_id]

    async def lost(self, replica_id):
        await self.deaths[replica_id].wait()

    def kill(self, replica_id):
        self.running[replica_id] = None
        self.deaths[replica_id].set()

    async def drain(self, replica_id, timeout_seconds):
        pass

    async def stop(self, replica_id):
        self.running.pop(replica_id, None)
        self.stopped.append(replica_id)

    async def survivors(self):
        for replica_id in self.running:
            self.deaths[replica_id] = asyncio.Event()
        return dict(self.running)


class World:
    """One data directory, the hosts, and a registry that can be restarted on them."""

    def __init__(self, directory):
        self.directory = directory
        self.hosts = FakeHosts()
        self.now_ms = 1_000_000
        self.settings = RegistrySettings(load_timeout_seconds=5)
        self.directories = None  # of this machine
        self.registry = None

    async def start(self):
        self.journal = Journal.in_directory(self.directory)
        self.artifacts = ArtifactStore(self.directory / "artifacts", 1 << 30)
        self.registry = Registry(
            self.journal, self.artifacts, self.hosts, self.settings, lambda: self.now_ms, self.directories
        )
        await self.registry.start()
        return self.registry

    async def crash(self):
        """The registry's process dies: nothing is saved or stopped in order."""
        if self.registry._ticker:
            self.registry._ticker.cancel()
        for task in list(self.registry._replicas._tasks):
            task.cancel()
        await asyncio.sleep(0)
        self.journal.close()

    async def restart(self):
        await self.crash()
        return await self.start()

    def stored(self):
        return sorted(p.name for p in (self.directory / "artifacts").iterdir())


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path / "data")
    await world.start()
    yield world
    await world.registry.stop()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def plan_of(registry, contract=CONTRACT):
    update = await registry.plan(0, 0)
    assert update.full
    return {r.fqrv.release_version: r for r in update.contracts[contract].releases}


async def test_deploy_makes_contract_release_plan_and_copy(world):
    registry = world.registry
    assert await registry.deploy(request()) == fqrv()
    assert await registry.queries.contracts() == [CONTRACT]
    assert await registry.queries.contract_settings(CONTRACT) == s.ContractSettings()
    assert await registry.queries.releases(CONTRACT) == [fqrv()]
    (metrics,) = await registry.queries.metrics(CONTRACT)
    assert (metrics.score_count, metrics.created_at_ms, metrics.became_valid_at_ms) == (0, 1_000_000, 1_000_000)
    assert metrics.current_phase_in_pct == 100
    assert (await registry.queries.metadata(CONTRACT))[0].model == METADATA
    assert (await registry.queries.metadata_of(fqrv())).settings == s.ServableSettings()
    plan = await plan_of(registry)
    assert (plan["r1"].weight, len(plan["r1"].replicas)) == (100, 1)
    assert len(world.stored()) == 1
    status = await registry.queries.status_of(fqrv())
    assert (status.state, status.replicas) == (ServableState.AVAILABLE, (ReplicaState.READY,))
    assert await registry.queries.ready()


async def test_the_source_may_vanish(world, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(MODELS / "energy_gbm_v1.zip", source)
    await world.registry.deploy(request(path=source))
    shutil.rmtree(source)
    registry = await world.restart()
    await until(lambda: registry._replicas.addresses(fqrv()))
    assert await registry.queries.ready()


async def test_equal_artifacts_are_stored_once_and_removed_with_their_last_user(world):
    keep = s.ContractSettings(KeepLatest(5))
    await world.registry.deploy(request("r1", contract_settings=keep))
    await world.registry.deploy(request("r2"))
    await world.registry.deploy(request("r3", "energy_gbm_v2.zip"))
    assert len(world.stored()) == 2
    await world.registry.delete(fqrv("r1"))
    assert len(world.stored()) == 2
    await world.registry.delete(fqrv("r2"))
    assert len(world.stored()) == 1
    await world.registry.delete(fqrv("r3"))
    assert world.stored() == []
    assert await world.registry.queries.contracts() == []
    await until(lambda: not world.hosts.running)


async def test_an_artifact_deleted_while_another_deploy_fetches_goes_when_that_ends(world, monkeypatch):
    """What the other deploy fetches might be the very same artifact, so it stays until that is known."""
    registry, add, go = world.registry, world.artifacts.add, threading.Event()
    await registry.deploy(request("r1", contract_settings=s.ContractSettings(KeepAll())))

    def slow(*arguments, **keywords):
        assert go.wait(10)
        return add(*arguments, **keywords)

    monkeypatch.setattr(world.artifacts, "add", slow)
    deploying = asyncio.ensure_future(registry.deploy(request("r2", "energy_gbm_v2.zip")))
    await until(lambda: fqrv("r2") in registry._deploys.pending)
    (first,) = world.stored()
    await registry.delete(fqrv("r1"))
    assert world.stored() == [first]
    go.set()
    await deploying
    (left,) = world.stored()
    assert left != first


async def test_an_artifact_deleted_while_its_second_deploy_fetches_is_kept_for_it(world, monkeypatch):
    registry, add, go = world.registry, world.artifacts.add, threading.Event()
    await registry.deploy(request("r1", contract_settings=s.ContractSettings(KeepAll())))

    def slow(*arguments, **keywords):
        digest = add(*arguments, **keywords)
        assert go.wait(10)
        return digest

    monkeypatch.setattr(world.artifacts, "add", slow)
    deploying = asyncio.ensure_future(registry.deploy(request("r2")))
    await until(lambda: fqrv("r2") in registry._deploys.pending)
    await registry.delete(fqrv("r1"))
    go.set()
    await deploying
    assert len(world.stored()) == 1
    await registry.delete(fqrv("r2"))
    assert world.stored() == []


async def test_deleting_what_is_unknown_changes_nothing(world):
    assert await world.registry.delete(fqrv("nobody")) == [fqrv("nobody")]
    assert await world.registry.queries.contracts() == []


async def test_a_release_exists_once(world):
    await world.registry.deploy(request())
    with pytest.raises(ServableAlreadyExists) as refused:
        await world.registry.deploy(request())
    assert refused.value.settings == s.ServableSettings()


async def test_two_deploys_of_one_release_at_once(world):
    outcomes = await asyncio.gather(
        world.registry.deploy(request()), world.registry.deploy(request()), return_exceptions=True
    )
    assert sorted(type(o).__name__ for o in outcomes) == ["Fqrv", "ServableAlreadyExists"]


async def test_contract_settings_only_with_a_new_contract(world):
    wanted = s.ContractSettings(KeepLatest(3), LatestPhaseInPctBasedRouter())
    await world.registry.deploy(request("r1", contract_settings=wanted))
    assert await world.registry.queries.contract_settings(CONTRACT) == wanted
    with pytest.raises(ContractValidationError, match="already exists"):
        await world.registry.deploy(request("r2", contract_settings=wanted))
    assert await world.registry.queries.releases(CONTRACT) == [fqrv("r1")]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: request(model="missing.zip"), "does not exist"),
        (lambda: request(path="/nowhere"), "does not exist"),
        (lambda: request(model="energy_gbm_v1.json"), "zip"),
        (lambda: request(model="../models/energy_gbm_v1.zip"), "relative path"),
        (lambda: replace(request(), path="gopher://x/y"), r"kind .gopher. are not allowed"),
    ],
)
async def test_a_deploy_of_no_model_leaves_nothing_behind(world, make, reason):
    with pytest.raises(ServeRequestInvalid, match=reason):
        await world.registry.deploy(make())
    await nothing_is_left(world)


async def nothing_is_left(world):
    await until(lambda: not world.hosts.running)
    assert await world.registry.queries.contracts() == []
    assert world.stored() == []
    assert list(world.journal.replay()) == []
    with pytest.raises(UnknownServable):
        await world.registry.queries.status_of(fqrv())


async def test_a_model_that_does_not_load_leaves_nothing_behind(world):
    world.hosts.fail_load = LoadFailed("no Java found")
    with pytest.raises(ServeRequestInvalid, match="no Java found"):
        await world.registry.deploy(request())
    await nothing_is_left(world)


async def test_a_host_that_dies_over_a_model_leaves_nothing_behind(world):
    world.hosts.fail_load = HostLost("the host's process died")
    with pytest.raises(ServeRequestInvalid, match="died"):
        await world.registry.deploy(request())
    await nothing_is_left(world)


async def test_a_load_that_never_ends_is_given_up(world):
    world.registry._deploys._settings = replace(world.registry._settings, load_timeout_seconds=0.2)
    world.hosts.hang = True
    with pytest.raises(ServeRequestInvalid, match=r"no replica was ready after 0.2 s \(replicas: LOADING\)"):
        await world.registry.deploy(request())
    await nothing_is_left(world)


async def test_what_is_installed_first_does_not_count_as_loading(world):
    """Twice as long as a load may take; pip has a limit of its own."""
    world.registry._deploys._settings = replace(world.registry._settings, load_timeout_seconds=1)
    world.hosts.installs = 40
    deploy = asyncio.ensure_future(world.registry.deploy(request()))
    seen = set()
    while not deploy.done():
        await asyncio.sleep(0.01)
        with contextlib.suppress(UnknownServable):
            seen.add((await world.registry.queries.status_of(request().fqrv)).message)
    assert await deploy == request().fqrv
    assert "installing the requirements: Collecting numpy" in seen


async def test_what_no_node_has_is_refused_at_once(world):
    """Before the artifact is fetched, and without a wait; unless the cluster may get such a node."""
    gpu = s.DeploymentSettings(resources=s.Resources(gpu=1))
    world.hosts.lacks = "no node has 1 GPU"
    with pytest.raises(ServeRequestInvalid, match=r"no node has 1 GPU; .* cluster_grows"):
        await world.registry.deploy(request(deployment_settings=gpu))
    assert world.hosts.running == {}
    await nothing_is_left(world)
    world.registry._deploys._settings = replace(world.registry._settings, cluster_grows=True)
    await world.registry.deploy(request(deployment_settings=gpu))


async def test_status_and_delete_while_loading(world):
    world.hosts.hang = True
    deploy = asyncio.ensure_future(world.registry.deploy(request()))
    await until(lambda: world.hosts.running)
    status = await world.registry.queries.status_of(fqrv())
    assert status.state is ServableState.LOADING
    assert [x.fqrv for x in await world.registry.queries.status(CONTRACT)] == [fqrv()]
    await world.registry.delete(fqrv())
    with pytest.raises(ServeRequestInvalid, match="deleted while it was loading"):
        await deploy
    await nothing_is_left(world)


async def test_nothing_is_acknowledged_that_is_not_journalled(world, monkeypatch):
    def full(records, at_ms, forget):
        raise StorageFailed("disk full")

    monkeypatch.setattr(world.journal, "append", full)
    with pytest.raises(StorageFailed):
        await world.registry.create_contract(CONTRACT, s.ContractSettings())
    with pytest.raises(StorageFailed):
        await world.registry.deploy(request())
    monkeypatch.undo()
    await nothing_is_left(world)
    await world.registry.deploy(request())


async def test_contracts_are_created_updated_and_refused(world):
    registry = world.registry
    with pytest.raises(UnknownContract):
        await registry.update_contract(CONTRACT, s.ContractSettings())
    await registry.create_contract(CONTRACT, s.ContractSettings())
    with pytest.raises(ContractValidationError):
        await registry.create_contract(CONTRACT, s.ContractSettings())
    changed = s.ContractSettings(KeepTopRanked(2, "auc"))
    await registry.update_contract(CONTRACT, changed)
    assert await registry.queries.contract_settings(CONTRACT) == changed
    for query in (registry.queries.releases, registry.queries.metrics, registry.queries.servable_settings):
        with pytest.raises(NoActiveServables):
            await query(CONTRACT)
        with pytest.raises(UnknownContract):
            await query(Contract("no", "such", 1))
    assert await registry.queries.metadata(CONTRACT) == []
    with pytest.raises(UnknownContract):
        await registry.queries.status(Contract("no", "such", 1))
    for query in (registry.queries.settings_of, registry.queries.metadata_of, registry.queries.status_of):
        with pytest.raises(UnknownServable):
            await query(fqrv())


async def test_settings_updates_keep_clocks_and_counters(world):
    registry = world.registry
    await registry.deploy(request())
    await registry.report_counts("router", 1, {fqrv(): Counts(5, 2, 3), fqrv("nobody"): Counts(9, 9)})
    world.now_ms += 10_000
    await registry.update_servable(fqrv(), s.PolicySettings(phase_in_policy=LinearTimeBasedPhaseIn(20)), None)
    await registry.update_servable(fqrv(), None, s.LoggingSettings(s.LogLevel.FULL, ("id",)))
    (metrics,) = await registry.queries.metrics(CONTRACT)
    assert (metrics.score_count, metrics.shade_count, metrics.shadow_drop_count) == (5, 2, 3)
    assert metrics.became_valid_at_ms == 1_000_000
    assert metrics.current_phase_in_pct == 50
    settings = await registry.queries.settings_of(fqrv())
    assert settings.logging_settings.log_level is s.LogLevel.FULL
    assert (await registry.queries.servable_settings(CONTRACT)) == [settings]
    with pytest.raises(Invalid, match="key"):
        await registry.update_servable(fqrv(), None, s.LoggingSettings(s.LogLevel.FULL))
    with pytest.raises(UnknownServable):
        await registry.update_servable(fqrv("nobody"), None, None)


async def test_shadow_settings_change_nothing_else_and_reload_no_model(world):
    registry = world.registry
    await registry.deploy(request(shadow=s.ShadowSettings(True)))
    hosts = dict(world.hosts.running)
    await registry.update_servable(fqrv(), shadow=s.ShadowSettings(True, 10, 5))
    plan = (await plan_of(registry))["r1"]
    assert (plan.shadow, plan.sample_percent, plan.max_backlog) == (True, 10, 5)
    assert await registry.queries.settings_of(fqrv()) == s.ServableSettings(shadow=s.ShadowSettings(True, 10, 5))
    registry = await world.restart()
    assert (await plan_of(registry))["r1"].max_backlog == 5
    assert (world.hosts.running, world.hosts.stopped) == (hosts, []), "taken over as it is"
    with pytest.raises(Invalid, match="samplePercent must be in"):
        await registry.update_servable(fqrv(), shadow=s.ShadowSettings(sample_percent=101))
    before = next(e.seq for e in await registry.queries.history(CONTRACT) if isinstance(e.event, ServableDeployed))
    await registry.rollback(CONTRACT, before)
    assert (await plan_of(registry))["r1"].max_backlog == 256


async def test_everything_survives_a_crash(world):
    keep = s.ContractSettings(KeepLatest(2))
    await world.registry.deploy(request("r1", contract_settings=keep))
    await world.registry.deploy(request("r2", "energy_gbm_v2.zip"))
    await world.registry.report_counts("router", 1, {fqrv("r1"): Counts(5, 2, 3)})
    before = [await world.registry.queries.metrics(CONTRACT), await world.registry.queries.servable_settings(CONTRACT)]
    hosts = dict(world.hosts.running)
    version = world.registry.version
    world.now_ms += 60_000
    registry = await world.restart()
    assert [await registry.queries.metrics(CONTRACT), await registry.queries.servable_settings(CONTRACT)] == before
    assert await registry.queries.contract_settings(CONTRACT) == keep
    assert world.hosts.running == hosts, "the hosts were taken over, not replaced"
    assert await registry.queries.ready()
    assert registry.version > version
    await registry.report_counts("router", 1, {fqrv("r1"): Counts(5, 2)})  # its acknowledgement was lost
    await registry.report_counts("router", 2, {fqrv("r1"): Counts(1, 0)})
    assert (await registry.queries.metrics(CONTRACT))[0].score_count == 6
    assert (await plan_of(registry))["r2"].replicas


async def test_survivors_of_no_use_are_stopped(world):
    await world.registry.deploy(request())
    await world.hosts.start("stranger", s.Resources())
    registry = await world.restart()
    await until(lambda: "stranger" in world.hosts.stopped)
    assert await registry.queries.ready()


async def test_a_killed_replica_comes_back(world):
    await world.registry.deploy(request())
    (replica_id,) = world.hosts.running
    since = world.registry.version
    world.hosts.kill(replica_id)
    await until(lambda: world.registry.version > since)
    assert (await plan_of(world.registry))["r1"].weight == 100, "requests wait for it"
    await until(lambda: world.registry._replicas.addresses(fqrv()))
    assert world.hosts.running[replica_id] is not None


async def test_a_release_that_cannot_be_loaded_again_leaves_its_share_to_others(world):
    await world.registry.deploy(request("r1", contract_settings=s.ContractSettings(KeepLatest(2))))
    await world.registry.deploy(request("r2"))
    replica_id = world.registry._replicas.addresses(fqrv("r1"))[0].replica_id
    world.hosts.fail_load = LoadFailed("the disk is bad")
    world.hosts.kill(replica_id)
    await until(lambda: world.registry._replicas.failed(fqrv("r1")))
    plan = await plan_of(world.registry)
    assert (plan["r1"].weight, plan["r2"].weight) == (0, 100)
    status = await world.registry.queries.status_of(fqrv("r1"))
    assert (status.state, status.message) == (ServableState.FAILED, "the disk is bad")
    assert await world.registry.queries.ready(), "a failed release does not hold the server back"
    world.hosts.fail_load = None
    await until(lambda: world.registry._replicas.addresses(fqrv("r1")))
    assert (await plan_of(world.registry))["r1"].weight == 100


async def test_replicas_follow_the_settings(world):
    await world.registry.deploy(request(deployment_settings=s.DeploymentSettings(replicas=3)))
    await until(lambda: len(world.registry._replicas.addresses(fqrv())) == 3)
    assert (await world.registry.queries.status_of(fqrv())).desired_replicas == 3


async def test_keep_latest_expires_the_older_release_and_drains_it(world):
    await world.registry.deploy(request("r1"))
    world.now_ms += 1
    await world.registry.deploy(request("r2", "energy_gbm_v2.zip"))
    assert await world.registry.queries.releases(CONTRACT) == [fqrv("r2")]
    await until(lambda: len(world.hosts.running) == 1)
    assert len(world.stored()) == 1


async def test_time_based_validity_takes_effect_by_itself(world):
    policy = s.PolicySettings((TimeBasedValidity(1000),))
    await world.registry.deploy(request(policy_settings=policy))
    assert (await plan_of(world.registry))["r1"].weight == 0
    world.now_ms += 1000
    waited = await world.registry.plan(world.registry.version, 5)
    assert waited.contracts[CONTRACT].releases[0].weight == 100


async def test_plan_updates_name_only_what_changed(world):
    registry = world.registry
    first = await registry.plan(0, 0)
    assert first.full
    await registry.create_contract(CONTRACT, s.ContractSettings())
    update = await registry.plan(first.version, 5)
    assert (set(update.contracts), update.full) == ({CONTRACT}, False)
    nothing = await registry.plan(update.version, 0.01)
    assert (nothing.version, nothing.contracts) == (update.version, {})
    await registry.deploy(request())
    await registry.delete(fqrv())
    gone = await registry.plan(update.version, 0)
    assert gone.contracts == {CONTRACT: None}
