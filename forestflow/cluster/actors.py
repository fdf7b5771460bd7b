"""The only module that talks to Ray: actors for the registry, the routers and the hosts, and the operations on them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError, RayTaskError

from forestflow.artifacts import environments as environment
from forestflow.artifacts.sources.rules import SourceRules
from forestflow.artifacts.store import ArtifactCache, ArtifactStore
from forestflow.cluster import logs
from forestflow.cluster import servable_log as servablelog
from forestflow.cluster.router import RegistryClient, Router
from forestflow.controlplane import capacity
from forestflow.controlplane import data_directory as datadir
from forestflow.controlplane.registry import Registry
from forestflow.controlplane.replicas import HostLost
from forestflow.dataplane import host_sockets as hostsockets
from forestflow.dataplane.host import Host
from forestflow.dataplane.memory import HOST_SCORE, OWN_SCORE, set_oom_score
from forestflow.dataplane.pulse import death_of
from forestflow.domain.assignment import Assignment, Loaded
from forestflow.domain.commands import Command
from forestflow.domain.errors import ForestFlowError, LoadFailed, StorageFailed, Unavailable
from forestflow.domain.ids import Fqrv
from forestflow.domain.plan import PlanUpdate
from forestflow.domain.reports import Counts, LogPosition, ReplicaLoad, ReplicaLog
from forestflow.domain.settings import Resources
from forestflow.servables import loading
from forestflow.settings.sections import RegistrySettings, RouterSettings

REGISTRY_NAME = "registry"
HOST_PREFIX = "host-"
CALL_TIMEOUT_SECONDS = 5.0
PROGRESS_SECONDS = 0.5  # between two questions how far pip is
JOURNAL_RETRY_SECONDS = 5.0  # a journal that cannot be read is read again
INSPECT_TIMEOUT_SECONDS = 1.0  # a replica that takes longer is busy with a call of its model

_log = logging.getLogger("forestflow.host")


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What every actor of one ForestFlow in one Ray cluster shares."""

    namespace: str
    secret: bytes
    data_dir: Path
    journal_url: str | None
    artifact_max_bytes: int
    sources: SourceRules
    logs: logs.LogSettings
    registry: RegistrySettings
    code_servables: bool = True
    install_timeout_seconds: float = environment.INSTALL_SECONDS


def _node_id() -> str:
    return str(ray.get_runtime_context().get_node_id())


async def _result(reference: Any) -> Any:
    """Wait for a Ray result from any event loop."""
    return await asyncio.wrap_future(reference.future())


# --- hosts ------------------------------------------------------------------------------------------------------------


@ray.remote
class ForestFlowHost:
    """A host process. Ray restarts it when it dies; the registry then loads its model again."""

    def __init__(self, settings: ClusterSettings) -> None:
        logs.configure(settings.logs)
        set_oom_score(HOST_SCORE)
        self._settings = settings
        self._released = threading.Event()
        self._pip = environment.Pip(settings.install_timeout_seconds)
        environment.remove_unused(settings.data_dir)
        self._log: tuple[Fqrv, str] | None = None  # that this process writes: of which release, which replica
        self._artifacts = ArtifactCache(_cache_directory(settings.namespace), _RegistryArtifacts(settings.namespace))
        self._host = Host(
            node_id=_node_id(),
            bind_ip=ray.util.get_node_ip_address(),
            socket_directory=hostsockets.directory_for(settings.namespace),
            secret=settings.secret,
        )

    def alive(self) -> bool:
        return True

    def load(self, assignment: Assignment) -> Loaded | ForestFlowError | None:
        """``None`` asks to be started once more, in the environment that was made for the model's requirements."""
        self._capture(assignment)
        try:
            local = self._with_local_artifact(assignment)
            if not self._settings.code_servables:
                loading.refuse_code(local.artifact, local.flavor)
            requirements = loading.requirements(local.artifact, local.flavor)
            if not environment.active(requirements):
                environment.prepare(self._settings.data_dir, requirements, self._pip)
                return None
            return self._host.load(local)
        except ForestFlowError as error:
            return error
        except Exception as error:  # a model may fail in any way; the host stays to try again
            return LoadFailed(f"{type(error).__name__}: {error}")

    def installing(self) -> str | None:
        """How far pip is, while it works."""
        return self._pip.step

    def loaded(self) -> Loaded | None:
        return self._host.loaded

    def inspect(self) -> ReplicaLoad | None:
        return self._host.inspect()

    def log(self, fqrv: Fqrv, replica_id: str, tail: int, after: LogPosition | None) -> ReplicaLog | None:
        return servablelog.read(servablelog.directory_of(self._settings.data_dir, fqrv), replica_id, tail, after)

    def hold(self) -> None:
        """Returns when somebody else holds: the caller learns of the death of this process, or of another registry."""
        self._released.set()  # whoever held before is gone, and must not keep a thread for ever
        self._released = released = threading.Event()
        released.wait()

    def drain(self, timeout_seconds: float) -> bool:
        return self._host.drain(timeout_seconds)

    def end(self) -> None:
        """End this process; Ray starts another."""
        os._exit(0)

    def close(self) -> tuple[Fqrv, ReplicaLog] | None:
        """Its log, where only this node has it: who stops the host keeps it."""
        self._pip.stop()
        self._host.close()
        self._artifacts.release()
        environment.release(self._settings.data_dir)
        if self._log is None or self._settings.data_dir.is_dir():
            return None
        left = self.log(*self._log, servablelog.KEEP_LINES, None)
        servablelog.remove(servablelog.directory_of(self._settings.data_dir, self._log[0]), self._log[1])
        return (self._log[0], left) if left is not None else None

    def _capture(self, assignment: Assignment) -> None:
        """Send what this process says from now on to the log of its replica."""
        if self._log is not None:
            return
        directory = servablelog.directory_of(self._settings.data_dir, assignment.fqrv)
        try:
            servablelog.Capture(directory / f"{assignment.replica_id}.log").start()
        except OSError as error:
            _log.error("no log of its own for %s: %s", assignment.fqrv, error)
        self._log = assignment.fqrv, assignment.replica_id

    def _with_local_artifact(self, assignment: Assignment) -> Assignment:
        """On a node without the data directory, from the cache of that node."""
        if assignment.artifact.exists():
            return assignment
        return replace(assignment, artifact=self._artifacts.hold(assignment.digest, assignment.artifact.name))


