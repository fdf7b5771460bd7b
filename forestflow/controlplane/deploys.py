"""Deploys under way: releases that are loading, in neither the journal nor the Plan yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from forestflow.artifacts.store import ArtifactStore
from forestflow.controlplane.replicas import Hosts, ReplicaSet
from forestflow.domain.errors import ArtifactRejected, LoadFailed
from forestflow.domain.ids import Fqrv
from forestflow.domain.lifecycle import ReplicaState
from forestflow.domain.refusals import ServableAlreadyExists, ServeRequestInvalid
from forestflow.domain.requests import ServeRequest
from forestflow.domain.state import State
from forestflow.settings.sections import RegistrySettings


@dataclass(slots=True)
class LoadingRelease:
    """A deploy under way. ``outcome`` is set once a replica is ready, or with the reason why none will be."""

    request: ServeRequest
    outcome: asyncio.Future[None]
    digest: str | None = None
    message: str | None = None  # how far the fetch is
    limit: asyncio.Timeout | None = None  # of the load

    @property
    def failed(self) -> bool:
        return self.outcome.done() and (self.outcome.cancelled() or self.outcome.exception() is not None)


class Deploys:
    """Runs on the registry's event loop. What fails leaves nothing behind."""

    def __init__(
        self,
        state: State,
        artifacts: ArtifactStore,
        replicas: ReplicaSet,
        hosts: Hosts,
        settings: RegistrySettings,
    ) -> None:
        self.pending: dict[Fqrv, LoadingRelease] = {}
        self._state = state
        self._artifacts = artifacts
        self._replicas = replicas
        self._hosts = hosts
        self._settings = settings
        self._dropped: set[str] = set()  # digests that are to be removed unless somebody uses them

    def loading(self) -> Iterator[tuple[ServeRequest, str]]:
        """The requests whose artifacts are there, and still worth loading, with the digest of each."""
        for pending in self.pending.values():
            if pending.digest is not None and not pending.failed:
                yield pending.request, pending.digest

    async def run(self, request: ServeRequest, commit: Callable[[str], None]) -> None:
        """Copy, load, and with the first replica ready ``commit`` the digest; raises ServeRequestInvalid.

        Raises ServableAlreadyExists for a release that is loading already.
        """
        fqrv = request.fqrv
        if fqrv in self.pending:
            raise ServableAlreadyExists(fqrv, self.pending[fqrv].request.servable_settings)
        pending = self.pending[fqrv] = LoadingRelease(request, asyncio.get_running_loop().create_future())
        try:
            digest = await self._load(pending)
            del self.pending[fqrv]
            commit(digest)
        except (ArtifactRejected, LoadFailed) as error:
            raise ServeRequestInvalid(request, error.message) from error
        finally:
            self.pending.pop(fqrv, None)
            if self._state.release(fqrv) is None:
                self._replicas.reconcile()
                if pending.digest is not None:
                    self._dropped.add(pending.digest)
            self._remove_dropped()

    def cancel(self, fqrv: Fqrv) -> bool:
        """Give up the load of a release; whether there was one."""
        pending = self.pending.get(fqrv)
        if pending is None or pending.outcome.done():
            return False
        pending.outcome.set_exception(LoadFailed("the release was deleted while it was loading"))
        return True

    def replica_changed(self, fqrv: Fqrv) -> None:
        """See whether the release's load has an outcome now. What is installed for it first has a limit of its own."""
        pending = self.pending.get(fqrv)
        if pending is None or pending.outcome.done():
            return
        for state, message in self._replicas.states(fqrv):
            if state is ReplicaState.READY:
                pending.outcome.set_result(None)
                return
            if state in (ReplicaState.FAILED, ReplicaState.LOST):
                pending.outcome.set_exception(LoadFailed(message or "the model did not load"))
                return
            if state is ReplicaState.LOADING and message and pending.limit is not None and not pending.limit.expired():
                pending.limit.reschedule(asyncio.get_running_loop().time() + self._settings.load_timeout_seconds)

    def drop_artifact(self, digest: str) -> None:
        """Remove an artifact that nobody uses, as soon as no deploy may be about to use it."""
        self._dropped.add(digest)
        self._remove_dropped()

    def _remove_dropped(self) -> None:
        coming = {pending.digest for pending in self.pending.values()}
        if None in coming:  # what is being fetched may be any of them; its deploy looks again when it ends
            return
        used = {release.digest for release in self._state.releases()}
        for digest in self._dropped - used - coming:
            self._artifacts.remove(digest)
        self._dropped &= coming

    async def _load(self, pending: LoadingRelease) -> str:
        request = pending.request
        await self._check_room(request)
        loop = asyncio.get_running_loop()
        pending.digest = await loop.run_in_executor(self._artifacts.threads, self._fetch, pending)
        pending.message = None
        self._replicas.reconcile()
        try:
            async with asyncio.timeout(self._settings.load_timeout_seconds) as pending.limit:
                await pending.outcome
        except TimeoutError:
            replicas = self._replicas.states(request.fqrv)
            states = ", ".join(state.value for state, _ in replicas) or "none"
            why = next((f"; {message}" for _, message in replicas if message), "")
            raise LoadFailed(
                f"no replica was ready after {self._settings.load_timeout_seconds:g} s (replicas: {states}){why}"
            ) from None
        return pending.digest

    async def _check_room(self, request: ServeRequest) -> None:
        """Raise LoadFailed when no node of the cluster could ever hold a replica."""
        if not self._settings.cluster_grows:
            lacking = await self._hosts.lacking(self._settings.resources(request.servable_settings))
            if lacking is not None:
                raise LoadFailed(f"{lacking}; a cluster that gets nodes on demand needs the setting cluster_grows")

    def _fetch(self, pending: LoadingRelease) -> str:
        """In a thread: bring the artifact here; its digest."""

        def report(text: str) -> None:
            if pending.failed:
                raise LoadFailed("the release was deleted while it was loading")
            pending.message = text

        request, fqrv = pending.request, pending.request.fqrv
        tag = f"v{fqrv.contract.contract_number}.{fqrv.release_version}"
        return self._artifacts.add(request.path, request.flavor, sha256=request.sha256, tag=tag, report=report)
