"""A registry of dicts behind a real ControlPlane: what the control API, the SDK and the CLI are tested against."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from forestflow.domain import commands as c
from forestflow.domain.commands import Command
from forestflow.domain.errors import ArtifactRejected, Invalid
from forestflow.domain.events import (
    ContractSet,
    Event,
    MetricReported,
    ServableBecameValid,
    ServableDeployed,
    ServablesDeleted,
    ServableUpdated,
    VersionsUnwatched,
    VersionsWatched,
)
from forestflow.domain.explain import PlanExplanation, explain
from forestflow.domain.history import HistoryEntry, PlanAt, concerns, plan_at, snapshots, state_at
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.lifecycle import ReplicaState, ServableState
from forestflow.domain.metrics import MetricReport, means
from forestflow.domain.refusals import (
    ContractValidationError,
    NoActiveServables,
    NotWatched,
    ServableAlreadyExists,
    ServeRequestInvalid,
    UnknownContract,
    UnknownServable,
)
from forestflow.domain.reports import (
    LogPosition,
    ReplicaLoad,
    ReplicaLog,
    ReplicaStatus,
    ServableMetadata,
    ServableMetrics,
    ServableStatus,
)
from forestflow.domain.requests import ServeRequest
from forestflow.domain.settings import (
    ContractSettings,
    LoggingSettings,
    PolicySettings,
    ServableSettings,
    ShadowSettings,
)
from forestflow.domain.simulate import Proposal, TimelinePoint, simulate
from forestflow.domain.state import State
from forestflow.domain.tensors import IOMetadata, ModelMetadata, TensorType
from forestflow.domain.versions import VersionPolicy, VersionsReport, VersionState, VersionStatus, WatchRequest

NOW = 1570054680000

METHODS: dict[type[Command[Any]], str] = {
    c.ListContracts: "contracts",
    c.CreateContract: "create_contract",
    c.UpdateContract: "update_contract",
    c.Rollback: "rollback",
    c.GetContractSettings: "contract_settings",
    c.Explain: "explain",
    c.Simulate: "simulate",
    c.GetHistory: "history",
    c.GetPlanAt: "plan_at",
    c.Deploy: "deploy",
    c.Delete: "delete",
    c.UpdateServable: "update_servable",
    c.ReportMetrics: "report_metrics",
    c.ListReleases: "releases",
    c.ListMetrics: "metrics",
    c.ListSettings: "servable_settings",
    c.GetSettings: "settings_of",
    c.ListMetadata: "metadata",
    c.GetMetadata: "metadata_of",
    c.ListStatus: "status",
    c.GetStatus: "status_of",
    c.ListReplicas: "replicas",
    c.ReadLogs: "logs",
    c.IsReady: "ready",
    c.WatchVersions: "watch_versions",
    c.UpdateVersions: "update_versions",
    c.UnwatchVersions: "unwatch_versions",
    c.GetVersions: "versions",
}

MODEL = ModelMetadata(
    inputs=(IOMetadata("numeric", TensorType.Float64, (4,), "[0:T,1:V,2:P,3:H]"),),
    outputs=(IOMetadata("Regression", TensorType.Float64, (1,)),),
)


class MemoryRegistry:
    """Answers every command of the control plane. ``fails_with`` makes the next ones raise that instead."""

    def __init__(self) -> None:
        self.contracts_: dict[Contract, ContractSettings] = {}
        self.servables: dict[Fqrv, ServeRequest] = {}
        self.loading: dict[Fqrv, str] = {}
        self.commands: list[Command[Any]] = []
        self.fails_with: Exception | None = None
        self.is_ready = True
        self.written: dict[str, list[str]] = {}
        self.load_seconds = 0.0
        self.now_ms = NOW
        self.entries: list[HistoryEntry] = []
        self.state = State()  # as the entries leave it

    async def __call__(self, command: Command[Any]) -> Any:
        self.commands.append(command)
        if self.fails_with is not None:
            raise self.fails_with
        arguments = [getattr(command, field.name) for field in fields(command)]
        return await getattr(self, METHODS[type(command)])(*arguments)

    async def contracts(self) -> list[Contract]:
        return sorted(self.contracts_)

    async def create_contract(self, contract: Contract, settings: ContractSettings) -> Contract:
        if contract in self.contracts_:
            raise ContractValidationError(contract, "contract already exists")
        self._set_contract(contract, settings)
        return contract

    async def update_contract(self, contract: Contract, settings: ContractSettings) -> Contract:
        self._known(contract)
        self._set_contract(contract, settings)
        return contract

    async def contract_settings(self, contract: Contract) -> ContractSettings:
        self._known(contract)
        return self.contracts_[contract]

    async def deploy(self, request: ServeRequest) -> Fqrv:
        fqrv = request.fqrv
        if fqrv in self.servables:
            raise ServableAlreadyExists(fqrv, self.servables[fqrv].servable_settings)
        if request.contract_settings is not None and fqrv.contract in self.contracts_:
            raise ContractValidationError(fqrv.contract, "settings given for an existing contract")
        if "missing" in request.path:
            raise ServeRequestInvalid(request, f"{request.path} does not exist")
        self.loading[fqrv] = "reading the model"
        await asyncio.sleep(self.load_seconds)
        del self.loading[fqrv]
        if fqrv.contract not in self.contracts_:
            self._set_contract(fqrv.contract, request.contract_settings or ContractSettings())
        self.servables[fqrv] = request
        self._happened(ServableDeployed(request, "d1", self.now_ms))
        self._happened(ServableBecameValid(fqrv, self.now_ms))
        return fqrv

    async def delete(self, fqrv: Fqrv) -> list[Fqrv]:
        if self.servables.pop(fqrv, None):
            last = not self._of(fqrv.contract)
            if last:
                self.contracts_.pop(fqrv.contract, None)
            self._happened(ServablesDeleted((fqrv,), (fqrv.contract,) if last else ()))
        return [fqrv]

    async def watch_versions(self, request: WatchRequest) -> VersionsReport:
        watch = request.watch
        if "missing" in watch.path:
            raise ArtifactRejected("path does not exist or is not a directory on the server")
        if watch.contract not in self.contracts_:
            self._set_contract(watch.contract, request.contract_settings or ContractSettings())
        self._happened(VersionsWatched(watch))
        return await self.versions(watch.contract)

    async def update_versions(self, contract: Contract, policy: VersionPolicy, seconds: float | None) -> VersionsReport:
        watch = (await self.versions(contract)).watch
        poll_seconds = watch.poll_seconds if seconds is None else seconds
        self._happened(VersionsWatched(replace(watch, policy=policy, poll_seconds=poll_seconds)))
        return await self.versions(contract)

    async def unwatch_versions(self, contract: Contract) -> Contract:
        await self.versions(contract)
        self._happened(VersionsUnwatched(contract))
        return contract

    async def versions(self, contract: Contract) -> VersionsReport:
        watch = self.state.known_contract(contract).watch
        if watch is None:
            raise NotWatched(contract)
        return VersionsReport(watch, (VersionStatus(7, VersionState.AVAILABLE),), self.now_ms)

    async def update_servable(
        self,
        fqrv: Fqrv,
        policy: PolicySettings | None,
        logging: LoggingSettings | None,
        shadow: ShadowSettings | None,
    ) -> Fqrv:
        old = self._servable(fqrv)
        settings = replace(
            old.servable_settings,
            policy_settings=policy or old.servable_settings.policy_settings,
            logging_settings=logging or old.servable_settings.logging_settings,
            shadow=shadow or old.servable_settings.shadow,
        )
        self._set_servable(fqrv, settings)
        return fqrv

    async def report_metrics(self, fqrv: Fqrv, reports: Sequence[MetricReport]) -> Fqrv:
        self._servable(fqrv)
        for report in reports:
            self._happened(MetricReported(fqrv, report))
        return fqrv

    async def explain(self, contract: Contract) -> PlanExplanation:
        self._known(contract)
        state = self.state.contracts[contract]
        return explain(contract, state.settings, snapshots(state), self.now_ms)

    async def simulate(self, contract: Contract, proposal: Proposal) -> list[TimelinePoint]:
        self._known(contract)
        state = self.state.contracts[contract]
        releases = {release.fqrv.release_version: release for release in snapshots(state)}
        for version, policy in proposal.policies.items():
            if version not in releases:
                raise UnknownServable(Fqrv(contract, version))
            settings = replace(releases[version].settings, policy_settings=policy)
            releases[version] = replace(releases[version], settings=settings)
        return simulate(
            proposal.contract_settings or state.settings,
            list(releases.values()),
            self.now_ms,
            horizon_ms=proposal.horizon_ms,
            step_ms=proposal.step_ms,
            events_per_second=proposal.events_per_second,
        )

    async def history(self, contract: Contract) -> list[HistoryEntry]:
        found = [entry for entry in self.entries if concerns(entry.event, contract)]
        if not found:
            raise UnknownContract(contract)
        return found

    async def plan_at(self, contract: Contract, at_ms: int) -> PlanAt:
        found = plan_at(self.entries, contract, at_ms)
        if found is None:
            raise UnknownContract(contract)
        return found

    async def rollback(self, contract: Contract, seq: int) -> Contract:
        self._known(contract)
        earlier = state_at(self.entries, contract, seq)
        if earlier is None:
            raise Invalid(f"contract {contract} did not exist after entry {seq}")
        self._set_contract(contract, earlier.settings)
        for release in earlier.releases.values():
            if release.fqrv in self.servables:
                self._set_servable(release.fqrv, release.settings)
        return contract

    async def releases(self, contract: Contract) -> list[Fqrv]:
        self._known(contract)
        if not self._of(contract):
            raise NoActiveServables(contract)
        return self._of(contract)

    async def metrics(self, contract: Contract) -> list[ServableMetrics]:
        return [
            ServableMetrics(fqrv, 3, 1, 1570054677899, {"rmse": 0.5} | self._reported(fqrv), 1570054677902, 100, 2)
            for fqrv in await self.releases(contract)
        ]

    async def servable_settings(self, contract: Contract) -> list[ServableSettings]:
        return [self.servables[fqrv].servable_settings for fqrv in await self.releases(contract)]

    async def settings_of(self, fqrv: Fqrv) -> ServableSettings:
        return self._servable(fqrv).servable_settings

    async def metadata(self, contract: Contract) -> list[ServableMetadata]:
        self._known(contract)
        return [await self.metadata_of(fqrv) for fqrv in self._of(contract)]

    async def metadata_of(self, fqrv: Fqrv) -> ServableMetadata:
        return ServableMetadata(fqrv, self._servable(fqrv).servable_settings, MODEL)

    async def status(self, contract: Contract) -> list[ServableStatus]:
        self._known(contract)
        return [await self.status_of(fqrv) for fqrv in self._of(contract)]

    async def status_of(self, fqrv: Fqrv) -> ServableStatus:
        if fqrv in self.loading:
            return ServableStatus(fqrv, ServableState.LOADING, 1, (ReplicaState.LOADING,), self.loading[fqrv])
        replicas = self._servable(fqrv).servable_settings.deployment_settings.replicas
        return ServableStatus(fqrv, ServableState.AVAILABLE, replicas, (ReplicaState.READY,) * replicas)

    async def replicas(self, fqrv: Fqrv) -> list[ReplicaStatus]:
        self._servable(fqrv)
        load = ReplicaLoad(4711, 2, 1, {1: 120, 3: 4})
        lost = ReplicaStatus(fqrv, "r2", ReplicaState.LOST, message="the host's process died")
        return [ReplicaStatus(fqrv, "r1", ReplicaState.READY, load), lost]

    async def logs(self, fqrv: Fqrv, tail: int, after: Mapping[str, LogPosition]) -> list[ReplicaLog]:
        """``written`` are the lines of each replica, all in one file."""
        if fqrv not in self.loading:
            self._servable(fqrv)
        found = []
        for replica_id, lines in self.written.items():
            start = after[replica_id].offset if replica_id in after else max(0, len(lines) - tail)
            found.append(ReplicaLog(replica_id, "".join(lines[start:]), LogPosition(1, len(lines))))
        return found

    async def ready(self) -> bool:
        return self.is_ready

    def _reported(self, fqrv: Fqrv) -> dict[str, float]:
        release = self.state.release(fqrv)
        return means(release.samples, self.contracts_[fqrv.contract].metrics) if release else {}

    def _happened(self, event: Event) -> None:
        self.entries.append(HistoryEntry(len(self.entries) + 1, self.now_ms, event))
        self.state.apply(event)

    def _set_contract(self, contract: Contract, settings: ContractSettings) -> None:
        self.contracts_[contract] = settings
        self._happened(ContractSet(contract, settings))

    def _set_servable(self, fqrv: Fqrv, settings: ServableSettings) -> None:
        old = self.servables[fqrv]
        self.servables[fqrv] = ServeRequest(old.path, fqrv, old.flavor, settings)
        self._happened(ServableUpdated(fqrv, settings))

    def _of(self, contract: Contract) -> list[Fqrv]:
        return sorted(fqrv for fqrv in self.servables if fqrv.contract == contract)

    def _known(self, contract: Contract) -> None:
        if contract not in self.contracts_:
            raise UnknownContract(contract)

    def _servable(self, fqrv: Fqrv) -> ServeRequest:
        if fqrv not in self.servables:
            raise UnknownServable(fqrv)
        return self.servables[fqrv]
