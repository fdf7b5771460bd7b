"""What the registry tells: every question of the control plane, answered from what it knows. Nothing changes here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from forestflow.codecs import journal as journal_codec
from forestflow.controlplane.counters import Counters
from forestflow.controlplane.deploys import LoadingRelease
from forestflow.controlplane.evaluate import snapshot
from forestflow.controlplane.journal import Journal, damaged
from forestflow.controlplane.replicas import ReplicaSet
from forestflow.domain.commands import (
    Command,
    Explain,
    GetContractSettings,
    GetHistory,
    GetMetadata,
    GetPlanAt,
    GetSettings,
    GetStatus,
    IsReady,
    ListContracts,
    ListMetadata,
    ListMetrics,
    ListReleases,
    ListReplicas,
    ListSettings,
    ListStatus,
    Query,
    ReadLogs,
    Simulate,
)
from forestflow.domain.errors import ForestFlowError, Invalid
from forestflow.domain.explain import PlanExplanation
from forestflow.domain.explain import explain as explain_plan
from forestflow.domain.history import HistoryEntry, PlanAt, concerns
from forestflow.domain.history import plan_at as plan_at_time
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.lifecycle import ReplicaState, ServableState
from forestflow.domain.metrics import means
from forestflow.domain.refusals import NoActiveServables, UnknownContract, UnknownServable
from forestflow.domain.reports import (
    LogPosition,
    ReplicaLog,
    ReplicaStatus,
    ServableMetadata,
    ServableMetrics,
    ServableStatus,
)
from forestflow.domain.settings import ContractSettings, ServableSettings
from forestflow.domain.simulate import Proposal, TimelinePoint
from forestflow.domain.simulate import simulate as simulate_plan
from forestflow.domain.state import Release, State
from forestflow.domain.tensors import ModelMetadata
from forestflow.domain.verdicts import ReleaseSnapshot, percent_of


def history_of(journal: Journal) -> Iterator[HistoryEntry]:
    """The journal's events in their order; raises JournalDamaged at the first that cannot be read."""
    for entry in journal.replay():
        kind = entry.record.kind
        try:
            event = journal_codec.decode_event(kind, entry.record.body)
        except ForestFlowError as error:
            raise damaged(entry.seq, kind, error.message) from error
        yield HistoryEntry(entry.seq, entry.at_ms, event)


def replay(journal: Journal, state: State) -> None:
    """Apply all of the journal to a fresh state; raises JournalDamaged."""
    for entry in history_of(journal):
        try:
            state.apply(entry.event)
        except (ForestFlowError, KeyError) as error:  # it speaks of what no entry before it made
            raise damaged(entry.seq, type(entry.event).__name__, f"{type(error).__name__} {error}") from error


def no_handler(command: Command[Any]) -> Invalid:
    """The error of a command that nobody carries out; the tests see to it that there is none."""
    return Invalid(f"there is no command {type(command).__name__}")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """All that the registry knows; the parts are shared with it and change as it works."""

    state: State
    pending: Mapping[Fqrv, LoadingRelease]
    counters: Counters
    models: Mapping[Fqrv, ModelMetadata]
    replicas: ReplicaSet
    journal: Journal
    now_ms: Callable[[], int]