class _RegistryArtifacts:
    """The artifact store of the registry's node."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def files(self, digest: str) -> list[str]:
        return cast(list[str], ray.get(self._registry().artifact_files.remote(digest)))

    def read(self, digest: str, relative: str, offset: int) -> bytes:
        return cast(bytes, ray.get(self._registry().artifact_part.remote(digest, relative, offset)))

    def _registry(self) -> ActorHandle[Any]:
        return ray.get_actor(REGISTRY_NAME, namespace=self._namespace)


def _whole() -> list[Mapping[str, float]]:
    """The resources of each node that is up."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _free() -> list[Mapping[str, float]]:
    """What of them no replica has now."""
    return list(ray._private.state.available_resources_per_node().values())


def _cache_directory(namespace: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{namespace}-{os.getuid()}-artifacts"


class RayHosts:
    """The registry's operations on hosts, as Ray calls. See :class:`forestflow.controlplane.replicas.Hosts`."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._handles: dict[str, ActorHandle[Any]] = {}

    async def start(self, replica_id: str, resources: Resources, requirements: Sequence[str]) -> None:
        options: dict[str, Any] = {
            "name": HOST_PREFIX + replica_id,
            "namespace": self._settings.namespace,
            "lifetime": "detached",  # a host outlives the registry that started it
            "max_restarts": -1,
            "max_concurrency": 8,
            "num_cpus": resources.cpu or 0,
            "num_gpus": resources.gpu or 0,
        }
        if resources.memory_mb:
            options["memory"] = resources.memory_mb << 20
        if requirements:
            python = environment.executable(self._settings.data_dir, requirements)
            options["runtime_env"] = {"py_executable": python}
        self._handles[replica_id] = cast(Any, ForestFlowHost).options(**options).remote(self._settings)
        await self.alive(replica_id)

    async def alive(self, replica_id: str) -> None:
        await self._call(replica_id, "alive", retries=-1)

    async def lacking(self, resources: Resources, now: bool = False) -> str | None:
        lacking = capacity.lacking(resources, await asyncio.to_thread(_whole))
        if lacking is not None or not now:
            return lacking
        return capacity.waiting(resources, await asyncio.to_thread(_free))

    async def load(self, replica_id: str, assignment: Assignment, report: Callable[[str], None]) -> Loaded:
        outcome = await self._reporting(replica_id, self._call(replica_id, "load", assignment), report)
        if outcome is None:
            with contextlib.suppress(HostLost):
                await self._call(replica_id, "end")
            await self.alive(replica_id)
            outcome = await self._call(replica_id, "load", assignment)
        if outcome is None:
            raise LoadFailed("the host does not start in the environment that was made for the model's requirements")
        if isinstance(outcome, ForestFlowError):
            raise outcome
        return cast(Loaded, outcome)

    async def _reporting(
        self, replica_id: str, load: Coroutine[Any, Any, Any], report: Callable[[str], None]
    ) -> Loaded | ForestFlowError | None:
        """The outcome of a load; until then, what is being installed goes to ``report`` now and then."""
        task = asyncio.ensure_future(load)
        try:
            while not (await asyncio.wait({task}, timeout=PROGRESS_SECONDS))[0]:
                with contextlib.suppress(HostLost, TimeoutError):
                    step = await asyncio.wait_for(self._call(replica_id, "installing"), INSPECT_TIMEOUT_SECONDS)
                    if step is not None:
                        report(step)
            return cast(Loaded | ForestFlowError | None, task.result())
        finally:
            task.cancel()

    async def inspect(self, replica_id: str) -> ReplicaLoad | None:
        with contextlib.suppress(HostLost, TimeoutError):
            return cast(
                ReplicaLoad | None, await asyncio.wait_for(self._call(replica_id, "inspect"), INSPECT_TIMEOUT_SECONDS)
            )
        return None

    async def logs(
        self, fqrv: Fqrv, replica_ids: Sequence[str], tail: int, after: Mapping[str, LogPosition]
    ) -> list[ReplicaLog]:
        """From this node's files where they are here, so that a host that hangs or is gone can be read about, too."""
        directory = servablelog.directory_of(self._settings.data_dir, fqrv)
        here = await asyncio.to_thread(servablelog.replicas_in, directory)
        found = []
        for replica_id in replica_ids or here:
            if replica_id in here:
                log = await asyncio.to_thread(servablelog.read, directory, replica_id, tail, after.get(replica_id))
            else:
                log = await self._remote_log(fqrv, replica_id, tail, after.get(replica_id))
            found += [log] if log is not None else []
        return found

    async def _remote_log(self, fqrv: Fqrv, replica_id: str, tail: int, after: LogPosition | None) -> ReplicaLog | None:
        call = self._call(replica_id, "log", fqrv, replica_id, tail, after)
        with contextlib.suppress(HostLost, TimeoutError):
            return cast(ReplicaLog | None, await asyncio.wait_for(call, CALL_TIMEOUT_SECONDS))
        return None

    async def lost(self, replica_id: str) -> str | None:
        try:
            await self._call(replica_id, "hold")
        except HostLost:
            return self._why_ended(replica_id)
        await asyncio.Event().wait()  # another registry has taken the host over: it is not ours to miss
        return None

    async def drain(self, replica_id: str, timeout_seconds: float) -> None:
        await self._call(replica_id, "drain", timeout_seconds)

    async def stop(self, replica_id: str) -> None:
        handle = self._handles.pop(replica_id, None)
        if handle is None:
            return
        with contextlib.suppress(RayError, TimeoutError):  # dead or stuck: the kill below is what counts
            left = await asyncio.wait_for(_result(handle.close.remote()), CALL_TIMEOUT_SECONDS)
            if left is not None:
                await asyncio.to_thread(self._keep_log, *left)
        ray.kill(handle, no_restart=True)
        directory = hostsockets.directory_for(self._settings.namespace)
        await asyncio.to_thread(hostsockets.leave, directory, replica_id)  # of a host of this node that did not close

    def _keep_log(self, fqrv: Fqrv, log: ReplicaLog) -> None:
        try:
            servablelog.keep(servablelog.directory_of(self._settings.data_dir, fqrv), log)
        except OSError as error:
            _log.error("the log of a replica of %s is lost: %s", fqrv, error)

    async def survivors(self) -> Mapping[str, Loaded | None]:
        for entry in ray.util.list_named_actors(all_namespaces=True):
            name, namespace = entry["name"], entry["namespace"]
            if namespace == self._settings.namespace and name.startswith(HOST_PREFIX):
                with contextlib.suppress(ValueError):  # it ended just now
                    handle = ray.get_actor(name, namespace=namespace)
                    self._handles[name.removeprefix(HOST_PREFIX)] = handle
        replica_ids = list(self._handles)
        return dict(zip(replica_ids, await asyncio.gather(*map(self._loaded, replica_ids)), strict=True))

    async def _loaded(self, replica_id: str) -> Loaded | None:
        try:
            return cast(Loaded | None, await asyncio.wait_for(self._call(replica_id, "loaded"), CALL_TIMEOUT_SECONDS))
        except (HostLost, TimeoutError):
            return None

    async def _call(self, replica_id: str, method: str, *arguments: Any, retries: int = 0) -> Any:
        handle = self._handles.get(replica_id)
        if handle is None:
            raise HostLost("the host was stopped")
        try:
            return await _result(getattr(handle, method).options(max_task_retries=retries).remote(*arguments))
        except RayActorError as error:
            raise HostLost(self._why_ended(replica_id) or "the host's process died") from error

    def _why_ended(self, replica_id: str) -> str | None:
        """What the watchdog of a host of this node says; ``None`` if the host died otherwise, or on another node."""
        death = death_of(self._left_by(replica_id, ".pulse"))
        return None if death is None else death.message

    def _left_by(self, replica_id: str, suffix: str) -> Path:
        return hostsockets.directory_for(self._settings.namespace) / f"{replica_id}{suffix}"


# --- registry ---------------------------------------------------------------------------------------------------------


@ray.remote
class ForestFlowRegistry:
    """The registry's process. Ray restarts it when it dies; it then replays its journal and finds its hosts again."""

    def __init__(self, settings: ClusterSettings) -> None:
        logs.configure(settings.logs)
        set_oom_score(OWN_SCORE)
        self._settings = settings
        self._registry: Registry | None = None
        self._starting: asyncio.Lock | None = None
        self._refusal: tuple[float, StorageFailed] | None = None  # of the journal, and until when it stands

    async def start(self) -> None:
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            if self._registry is not None:
                return
            if self._refusal is not None and time.monotonic() < self._refusal[0]:
                raise self._refusal[1]
            try:
                self._registry = await self._started()
            except StorageFailed as error:  # routers ask all the time, and to replay a journal takes time
                self._refusal = time.monotonic() + JOURNAL_RETRY_SECONDS, error
                _log.error("the registry does not start: %s", error.message)
                raise

    async def _started(self) -> Registry:
        settings = self._settings
        await asyncio.to_thread(servablelog.remove_old, settings.data_dir, time.time())
        journal = datadir.open_journal(settings.data_dir, settings.journal_url)
        self._artifacts = ArtifactStore(settings.data_dir / "artifacts", settings.artifact_max_bytes, settings.sources)
        try:
            registry = Registry(journal, self._artifacts, RayHosts(settings), settings.registry)
            await registry.start()
        except BaseException:
            journal.close()  # the next call tries again, with another
            raise
        return registry

    async def command(self, command: Command[Any]) -> tuple[Any, int]:
        """``(value or ForestFlowError, Plan version that shows the effect)``."""
        registry = await self._running()
        try:
            value = await registry.run(command)
        except ForestFlowError as error:
            value = error
        return value, registry.version

    async def plan(self, since: int, wait_seconds: float) -> PlanUpdate:
        return await (await self._running()).plan(since, wait_seconds)

    async def report(self, reporter: str, number: int, counts: Mapping[Fqrv, Counts]) -> None:
        await (await self._running()).report_counts(reporter, number, counts)

    async def artifact_files(self, digest: str) -> list[str]:
        await self._running()
        return await asyncio.to_thread(self._artifacts.files, digest)

    async def artifact_part(self, digest: str, relative: str, offset: int) -> bytes:
        await self._running()
        return await asyncio.to_thread(self._artifacts.read, digest, relative, offset)

    async def stop(self) -> None:
        if self._registry is not None:
            await self._registry.stop()

    async def _running(self) -> Registry:
        await self.start()
        assert self._registry is not None
        return self._registry


def registry_client(registry: ActorHandle[Any]) -> RegistryClient:
    """The registry as a router calls it, from any event loop."""

    async def call(method: str, *arguments: Any) -> Any:
        try:
            return await _result(getattr(registry, method).remote(*arguments))
        except RayActorError as error:
            raise Unavailable("the registry is down; scoring goes on, control commands do not") from error
        except RayTaskError as error:
            if isinstance(error.cause, ForestFlowError):
                raise error.cause from error
            raise

    async def command(command: Command[Any]) -> tuple[Any, int]:
        value, version = await call("command", command)
        if isinstance(value, ForestFlowError):
            raise value
        return value, version

    async def plan(since: int, wait_seconds: float) -> PlanUpdate:
        return cast(PlanUpdate, await call("plan", since, wait_seconds))

    async def report(reporter: str, number: int, counts: Mapping[Fqrv, Counts]) -> None:
        await call("report", reporter, number, dict(counts))

    return RegistryClient(command, plan, report)


# --- routers ----------------------------------------------------------------------------------------------------------


@ray.remote
class ForestFlowRouter:
    """A router's process. Ray restarts it when it dies, and it serves again without being asked."""

    def __init__(self, settings: ClusterSettings, router: RouterSettings) -> None:
        logs.configure(settings.logs)
        set_oom_score(OWN_SCORE)
        registry = ray.get_actor(REGISTRY_NAME, namespace=settings.namespace)
        dispatch = replace(router.dispatch, node_id=_node_id())
        self._router = Router(replace(router, dispatch=dispatch), registry_client(registry))
        self._endpoint = self._router.start()

    def endpoint(self) -> tuple[str, int]:
        return self._endpoint

    def stop(self) -> None:
        self._router.stop()
