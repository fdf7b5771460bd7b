"""The registry's view of its replicas: runs the reconciler's actions through a host pool and follows what happens.

Everything runs on the registry's event loop; only the operations themselves (start, load, drain, stop) take time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from forestflow.controlplane.reconcile import FREE_RESTARTS, Await, Drain, Load, ObservedReplica, Start, Stop, reconcile
from forestflow.controlplane.waits import explained
from forestflow.domain.assignment import Assignment, Loaded
from forestflow.domain.errors import ForestFlowError
from forestflow.domain.ids import Fqrv
from forestflow.domain.lifecycle import ReplicaState, advance_replica
from forestflow.domain.plan import ReplicaAddress
from forestflow.domain.reports import LogPosition, ReplicaLoad, ReplicaLog, ReplicaStatus
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import ModelMetadata
from forestflow.servables import loading

DRAIN_SECONDS = 10.0
PLAN_GRACE_SECONDS = 0.25  # for routers to see the Plan without a replica before it is drained
MAX_READY_FAILURES = FREE_RESTARTS + 2  # whoever dies soon after it was ready is back within seconds, but does not spin
EXPLAIN_SECONDS = 3.0  # a host whose process takes longer may wait for resources
STEADY_SECONDS = 10.0  # ready for so long, a replica's earlier failures are forgotten, unless its watchdog ended it

_log = logging.getLogger("forestflow.registry")


class HostLost(Exception):
    """The process of a host is gone: ``HostLost(message)``."""


class Hosts(Protocol):
    """Operations on host processes, as the cluster offers them."""

    async def start(self, replica_id: str, resources: Resources, requirements: Sequence[str]) -> None:
        """Create a host, for a model with those pip requirements, and return when its process is there."""
        ...

    async def alive(self, replica_id: str) -> None:
        """Return when the host's process is there (again); raises HostLost when it never will be."""
        ...

    async def load(self, replica_id: str, assignment: Assignment, report: Callable[[str], None]) -> Loaded:
        """``report`` is told, again and again, what is being installed for the model.

        Raises LoadFailed, or HostLost when the process died over it.
        """
        ...

    async def lacking(self, resources: Resources, now: bool = False) -> str | None:
        """What no node that is up has for such a host, or ``now`` has free for it; ``None`` when one could hold it."""
        ...

    async def lost(self, replica_id: str) -> str | None:
        """Return when the host's process is gone; if its watchdog ended it, the reason."""
        ...

    async def inspect(self, replica_id: str) -> ReplicaLoad | None:
        """What a loaded host does now; ``None`` when it does not answer soon."""
        ...

    async def logs(
        self, fqrv: Fqrv, replica_ids: Sequence[str], tail: int, after: Mapping[str, LogPosition]
    ) -> list[ReplicaLog]:
        """The last lines of each replica's log, or what came after a position; of all there are, if none is named."""
        ...

    async def drain(self, replica_id: str, timeout_seconds: float) -> None: ...

    async def stop(self, replica_id: str) -> None:
        """End the process for good; unknown hosts are ignored."""
        ...

    async def survivors(self) -> Mapping[str, Loaded | None]:
        """The hosts that an earlier registry left running, with what each has loaded."""
        ...