class Queries:
    """Answers the queries of :mod:`forestflow.domain.commands`."""

    def __init__(self, known: Knowledge) -> None:
        self._known = known

    async def answer(self, query: Query[Any]) -> Any:
        """Answer one query. Raises Invalid for one without a handler."""
        match query:
            case ListContracts():
                return await self.contracts()
            case GetContractSettings(contract):
                return await self.contract_settings(contract)
            case Explain(contract):
                return await self.explain(contract)
            case Simulate(contract, proposal):
                return await self.simulate(contract, proposal)
            case GetHistory(contract):
                return await self.history(contract)
            case GetPlanAt(contract, at_ms):
                return await self.plan_at(contract, at_ms)
            case ListReleases(contract):
                return await self.releases(contract)
            case ListMetrics(contract):
                return await self.metrics(contract)
            case ListSettings(contract):
                return await self.servable_settings(contract)
            case GetSettings(fqrv):
                return await self.settings_of(fqrv)
            case ListMetadata(contract):
                return await self.metadata(contract)
            case GetMetadata(fqrv):
                return await self.metadata_of(fqrv)
            case ListStatus(contract):
                return await self.status(contract)
            case GetStatus(fqrv):
                return await self.status_of(fqrv)
            case ListReplicas(fqrv):
                return await self.replicas(fqrv)
            case ReadLogs(fqrv, tail, after):
                return await self.logs(fqrv, tail, after)
            case IsReady():
                return await self.ready()
            case _:
                raise no_handler(query)

    async def contracts(self) -> list[Contract]:
        return sorted(self._known.state.contracts)

    async def contract_settings(self, contract: Contract) -> ContractSettings:
        return self._known.state.known_contract(contract).settings

    async def releases(self, contract: Contract) -> list[Fqrv]:
        return [release.fqrv for release in self._some_releases(contract)]

    async def servable_settings(self, contract: Contract) -> list[ServableSettings]:
        return [release.settings for release in self._some_releases(contract)]

    async def settings_of(self, fqrv: Fqrv) -> ServableSettings:
        return self._known.state.known_release(fqrv).settings

    async def metadata(self, contract: Contract) -> list[ServableMetadata]:
        models = self._known.models
        return [
            ServableMetadata(release.fqrv, release.settings, models[release.fqrv])
            for release in self._known.state.known_contract(contract).releases.values()
            if release.fqrv in models
        ]

    async def metadata_of(self, fqrv: Fqrv) -> ServableMetadata:
        release = self._known.state.known_release(fqrv)
        model = self._known.models.get(fqrv)
        if model is None:
            raise Invalid(f"{fqrv} has not been loaded yet; its status says why")
        return ServableMetadata(fqrv, release.settings, model)

    # --- how they do -------------------------------------------------------------------------------------------------

    async def metrics(self, contract: Contract) -> list[ServableMetrics]:
        now_ms = self._known.now_ms()
        settings = self._known.state.known_contract(contract).settings
        found = []
        for release in self._some_releases(contract):
            counted = self._known.counters.of(release.fqrv)
            found.append(
                ServableMetrics(
                    release.fqrv,
                    counted.scored,
                    counted.shaded,
                    release.created_at_ms,
                    means(release.samples, settings.metrics),
                    release.became_valid_at_ms,
                    percent_of(snapshot(release, settings.metrics), now_ms),
                    counted.shadows_dropped,
                    counted.unscored,
                    counted.refused,
                )
            )
        return found

    async def status(self, contract: Contract) -> list[ServableStatus]:
        pending = [fqrv for fqrv in self._known.pending if fqrv.contract == contract]
        known = self._known.state.contracts.get(contract)
        if known is None and not pending:
            raise UnknownContract(contract)
        releases = [release.fqrv for release in known.releases.values()] if known else []
        return [self._status(fqrv) for fqrv in [*releases, *pending]]

    async def status_of(self, fqrv: Fqrv) -> ServableStatus:
        return self._status(fqrv)

    async def replicas(self, fqrv: Fqrv) -> list[ReplicaStatus]:
        self._status(fqrv)
        return await self._known.replicas.inspect(fqrv)

    async def logs(self, fqrv: Fqrv, tail: int, after: Mapping[str, LogPosition]) -> list[ReplicaLog]:
        found = await self._known.replicas.logs(fqrv, tail, after)
        if not found:
            self._status(fqrv)  # nothing was said yet, or there is no such release
        return found

    async def ready(self) -> bool:
        """True when every release has a replica that answers, or has failed for a reason its status tells."""
        settled = (ServableState.AVAILABLE, ServableState.FAILED)
        return all(self._status(release.fqrv).state in settled for release in self._known.state.releases())

    # --- why, what if, and when --------------------------------------------------------------------------------------

    async def explain(self, contract: Contract) -> PlanExplanation:
        settings = self._known.state.known_contract(contract).settings
        replicas = self._known.replicas
        snapshots = self._snapshots(contract)
        failed = {
            view.fqrv: next((text for _, text in replicas.states(view.fqrv) if text), "its model does not load")
            for view in snapshots
            if replicas.failed(view.fqrv)
        }
        return explain_plan(contract, settings, snapshots, self._known.now_ms(), failed)

    async def simulate(self, contract: Contract, proposal: Proposal) -> list[TimelinePoint]:
        settings = proposal.contract_settings or self._known.state.known_contract(contract).settings
        views = {view.fqrv.release_version: view for view in self._snapshots(contract)}
        for release_version, policy in proposal.policies.items():
            if release_version not in views:
                raise UnknownServable(Fqrv(contract, release_version))
            view = views[release_version]
            views[release_version] = replace(view, settings=replace(view.settings, policy_settings=policy))
        return await asyncio.to_thread(  # thousands of steps take half a second, and nobody shall wait for them
            simulate_plan,
            settings,
            list(views.values()),
            self._known.now_ms(),
            horizon_ms=proposal.horizon_ms,
            step_ms=proposal.step_ms,
            events_per_second=proposal.events_per_second,
        )

    async def history(self, contract: Contract) -> list[HistoryEntry]:
        entries = [entry for entry in self._entries() if concerns(entry.event, contract)]
        if not entries:
            raise UnknownContract(contract)
        return entries

    async def plan_at(self, contract: Contract, at_ms: int) -> PlanAt:
        found = plan_at_time(self._entries(), contract, at_ms)
        if found is None:
            raise UnknownContract(contract)
        return found

    # --- small things ------------------------------------------------------------------------------------------------

    def _entries(self) -> Iterator[HistoryEntry]:
        return history_of(self._known.journal)

    def _some_releases(self, contract: Contract) -> list[Release]:
        releases = list(self._known.state.known_contract(contract).releases.values())
        if not releases:
            raise NoActiveServables(contract)
        return releases

    def _snapshots(self, contract: Contract) -> list[ReleaseSnapshot]:
        known = self._known.state.known_contract(contract)
        counters = self._known.counters
        return [snapshot(release, known.settings.metrics, counters.of) for release in known.releases.values()]

    def _status(self, fqrv: Fqrv) -> ServableStatus:
        release, pending = self._known.state.release(fqrv), self._known.pending.get(fqrv)
        if release is not None:
            settings = release.settings
        elif pending is not None:
            settings = pending.request.servable_settings
        else:
            raise UnknownServable(fqrv)
        replicas = self._known.replicas.states(fqrv)
        states = tuple(state for state, _ in replicas)
        message = next((text for _, text in replicas if text), None)
        if ReplicaState.READY in states and release is not None:
            state = ServableState.AVAILABLE
        elif self._known.replicas.failed(fqrv):
            state = ServableState.FAILED
        else:
            state = ServableState.LOADING
            message = message or (pending.message if pending else None)
        model = self._known.models.get(fqrv)
        independence = model.independence if model else {}
        return ServableStatus(fqrv, state, settings.deployment_settings.replicas, states, message, independence)
