"""The only module that talks to Ray: actors for the registry, the routers and the hosts, and the operations on them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError, RayTaskError

from forestflow.domain.errors import ForestFlowError, LoadFailed, Unavailable
from forestflow.domain.ids import Fqrv
from forestflow.domain.plan import PlanUpdate
from forestflow.domain.settings import Resources
from forestflow.runtime import logs
from forestflow.runtime.artifacts import ArtifactCache, ArtifactStore
from forestflow.runtime.assignment import Assignment, Loaded
from forestflow.runtime.host import Host
from forestflow.runtime.registry import Registry, RegistrySettings
from forestflow.runtime.replicas import HostLost
from forestflow.runtime.router import RegistryClient, Router, RouterSettings
from forestflow.runtime.store import Journal

REGISTRY_NAME = "registry"
HOST_PREFIX = "host-"
CALL_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What every actor of one ForestFlow in one Ray cluster shares."""

    namespace: str
    secret: bytes
    data_dir: Path
    journal_url: str | None
    artifact_max_bytes: int
    logs: logs.LogSettings
    registry: RegistrySettings


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
        self._settings = settings
        self._released = threading.Event()
        self._artifacts = ArtifactCache(_cache_directory(settings.namespace), _RegistryArtifacts(settings.namespace))
        self._host = Host(
            node_id=_node_id(),
            bind_ip=ray.util.get_node_ip_address(),
            socket_directory=_socket_directory(settings.namespace),
            secret=settings.secret,
        )

    def alive(self) -> bool:
        return True

    def load(self, assignment: Assignment) -> Loaded | ForestFlowError:
        try:
            return self._host.load(self._with_local_artifact(assignment))
        except ForestFlowError as error:
            return error
        except Exception as error:  # a model may fail in any way; the host stays to try again
            return LoadFailed(f"{type(error).__name__}: {error}")

    def loaded(self) -> Loaded | None:
        return self._host.loaded

    def hold(self) -> None:
        """Returns when somebody else holds: the caller learns of the death of this process, or of another registry."""
        self._released.set()  # whoever held before is gone, and must not keep a thread for ever
        self._released = released = threading.Event()
        released.wait()

    def drain(self, timeout_seconds: float) -> bool:
        return self._host.drain(timeout_seconds)

    def close(self) -> None:
        self._host.close()
        self._artifacts.release()

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


def _socket_directory(namespace: str) -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"  # short, as the paths of sockets must be
    return Path(base) / f"{namespace}-{os.getuid()}"


def _cache_directory(namespace: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{namespace}-{os.getuid()}-artifacts"


class RayHosts:
    """The registry's operations on hosts, as Ray calls. See :class:`forestflow.runtime.replicas.Hosts`."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._handles: dict[str, ActorHandle[Any]] = {}

    async def start(self, replica_id: str, resources: Resources) -> None:
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
        self._handles[replica_id] = cast(Any, ForestFlowHost).options(**options).remote(self._settings)
        await self.alive(replica_id)

    async def alive(self, replica_id: str) -> None:
        await self._call(replica_id, "alive", retries=-1)

    async def load(self, replica_id: str, assignment: Assignment) -> Loaded:
        outcome = await self._call(replica_id, "load", assignment)
        if isinstance(outcome, ForestFlowError):
            raise outcome
        return cast(Loaded, outcome)

    async def lost(self, replica_id: str) -> None:
        try:
            await self._call(replica_id, "hold")
        except HostLost:
            return
        await asyncio.Event().wait()  # another registry has taken the host over: it is not ours to miss

    async def drain(self, replica_id: str, timeout_seconds: float) -> None:
        await self._call(replica_id, "drain", timeout_seconds)

    async def stop(self, replica_id: str) -> None:
        handle = self._handles.pop(replica_id, None)
        if handle is None:
            return
        with contextlib.suppress(RayError, TimeoutError):  # dead or stuck: the kill below is what counts
            await asyncio.wait_for(_result(handle.close.remote()), CALL_TIMEOUT_SECONDS)
        ray.kill(handle, no_restart=True)

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
            raise HostLost("the host's process died") from error


# --- registry ---------------------------------------------------------------------------------------------------------


@ray.remote
class ForestFlowRegistry:
    """The registry's process. Ray restarts it when it dies; it then replays its journal and finds its hosts again."""

    def __init__(self, settings: ClusterSettings) -> None:
        logs.configure(settings.logs)
        self._settings = settings
        self._registry: Registry | None = None
        self._starting: asyncio.Lock | None = None

    async def start(self) -> None:
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            if self._registry is not None:
                return
            settings = self._settings
            journal = Journal(settings.journal_url) if settings.journal_url else Journal.in_directory(settings.data_dir)
            self._artifacts = ArtifactStore(settings.data_dir / "artifacts", settings.artifact_max_bytes)
            try:
                registry = Registry(journal, self._artifacts, RayHosts(settings), settings.registry)
                await registry.start()
            except BaseException:
                journal.close()  # the next call tries again, with another
                raise
            self._registry = registry

    async def command(self, name: str, *arguments: Any) -> tuple[Any, int]:
        """``(value or ForestFlowError, Plan version that shows the effect)``."""
        registry = await self._running()
        try:
            value = await registry.handler(name)(*arguments)
        except ForestFlowError as error:
            value = error
        return value, registry.version

    async def plan(self, since: int, wait_seconds: float) -> PlanUpdate:
        return await (await self._running()).plan(since, wait_seconds)

    async def report(self, reporter: str, number: int, counts: Mapping[Fqrv, tuple[int, int]]) -> None:
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

    async def command(name: str, *arguments: Any) -> tuple[Any, int]:
        value, version = await call("command", name, *arguments)
        if isinstance(value, ForestFlowError):
            raise value
        return value, version

    async def plan(since: int, wait_seconds: float) -> PlanUpdate:
        return cast(PlanUpdate, await call("plan", since, wait_seconds))

    async def report(reporter: str, number: int, counts: Mapping[Fqrv, tuple[int, int]]) -> None:
        await call("report", reporter, number, dict(counts))

    return RegistryClient(command, plan, report)


# --- routers ----------------------------------------------------------------------------------------------------------


@ray.remote
class ForestFlowRouter:
    """A router's process. Ray restarts it when it dies, and it serves again without being asked."""

    def __init__(self, settings: ClusterSettings, router: RouterSettings) -> None:
        logs.configure(settings.logs)
        registry = ray.get_actor(REGISTRY_NAME, namespace=settings.namespace)
        dispatch = replace(router.dispatch, node_id=_node_id())
        self._router = Router(replace(router, dispatch=dispatch), registry_client(registry))
        self._endpoint = self._router.start()

    def endpoint(self) -> tuple[str, int]:
        return self._endpoint

    def stop(self) -> None:
        self._router.stop()
