"""Watches the base directories of contracts and deploys and retires their versions, as ``domain.versions`` decides.

A look is: list the directory (in a thread of its own, for it may hang), plan, act. Looks of one contract follow each
other; a directory that is slow or cannot be read changes nothing and holds nobody else up; a remote one that cannot be
read is left alone for longer each time. Only the watch itself and what was deployed are journalled: fingerprints and
failures are found out again after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from forestflow.artifacts.sources.directories import Unread, is_local
from forestflow.controlplane.queries import Knowledge, Queries
from forestflow.domain.errors import ArtifactRejected, ForestFlowError, StorageFailed
from forestflow.domain.events import Event, ServablesDeleted, VersionsForgotten
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.refusals import NotWatched, UnknownServable
from forestflow.domain.requests import ServeRequest
from forestflow.domain.state import Release
from forestflow.domain.versions import (
    Failure,
    ObservedVersions,
    Step,
    Verdict,
    VersionsReport,
    VersionState,
    VersionStatus,
    Watch,
    plan_versions,
    retry_pause_ms,
    version_number,
    wanted_versions,
)

SETTLE_SECONDS = 2.0  # between two looks while something is being written, unless the watch polls faster
SLOW_SECONDS = 10.0  # over which a look that has not ended is reported
LIST_SECONDS = 30.0  # over which nobody waits for it any more
MAX_HANGING = 4  # looks that nobody waits for; with so many there is no other

_log = logging.getLogger("forestflow.versions")

T = TypeVar("T")


class Directories(Protocol):
    """Where versions are looked for. A look may take long, and is made in a thread of its own."""

    def look(self, watch: Watch, unread: Unread) -> dict[int, str | None]:
        """See :meth:`forestflow.artifacts.sources.directories.SourceDirectories.look`."""
        ...


@dataclass(slots=True, eq=False)
class _Watching:
    """What is known of one contract's versions beside the control state."""

    watch: Watch
    found: dict[int, str | None] = field(default_factory=dict)
    before: dict[int, str | None] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    loading: int | None = None
    looked_at_ms: int | None = None
    message: str | None = None
    errors: int = 0  # of looks, in a row
    looks: set[asyncio.Future[dict[int, str | None]]] = field(default_factory=set)  # one, and those that hang
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Versions:
    """All watches of a registry; ``deploy``, ``cancel`` and ``commit`` are the registry's own."""

    def __init__(
        self,
        known: Knowledge,
        queries: Queries,
        directories: Directories,
        deploy: Callable[[ServeRequest], Awaitable[Fqrv]],
        cancel: Callable[[Fqrv], bool],
        commit: Callable[[Contract, Sequence[Event]], None],
    ) -> None:
        self._known = known
        self._queries = queries
        self._directories = directories
        self._deploy = deploy
        self._cancel = cancel
        self._commit = commit
        self._watching: dict[Contract, _Watching] = {}

    def watch_of(self, contract: Contract) -> Watch:
        """Raises UnknownContract, NotWatched."""
        watch = self._known.state.known_contract(contract).watch
        if watch is None:
            raise NotWatched(contract)
        return watch

    def follow(self, contract: Contract) -> None:
        """Begin, hurry or end the looks at a contract, as its state now says."""
        known = self._known.state.contracts.get(contract)
        watch = known.watch if known is not None else None
        watching = self._watching.get(contract)
        if watching is not None and watching.watch == watch:
            return
        if watch is not None and watching is not None and watching.watch == _under(watch, watching.watch):
            watching.watch = watch
            watching.wake.set()
            return
        if watching is not None:
            self._end(contract, watching)
        if watch is not None:
            watching = self._watching[contract] = _Watching(watch)
            self._spawn(watching, self._keep_looking(contract, watching))

    def close(self) -> None:
        """Look no more."""
        for watching in self._watching.values():
            for task in watching.tasks | watching.looks:
                task.cancel()
        self._watching.clear()

    async def check(self, watch: Watch) -> None:
        """Raises ArtifactRejected for a base directory that cannot be listed, Malformed for one that holds a secret."""
        try:
            async with asyncio.timeout(LIST_SECONDS):
                await _in_thread(self._directories.look, watch, _none)
        except TimeoutError:
            raise ArtifactRejected(f"the base directory was not listed within {LIST_SECONDS:g} s") from None
        except OSError as error:
            raise ArtifactRejected(_unreadable(error)) from error

    async def tried(self, contract: Contract, seconds: float) -> None:
        """Wait until every version that is wanted has been tried, at most so long."""
        watching = self._watching[contract]
        watching.tried.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await watching.tried.wait()

    async def report(self, contract: Contract) -> VersionsReport:
        """Where each version stands. Raises UnknownContract, NotWatched."""
        watch, watching = self.watch_of(contract), self._watching[contract]
        verdicts = self._plan(contract, watch, watching)
        versions = tuple(
            [await self._status(watch, verdict) for verdict in verdicts if verdict.step is not Step.FORGET]
        )
        return VersionsReport(watch, versions, watching.looked_at_ms, watching.message)

    # --- looking -----------------------------------------------------------------------------------------------------

    async def _keep_looking(self, contract: Contract, watching: _Watching) -> None:
        while self._watching.get(contract) is watching:
            watching.wake.clear()
            pause: float | None = SETTLE_SECONDS
            try:
                pause = await self.look(contract)
            except StorageFailed as error:  # tried again at the next look
                _log.error("%s", error.message, extra={"release": str(contract)})
            except Exception:  # of ours: the directory must go on being looked at
                _log.exception("a look at versions failed", extra={"release": str(contract)})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await watching.wake.wait()

    async def look(self, contract: Contract) -> float | None:
        """List, plan and act once; returns the seconds until the next look, ``None``: when something happens."""
        watch, watching = self.watch_of(contract), self._watching[contract]
        pause = watch.poll_seconds or SETTLE_SECONDS
        try:
            found = await self._list(contract, watch, watching)
        except (ForestFlowError, OSError) as error:
            reason = error.message if isinstance(error, ForestFlowError) else _unreadable(error)
            if reason != watching.message:
                _log.warning("versions: %s", reason, extra={"release": str(contract)})
            watching.message = reason
            watching.tried.set()
            watching.errors += 1
            return pause if is_local(watch.path) else max(pause, retry_pause_ms(watching.errors) / 1000)
        if self._watching.get(contract) is not watching or self.watch_of(contract) != watch:
            return 0.0  # another watch by now
        watching.before, watching.found = watching.found, found
        watching.looked_at_ms, watching.message, watching.errors = self._known.now_ms(), None, 0
        verdicts = self._plan(contract, watch, watching)
        self._act(contract, watch, watching, verdicts)
        steps = {verdict.step for verdict in verdicts}
        if not steps & {Step.DEPLOY, Step.LOAD, Step.WAIT, Step.CANCEL}:
            watching.tried.set()
            if not watch.poll_seconds and Step.KEEP not in steps:
                return None
        # What is uploaded file by file rests longer in between than what is written to a disk
        return min(pause, SETTLE_SECONDS) if Step.WAIT in steps and is_local(watch.path) else pause

    async def _list(self, contract: Contract, watch: Watch, watching: _Watching) -> dict[int, str | None]:
        deployed = self._known.state.contracts[contract].versions().keys()
        if len(watching.looks) >= MAX_HANGING:
            raise ArtifactRejected(f"{MAX_HANGING} looks at the base directory hang; waiting for one of them")

        def unread(numbers: Collection[int]) -> AbstractSet[int]:
            return wanted_versions(watch.policy, numbers) - deployed

        look = asyncio.ensure_future(_in_thread(self._directories.look, watch, unread))
        watching.looks.add(look)
        look.add_done_callback(watching.looks.discard)
        look.add_done_callback(_disregard)
        done, _ = await asyncio.wait({look}, timeout=SLOW_SECONDS)
        if not done:
            watching.message = f"the directory has not been listed within {SLOW_SECONDS:g} s; waiting for it"
            watching.tried.set()
            done, _ = await asyncio.wait({look}, timeout=LIST_SECONDS - SLOW_SECONDS)
        if not done:
            raise ArtifactRejected(f"the base directory was not listed within {LIST_SECONDS:g} s")
        return look.result()

    # --- planning and acting -----------------------------------------------------------------------------------------

    def _plan(self, contract: Contract, watch: Watch, watching: _Watching) -> list[Verdict]:
        known = self._known.state.contracts[contract]
        ours = known.versions()
        others = [release for release in known.releases.values() if watch.version_of(release.request) is None]
        occupied = {version_number(release.fqrv.release_version) for release in others}
        seen = ObservedVersions(
            watching.found,
            watching.before,
            {version: self._answers(release) for version, release in ours.items()},
            any(map(self._answers, others)),
            {number for number in occupied if number is not None},
            known.taken,
            set() if watching.loading is None else {watching.loading},
            watching.failures,
        )
        return plan_versions(watch.policy, seen, self._known.now_ms())

    def _answers(self, release: Release) -> bool:
        """Whether users can get an answer from it now."""
        replicas = self._known.replicas
        loaded = bool(replicas.addresses(release.fqrv)) and not replicas.failed(release.fqrv)
        return loaded and release.became_valid_at_ms is not None

    def _act(self, contract: Contract, watch: Watch, watching: _Watching, verdicts: Sequence[Verdict]) -> None:
        retired = [verdict.version for verdict in verdicts if verdict.step is Step.RETIRE]
        forgotten = [verdict.version for verdict in verdicts if verdict.step in (Step.RETIRE, Step.FORGET)]
        for verdict in verdicts:
            if verdict.step is Step.CANCEL:
                self._cancel(watch.fqrv(verdict.version))
            elif verdict.step is Step.DEPLOY:
                watching.loading = verdict.version
                self._spawn(watching, self._deploy_version(watch, watching, verdict.version))
        if forgotten:
            events: list[Event] = [ServablesDeleted(tuple(map(watch.fqrv, retired)))] if retired else []
            self._commit(contract, [*events, VersionsForgotten(contract, tuple(forgotten))])

    async def _deploy_version(self, watch: Watch, watching: _Watching, version: int) -> None:
        fingerprint = watching.found.get(version)
        try:
            await self._deploy(watch.request(version))
            watching.failures.pop(version, None)
        except Exception as error:
            if isinstance(error, ForestFlowError):
                message = error.message
            else:
                message = f"{type(error).__name__}: {error}"
                _log.error("a version was not deployed", exc_info=error, extra={"release": str(watch.fqrv(version))})
            before = watching.failures.get(version)
            count = before.count + 1 if before and before.fingerprint == fingerprint else 1
            watching.failures[version] = Failure(fingerprint, count, self._known.now_ms(), message)
        finally:
            watching.loading = None
            watching.wake.set()

    def _end(self, contract: Contract, watching: _Watching) -> None:
        del self._watching[contract]
        for look in watching.looks:
            look.cancel()
        if watching.loading is not None:
            self._cancel(Fqrv(contract, str(watching.loading)))
        watching.tried.set()
        watching.wake.set()

    def _spawn(self, watching: _Watching, coroutine: Awaitable[None]) -> None:
        task = asyncio.ensure_future(coroutine)
        watching.tasks.add(task)
        task.add_done_callback(watching.tasks.discard)

    # --- telling -----------------------------------------------------------------------------------------------------

    async def _status(self, watch: Watch, verdict: Verdict) -> VersionStatus:
        version, reason = verdict.version, verdict.reason
        match verdict.step:
            case Step.DEPLOY | Step.WAIT:
                return VersionStatus(version, VersionState.WAITING, reason)
            case Step.RETRY:
                return VersionStatus(version, VersionState.FAILED, reason)
            case Step.REST | Step.FORGET:
                return VersionStatus(version, VersionState.RETIRED, reason)
            case _:
                try:
                    status = await self._queries.status_of(watch.fqrv(version))
                except UnknownServable:  # its load begins or ends just now
                    return VersionStatus(version, VersionState.LOADING, reason)
                return VersionStatus(version, VersionState[status.state.value], reason or status.message)


def _none(numbers: Collection[int]) -> AbstractSet[int]:
    return frozenset()


def _disregard(late: asyncio.Future[dict[int, str | None]]) -> None:
    """What a look that nobody waits for any more finds out: asked for, lest it be reported as forgotten."""
    if not late.cancelled():
        late.exception()


def _under(watch: Watch, other: Watch) -> Watch:
    """``watch`` with the policy of another: versions that were looked at stay the same ones."""
    return replace(watch, policy=other.policy, poll_seconds=other.poll_seconds)


async def _in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a function that may hang for ever in a thread that nobody waits for."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if outcome.cancelled():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(value)  # type: ignore[arg-type]  # without an error there is a value

    def run() -> None:
        value, error = None, None
        try:
            value = function(*arguments)
        except Exception as failed:
            error = failed
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="versions", daemon=True).start()
    return await outcome


def _unreadable(error: OSError) -> str:
    """Without the path, which is the server's own affair."""
    return f"the base directory cannot be read: {error.strerror or type(error).__name__}"