@dataclass(slots=True, eq=False)
class _Replica:
    replica_id: str
    fqrv: Fqrv
    state: ReplicaState
    since: float
    failures: int = 0  # in a row; being ready for a moment does not end the row
    refused: bool = False  # its last load failed
    deaths: int = 0  # of its process over one load, in a row
    busy: bool = False
    loaded: Loaded | None = None
    message: str | None = None
    ended: str | None = None  # why the watchdog ended its last process, told also when it is back

    @property
    def failed(self) -> bool:
        return self.refused or self.deaths >= FREE_RESTARTS


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a release is to be hosted."""

    replicas: int
    resources: Resources
    assignment: Callable[[str], Assignment]  # by replica id


class ReplicaSet:
    """All replicas of all releases. ``changed(fqrv)`` is called whenever something a Plan or user may see changed."""

    def __init__(
        self,
        hosts: Hosts,
        wanted: Callable[[], Mapping[Fqrv, Wanted]],
        changed: Callable[[Fqrv], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hosts = hosts
        self._wanted = wanted
        self._changed = changed
        self._clock = clock
        self._replicas: dict[str, _Replica] = {}
        self._of: dict[Fqrv, list[_Replica]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stops: set[asyncio.Task[None]] = set()

    # --- what others may know ----------------------------------------------------------------------------------------

    def addresses(self, fqrv: Fqrv) -> tuple[ReplicaAddress, ...]:
        """Where the release's ready replicas answer."""
        return tuple(r.loaded.address for r in self._of.get(fqrv, ()) if r.state is ReplicaState.READY and r.loaded)

    def states(self, fqrv: Fqrv) -> list[tuple[ReplicaState, str | None]]:
        """State and message of each replica of the release."""
        return [(r.state, r.message) for r in self._of.get(fqrv, ())]

    def model(self, fqrv: Fqrv) -> ModelMetadata | None:
        """What a loaded replica of the release says of its model."""
        return next((r.loaded.metadata for r in self._of.get(fqrv, ()) if r.loaded), None)

    async def inspect(self, fqrv: Fqrv) -> list[ReplicaStatus]:
        """Each replica of the release, asked now."""
        replicas = list(self._of.get(fqrv, ()))
        loads = await asyncio.gather(*[self._inspect(replica) for replica in replicas])
        return [
            ReplicaStatus(fqrv, replica.replica_id, replica.state, load, replica.message)
            for replica, load in zip(replicas, loads, strict=True)
        ]

    async def _inspect(self, replica: _Replica) -> ReplicaLoad | None:
        return await self._hosts.inspect(replica.replica_id) if replica.loaded else None

    async def logs(self, fqrv: Fqrv, tail: int, after: Mapping[str, LogPosition]) -> list[ReplicaLog]:
        """The logs of the release's replicas; when it has none any more, of those it had."""
        return await self._hosts.logs(fqrv, [r.replica_id for r in self._of.get(fqrv, ())], tail, after)

    def failed(self, fqrv: Fqrv) -> bool:
        """Whether no replica of the release can be loaded, be it that one is being tried again.

        One that was lost is not failed: its requests wait for it.
        """
        replicas = self._of.get(fqrv, ())
        return bool(replicas) and all(r.failed for r in replicas)

    # --- control -----------------------------------------------------------------------------------------------------

    async def adopt(self) -> None:
        """Take over the hosts that survived an earlier registry; stop those that are of no use."""
        wanted = self._wanted()
        for replica_id, loaded in (await self._hosts.survivors()).items():
            target = wanted.get(loaded.assignment.fqrv) if loaded else None
            if loaded and target and _fits(loaded.assignment, target):
                fqrv = loaded.assignment.fqrv
                replica = self._add(_Replica(replica_id, fqrv, ReplicaState.READY, self._clock(), loaded=loaded))
                self._spawn(self._watch(replica))
                self._changed(fqrv)
            else:
                self._end(replica_id)

    def reconcile(self) -> None:
        """Take the next steps towards what is wanted."""
        wanted = self._wanted()
        observed = {
            r.replica_id: ObservedReplica(r.replica_id, r.fqrv, r.state, r.since, r.failures, r.busy)
            for r in self._replicas.values()
        }
        for action in reconcile({f: w.replicas for f, w in wanted.items()}, observed, self._clock()):
            match action:
                case Start(fqrv):
                    self._start(fqrv, wanted[fqrv])
                case Await(replica_id):
                    replica = self._replicas[replica_id]
                    self._move(replica, ReplicaState.STARTING)
                    self._operate(replica, self._await(replica, wanted[replica.fqrv]))
                case Load(replica_id):
                    replica = self._replicas[replica_id]
                    self._move(replica, ReplicaState.LOADING)
                    self._operate(replica, self._load(replica, wanted[replica.fqrv]))
                case Drain(replica_id):
                    replica = self._replicas[replica_id]
                    self._move(replica, ReplicaState.DRAINING)
                    self._spawn(self._drain(replica))
                case Stop(replica_id):
                    self._stop(self._replicas[replica_id])

    async def close(self) -> None:
        """Stop every host, and see those off that were stopping already."""
        for task in self._tasks:
            task.cancel()
        for replica_id in self._replicas:
            self._end(replica_id)
        self._replicas.clear()
        self._of.clear()
        await asyncio.gather(*self._stops, return_exceptions=True)

    # --- operations --------------------------------------------------------------------------------------------------

    def _start(self, fqrv: Fqrv, wanted: Wanted) -> None:
        replica = self._add(_Replica(uuid.uuid4().hex[:12], fqrv, ReplicaState.STARTING, self._clock()))
        self._operate(replica, self._begin(replica, wanted))

    async def _begin(self, replica: _Replica, wanted: Wanted) -> None:
        requirements = await asyncio.to_thread(_requirements, wanted, replica.replica_id)
        async with self._explained(replica, wanted.resources):
            await self._hosts.start(replica.replica_id, wanted.resources, requirements)

    async def _await(self, replica: _Replica, wanted: Wanted) -> None:
        try:
            async with self._explained(replica, wanted.resources):
                await self._hosts.alive(replica.replica_id)
        except HostLost:  # for good: in its place comes another
            await self._hosts.stop(replica.replica_id)
            await self._begin(replica, wanted)

    @contextlib.asynccontextmanager
    async def _explained(self, replica: _Replica, resources: Resources) -> AsyncIterator[None]:
        """While a host's process is awaited, and that takes long, its status says what it waits for."""

        def say(why: str | None) -> None:
            if self._has(replica) and replica.message != why:
                replica.message = why
                self._changed(replica.fqrv)

        before = replica.message
        async with explained(lambda: self._hosts.lacking(resources, now=True), say, EXPLAIN_SECONDS):
            yield
        replica.message = before

    async def _load(self, replica: _Replica, wanted: Wanted) -> None:
        def report(text: str) -> None:
            if self._has(replica) and replica.state is ReplicaState.LOADING:
                replica.message = text
                self._changed(replica.fqrv)

        loaded = await self._hosts.load(replica.replica_id, wanted.assignment(replica.replica_id), report)
        if not self._has(replica):  # it was stopped meanwhile
            return
        replica.loaded = loaded
        replica.failures = min(replica.failures, MAX_READY_FAILURES)
        replica.refused, replica.deaths = False, 0
        replica.message = replica.ended
        self._move(replica, ReplicaState.READY)
        self._spawn(self._watch(replica))

    async def _watch(self, replica: _Replica) -> None:
        try:
            ended = await self._hosts.lost(replica.replica_id)
            why = ended or "the host's process died"
        except Exception as error:  # whatever it is, this host is no longer watched
            ended, why = None, _reason(error)
        if self._has(replica) and replica.state in (ReplicaState.READY, ReplicaState.DRAINING):
            replica.ended = ended
            self._lose(replica, why)

    async def _drain(self, replica: _Replica) -> None:
        await asyncio.sleep(PLAN_GRACE_SECONDS)
        try:
            await self._hosts.drain(replica.replica_id, DRAIN_SECONDS)
        except HostLost:
            pass  # gone already: nothing left to drain
        except Exception as error:
            _reason(error)
        if self._has(replica):
            self._stop(replica)

    def _stop(self, replica: _Replica) -> None:
        self._move(replica, ReplicaState.STOPPED)
        del self._replicas[replica.replica_id]
        of_release = self._of[replica.fqrv]
        of_release.remove(replica)
        if not of_release:
            del self._of[replica.fqrv]
        self._end(replica.replica_id)

    def _end(self, replica_id: str) -> None:
        """End a host's process; the only operation that goes on when the registry stops."""
        task = asyncio.get_running_loop().create_task(self._hosts.stop(replica_id))
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)
        task.add_done_callback(_log_failure)

    def _fail(self, replica: _Replica, why: str) -> None:
        """An operation failed; the next try waits longer."""
        if replica.state is not ReplicaState.LOADING:
            self._lose(replica, why)
            return
        replica.failures += 1
        replica.refused = True
        replica.message = why
        _log.error("load failed: %s", why, extra={"release": str(replica.fqrv)})
        self._move(replica, ReplicaState.FAILED)

    def _lose(self, replica: _Replica, why: str) -> None:
        steady = self._clock() - replica.since >= STEADY_SECONDS and not replica.ended
        if replica.state is ReplicaState.READY and steady:
            replica.failures = 0
        replica.failures += 1
        replica.deaths += replica.state is ReplicaState.LOADING
        replica.loaded = None
        replica.message = why
        _log.warning("replica lost: %s", why, extra={"release": str(replica.fqrv)})
        self._move(replica, ReplicaState.LOST)
        self.reconcile()

    def _add(self, replica: _Replica) -> _Replica:
        self._replicas[replica.replica_id] = replica
        self._of.setdefault(replica.fqrv, []).append(replica)
        return replica

    # --- plumbing ----------------------------------------------------------------------------------------------------

    def _move(self, replica: _Replica, state: ReplicaState) -> None:
        replica.state = advance_replica(replica.state, state)
        replica.since = self._clock()
        self._changed(replica.fqrv)

    def _operate(self, replica: _Replica, operation: Coroutine[Any, Any, None]) -> None:
        replica.busy = True

        async def run() -> None:
            try:
                await operation
            except HostLost as lost:
                if self._has(replica):
                    self._lose(replica, str(lost))
            except Exception as error:
                why = _reason(error)
                if self._has(replica):
                    self._fail(replica, why)
            finally:
                replica.busy = False
            if self._has(replica):
                self.reconcile()

        self._spawn(run())

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_log_failure)

    def _has(self, replica: _Replica) -> bool:
        return self._replicas.get(replica.replica_id) is replica


def _requirements(wanted: Wanted, replica_id: str) -> tuple[str, ...]:
    """In a thread, for it reads files: what pip must install."""
    try:
        assignment = wanted.assignment(replica_id)
        return loading.requirements(assignment.artifact, assignment.flavor)
    except ForestFlowError:  # the artifact is lost, as loading it will tell
        return ()


def _fits(loaded: Assignment, wanted: Wanted) -> bool:
    """Whether a host has what it would get today. Where it read the artifact from does not matter."""
    try:
        today = wanted.assignment(loaded.replica_id)
    except ForestFlowError:  # the artifact is lost: what runs is the last there is of it
        return True
    return replace(loaded, artifact=today.artifact) == today


def _reason(error: Exception) -> str:
    """What to tell of a failed operation; the log gets the rest of what nobody foresaw."""
    if isinstance(error, ForestFlowError):
        return error.message
    _log.error("an operation on a replica failed", exc_info=error)
    return f"{type(error).__name__}: {error}"


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("an operation on a replica failed", exc_info=error)
