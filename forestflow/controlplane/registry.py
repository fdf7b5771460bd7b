"""The registry: single writer of the control state. Commands in, events to the journal, Plans out.

Runs on one event loop; a command's decision and its journal entry happen without giving way in between, so commands
are serial. Only loading a model takes time, and while it does the release is *pending*: visible in its status, but
neither in the journal nor in the Plan. A deploy that fails therefore leaves nothing to undo but its artifact.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from forestflow.artifacts.sources.directories import SourceDirectories
from forestflow.artifacts.store import ArtifactStore
from forestflow.codecs import journal as journal_codec
from forestflow.controlplane.clock import SteadyClock
from forestflow.controlplane.counters import Counters
from forestflow.controlplane.deploys import Deploys
from forestflow.controlplane.evaluate import contract_plan, due_events, snapshot
from forestflow.controlplane.journal import Journal, Record
from forestflow.controlplane.planbook import PlanBook
from forestflow.controlplane.queries import Knowledge, Queries, no_handler, replay
from forestflow.controlplane.replicas import Hosts, ReplicaSet, Wanted
from forestflow.controlplane.versions import Directories, Versions
from forestflow.domain.assignment import Assignment
from forestflow.domain.commands import (
    Command,
    CreateContract,
    Delete,
    Deploy,
    GetVersions,
    Query,
    ReportMetrics,
    Rollback,
    UnwatchVersions,
    UpdateContract,
    UpdateServable,
    UpdateVersions,
    WatchVersions,
)
from forestflow.domain.errors import Invalid, StorageFailed
from forestflow.domain.events import (
    ContractSet,
    Event,
    MetricReported,
    ServableBecameInvalid,
    ServableDeployed,
    ServablesDeleted,
    ServableUpdated,
    VersionsUnwatched,
    VersionsWatched,
    subject,
)
from forestflow.domain.history import state_at
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.metrics import MetricReport, check_names
from forestflow.domain.plan import PlanUpdate
from forestflow.domain.policies.expiration import MaxAge
from forestflow.domain.refusals import ContractValidationError, ServableAlreadyExists
from forestflow.domain.reports import Counts
from forestflow.domain.requests import ServeRequest
from forestflow.domain.settings import (
    ContractSettings,
    LoggingSettings,
    PolicySettings,
    ServableSettings,
    ShadowSettings,
)
from forestflow.domain.state import ContractState, Release, State
from forestflow.domain.tensors import ModelMetadata
from forestflow.domain.verdicts import percent_of, rules_hold
from forestflow.domain.versions import VersionPolicy, VersionsReport, WatchRequest
from forestflow.settings.sections import RegistrySettings

TICK_SECONDS = 0.5

_log = logging.getLogger("forestflow.registry")


class Registry:
    """Runs the commands of :mod:`forestflow.domain.commands`; ``queries`` answers what changes nothing."""

    def __init__(
        self,
        journal: Journal,
        artifacts: ArtifactStore,
        hosts: Hosts,
        settings: RegistrySettings | None = None,
        now_ms: Callable[[], int] | None = None,
        directories: Directories | None = None,
    ) -> None:
        self._journal = journal
        self._artifacts = artifacts
        self._settings = settings or RegistrySettings()
        self._now_ms = now_ms or SteadyClock(journal.last_at_ms())
        self._state = State()
        self._counters = Counters(journal)
        self._models: dict[Fqrv, ModelMetadata] = {}
        self._replicas = ReplicaSet(hosts, self._wanted, self._replica_changed)
        self._deploys = Deploys(self._state, artifacts, self._replicas, hosts, self._settings)
        self._book = PlanBook(self._now_ms())  # a time, so that versions grow over restarts, too
        self._volatile: set[Contract] = set()
        self._ticker: asyncio.Task[None] | None = None
        pending = self._deploys.pending
        known = Knowledge(self._state, pending, self._counters, self._models, self._replicas, journal, self._now_ms)
        self.queries = Queries(known)
        places = directories or SourceDirectories(artifacts.rules)
        self._versions = Versions(known, self.queries, places, self.deploy, self._deploys.cancel, self._commit)

    async def run(self, command: Command[Any]) -> Any:
        """Carry out a command, or answer a query. Raises Invalid for one without a handler."""
        match command:
            case GetVersions(contract):
                return await self.versions(contract)
            case Query():
                return await self.queries.answer(command)
            case CreateContract(contract, settings):
                return await self.create_contract(contract, settings)
            case UpdateContract(contract, settings):
                return await self.update_contract(contract, settings)
            case Rollback(contract, seq):
                return await self.rollback(contract, seq)
            case Deploy(request):
                return await self.deploy(request)
            case Delete(fqrv):
                return await self.delete(fqrv)
            case UpdateServable(fqrv, policy, logging_settings, shadow):
                return await self.update_servable(fqrv, policy, logging_settings, shadow)
            case ReportMetrics(fqrv, reports):
                return await self.report_metrics(fqrv, reports)
            case WatchVersions(watch_request):
                return await self.watch_versions(watch_request)
            case UpdateVersions(contract, which, poll_seconds):
                return await self.update_versions(contract, which, poll_seconds)
            case UnwatchVersions(contract):
                return await self.unwatch_versions(contract)
            case _:
                raise no_handler(command)

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Replay the journal, take over surviving hosts, begin to reconcile; raises JournalDamaged."""
        replay(self._journal, self._state)
        self._counters.load(release.fqrv for release in self._state.releases())
        self._artifacts.keep_only({release.digest for release in self._state.releases()})
        await self._replicas.adopt()
        for contract in self._state.contracts:
            self._publish(contract)
        self._replicas.reconcile()
        for contract in self._state.contracts:
            self._versions.follow(contract)
        self._ticker = asyncio.get_running_loop().create_task(self._tick())

    async def stop(self) -> None:
        """Stop every host. All that must last is written already."""
        if self._ticker:
            self._ticker.cancel()
        self._versions.close()
        await self._replicas.close()
        self._journal.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                for contract in list(self._volatile):
                    self._evaluate(contract)
                self._replicas.reconcile()  # back-offs and drains fall due with time
            except StorageFailed as error:  # tried again at the next tick; scoring goes on
                _log.error("%s", error.message)
            except Exception:  # of ours: policies and replicas must go on being looked at
                _log.exception("a tick of the registry failed")

    # --- commands ----------------------------------------------------------------------------------------------------

    async def create_contract(self, contract: Contract, settings: ContractSettings) -> Contract:
        if contract in self._state.contracts:
            raise ContractValidationError(contract, "Contract already exists. Use update API instead.")
        self._commit(contract, [ContractSet(contract, settings)])
        return contract

    async def update_contract(self, contract: Contract, settings: ContractSettings) -> Contract:
        self._state.known_contract(contract)
        self._commit(contract, [ContractSet(contract, settings)])
        return contract

    async def update_servable(
        self,
        fqrv: Fqrv,
        policy: PolicySettings | None = None,
        logging: LoggingSettings | None = None,
        shadow: ShadowSettings | None = None,
    ) -> Fqrv:
        settings = self._state.known_release(fqrv).settings
        if policy is not None:
            settings = replace(settings, policy_settings=policy)
        if logging is not None:
            settings = replace(settings, logging_settings=logging)
        if shadow is not None:
            settings = replace(settings, shadow=shadow)
        self._commit(fqrv.contract, self._update(fqrv, settings))
        return fqrv

    def _update(self, fqrv: Fqrv, settings: ServableSettings) -> list[Event]:
        """New settings of a release. Its clocks go on, unless new validity rules do not hold: then they start anew."""
        release = self._state.known_release(fqrv)
        events: list[Event] = [ServableUpdated(fqrv, settings)]
        new_rules = settings.policy_settings.validity_policy != release.settings.policy_settings.validity_policy
        if new_rules and release.became_valid_at_ms is not None:
            metrics = self._state.known_contract(fqrv.contract).settings.metrics
            view = snapshot(replace(release, settings=settings), metrics, self._counters.of)
            if not rules_hold(view, self._now_ms(), metrics.default):
                events.append(ServableBecameInvalid(fqrv, self._now_ms()))
        return events

    async def report_metrics(self, fqrv: Fqrv, reports: Sequence[MetricReport]) -> Fqrv:
        check_names(self._state.known_release(fqrv).samples, reports)
        self._commit(fqrv.contract, [MetricReported(fqrv, report) for report in reports])
        return fqrv

    async def rollback(self, contract: Contract, seq: int) -> Contract:
        """Settings of the contract and of its living releases as they were after event ``seq``."""
        known = self._state.known_contract(contract)
        then = state_at(await self.queries.history(contract), contract, seq)
        if then is None:
            raise Invalid(f"{contract} did not exist after event {seq}; its history says since when it does")
        events: list[Event] = []
        if then.settings != known.settings:
            events.append(ContractSet(contract, then.settings))
        for release in known.releases.values():
            before = then.releases.get(release.fqrv.release_version)
            if before is not None and before.settings != release.settings:
                events += self._update(release.fqrv, before.settings)
        if events:
            self._commit(contract, events)
        return contract

    async def delete(self, fqrv: Fqrv) -> list[Fqrv]:
        if not self._deploys.cancel(fqrv) and self._state.release(fqrv) is not None:
            last = len(self._state.contracts[fqrv.contract].releases) == 1
            self._commit(fqrv.contract, [ServablesDeleted((fqrv,), (fqrv.contract,) if last else ())])
        return [fqrv]

    async def deploy(self, request: ServeRequest) -> Fqrv:
        fqrv, contract = request.fqrv, request.fqrv.contract
        existing = self._state.release(fqrv)
        if existing is not None:
            raise ServableAlreadyExists(fqrv, existing.settings)
        self._check_new(contract, request.contract_settings)

        def commit(digest: str) -> None:
            events: list[Event] = [ServableDeployed(request, digest, self._now_ms())]
            if contract not in self._state.contracts:
                events.insert(0, ContractSet(contract, request.contract_settings or ContractSettings()))
            self._commit(contract, events)

        try:
            await self._deploys.run(request, commit)
            for warning in self._models[fqrv].warnings:
                _log.warning("%s", warning, extra={"release": str(fqrv)})
        finally:
            if self._state.release(fqrv) is None:
                self._models.pop(fqrv, None)
        return fqrv

    def _check_new(self, contract: Contract, settings: ContractSettings | None) -> None:
        """Settings that come with a deploy are for a new contract only."""
        if settings is not None and contract in self._state.contracts:
            raise ContractValidationError(
                contract,
                "Contract already exists. Cannot override contract settings with Serve Request. Providing contract "
                "settings with a serve request is only valid for new contracts",
            )

    async def watch_versions(self, request: WatchRequest) -> VersionsReport:
        """Have the versions in a base directory deployed; answers when each that is there has had its first try."""
        watch = request.watch
        self._check_new(watch.contract, request.contract_settings)
        await self._versions.check(watch)
        events: list[Event] = [VersionsWatched(watch)]
        if watch.contract not in self._state.contracts:
            events.insert(0, ContractSet(watch.contract, request.contract_settings or ContractSettings()))
        self._commit(watch.contract, events)
        await self._versions.tried(watch.contract, self._settings.load_timeout_seconds)
        return await self.versions(watch.contract)

    async def update_versions(self, contract: Contract, policy: VersionPolicy, seconds: float | None) -> VersionsReport:
        watch = self._versions.watch_of(contract)
        poll_seconds = watch.poll_seconds if seconds is None else seconds
        self._commit(contract, [VersionsWatched(replace(watch, policy=policy, poll_seconds=poll_seconds))])
        return await self.versions(contract)

    async def unwatch_versions(self, contract: Contract) -> Contract:
        self._versions.watch_of(contract)
        self._commit(contract, [VersionsUnwatched(contract)])
        return contract

    async def versions(self, contract: Contract) -> VersionsReport:
        return await self._versions.report(contract)

    async def report_counts(self, reporter: str, number: int, counts: Mapping[Fqrv, Counts]) -> None:
        """Add what a router counted since its last report, once, however often it is sent."""
        self._counters.add(reporter, number, counts, lambda fqrv: self._state.release(fqrv) is not None)

    # --- the Plan ----------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """The Plan's."""
        return self._book.version

    async def plan(self, since: int, wait_seconds: float) -> PlanUpdate:
        """What changed after version ``since``; waits up to ``wait_seconds`` for a change."""
        return await self._book.since(since, wait_seconds)

    def _publish(self, contract: Contract) -> None:
        """Evaluate one contract and let routers know when its Plan changed."""
        known = self._state.contracts.get(contract)
        if known is None:
            self._volatile.discard(contract)
            self._book.put(contract, None)
            return
        now_ms = self._now_ms()
        replicas = self._replicas
        fresh = contract_plan(contract, known, replicas.addresses, replicas.failed, self._counters.of, now_ms)
        self._note_volatile(contract, known, now_ms)
        self._book.put(contract, fresh)

    def _note_volatile(self, contract: Contract, known: ContractState, now_ms: int) -> None:
        """Remember which contracts may change with time or counts alone."""
        settings = known.settings
        phased_in = all(percent_of(snapshot(r, settings.metrics), now_ms) >= 100 for r in known.releases.values())
        settled = phased_in and not isinstance(settings.expiration_policy, MaxAge)
        (self._volatile.discard if settled else self._volatile.add)(contract)

    def _evaluate(self, contract: Contract) -> None:
        """Let due validity and expiration take effect, then publish."""
        known = self._state.contracts.get(contract)
        if known is not None:
            events = due_events(known, self._replicas.addresses, self._counters.of, self._now_ms())
            if events:
                self._write(events)
        self._publish(contract)
        self._replicas.reconcile()

    def _commit(self, contract: Contract, events: Sequence[Event]) -> None:
        """Journal, apply, then let the policies look at the contract again."""
        self._write(events)
        self._versions.follow(contract)
        self._evaluate(contract)

    def _write(self, events: Sequence[Event]) -> None:
        records = [Record(*journal_codec.encode_event(event)) for event in events]
        forget = [str(fqrv) for event in events if isinstance(event, ServablesDeleted) for fqrv in event.fqrvs]
        self._journal.append(records, self._now_ms(), forget)
        for event in events:
            gone = [self._state.release(fqrv) for fqrv in event.fqrvs] if isinstance(event, ServablesDeleted) else []
            self._state.apply(event)
            for release in gone:
                if release is not None:
                    self._forget(release)
            _log.info("%s", type(event).__name__, extra={"release": subject(event)})

    def _forget(self, release: Release) -> None:
        self._models.pop(release.fqrv, None)
        self._counters.forget(release.fqrv)
        self._deploys.drop_artifact(release.digest)

    # --- replicas ----------------------------------------------------------------------------------------------------

    def _wanted(self) -> dict[Fqrv, Wanted]:
        wanted = {
            release.fqrv: self._want(release.request, release.settings, release.digest)
            for release in self._state.releases()
        }
        for request, digest in self._deploys.loading():
            wanted[request.fqrv] = self._want(request, request.servable_settings, digest)
        return wanted

    def _want(self, request: ServeRequest, settings: ServableSettings, digest: str) -> Wanted:
        deployment = settings.deployment_settings
        resources = self._settings.resources(settings)

        def assignment(replica_id: str) -> Assignment:
            return Assignment(
                replica_id,
                request.fqrv,
                request.flavor,
                self._artifacts.path(digest),
                digest,
                resources,
                deployment.max_queued or self._settings.max_queued,
                self._settings.max_frame,
                deployment.merging,
                deployment.timeout_seconds or self._settings.default_timeout,
                self._settings.memory_share,
                settings.unknown_fields,
            )

        return Wanted(deployment.replicas, resources, assignment)

    def _replica_changed(self, fqrv: Fqrv) -> None:
        loaded = self._replicas.model(fqrv)
        if loaded is not None:
            self._models[fqrv] = loaded
        self._deploys.replica_changed(fqrv)
        if fqrv.contract in self._state.contracts:
            self._publish(fqrv.contract)
