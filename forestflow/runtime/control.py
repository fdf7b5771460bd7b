"""The control-plane facade: what a transport may ask of the registry, typed, wherever the registry runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from forestflow.domain.explain import PlanExplanation
from forestflow.domain.history import HistoryEntry, PlanAt
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.metrics import MetricReport
from forestflow.domain.reports import (
    LogPosition,
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
from forestflow.domain.simulate import Proposal, TimelinePoint
from forestflow.domain.versions import VersionPolicy, VersionsReport, WatchRequest

# Sends one command to the registry by name and waits for its answer, or raises a ForestFlowError
# (Unavailable when the registry is down).
Channel = Callable[..., Awaitable[Any]]


class ControlPlane:
    """Every command and query of the control plane. All raise :class:`~forestflow.domain.errors.ForestFlowError`.

    A command returns once its effect is journalled and the router that asked has the Plan that shows it. Once it is
    ``stopping``, answers without an end of their own are to end.
    """

    def __init__(self, channel: Channel) -> None:
        self._call = channel
        self.stopping = False

    async def contracts(self) -> list[Contract]:
        """All contracts, sorted."""
        return cast(list[Contract], await self._call("contracts"))

    async def create_contract(self, contract: Contract, settings: ContractSettings) -> Contract:
        """Raises ContractValidationError when it exists."""
        return cast(Contract, await self._call("create_contract", contract, settings))

    async def update_contract(self, contract: Contract, settings: ContractSettings) -> Contract:
        """Raises UnknownContract."""
        return cast(Contract, await self._call("update_contract", contract, settings))

    async def contract_settings(self, contract: Contract) -> ContractSettings:
        """Raises UnknownContract."""
        return cast(ContractSettings, await self._call("contract_settings", contract))

    async def deploy(self, request: ServeRequest) -> Fqrv:
        """Return once a replica answers. Raises ServableAlreadyExists, ServeRequestInvalid, ContractValidationError."""
        return cast(Fqrv, await self._call("deploy", request))

    async def watch_versions(self, request: WatchRequest) -> VersionsReport:
        """Deploy the versions in a base directory from now on, and return once each that is there was tried.

        Replaces the contract's earlier watch. Raises ArtifactRejected when the directory cannot be listed,
        ContractValidationError.
        """
        return cast(VersionsReport, await self._call("watch_versions", request))

    async def update_versions(
        self, contract: Contract, policy: VersionPolicy, poll_seconds: float | None = None
    ) -> VersionsReport:
        """Which versions to serve, and the seconds between two looks. Raises UnknownContract, NotWatched."""
        return cast(VersionsReport, await self._call("update_versions", contract, policy, poll_seconds))

    async def unwatch_versions(self, contract: Contract) -> Contract:
        """Look for no more versions; the releases stay. Raises UnknownContract, NotWatched."""
        return cast(Contract, await self._call("unwatch_versions", contract))

    async def versions(self, contract: Contract) -> VersionsReport:
        """Where each version in the contract's base directory stands. Raises UnknownContract, NotWatched."""
        return cast(VersionsReport, await self._call("versions", contract))

    async def delete(self, fqrv: Fqrv) -> list[Fqrv]:
        """The releases deleted; an unknown one counts as deleted, and the last one takes its contract along."""
        return cast(list[Fqrv], await self._call("delete", fqrv))

    async def update_servable(
        self,
        fqrv: Fqrv,
        *,
        policy: PolicySettings | None = None,
        logging: LoggingSettings | None = None,
        shadow: ShadowSettings | None = None,
    ) -> Fqrv:
        """Replace what is given. Raises UnknownServable."""
        return cast(Fqrv, await self._call("update_servable", fqrv, policy, logging, shadow))

    async def report_metrics(self, fqrv: Fqrv, reports: Sequence[MetricReport]) -> Fqrv:
        """Set or append what users measured of a release. Raises UnknownServable."""
        return cast(Fqrv, await self._call("report_metrics", fqrv, tuple(reports)))

    async def explain(self, contract: Contract) -> PlanExplanation:
        """The Plan of a contract and why it is so. Raises UnknownContract."""
        return cast(PlanExplanation, await self._call("explain", contract))

    async def simulate(self, contract: Contract, proposal: Proposal) -> list[TimelinePoint]:
        """What proposed settings would do, from now on. Raises UnknownContract, UnknownServable, Invalid."""
        return cast(list[TimelinePoint], await self._call("simulate", contract, proposal))

    async def history(self, contract: Contract) -> list[HistoryEntry]:
        """Every event of a contract, oldest first, also of one that is gone. Raises UnknownContract."""
        return cast(list[HistoryEntry], await self._call("history", contract))

    async def plan_at(self, contract: Contract, at_ms: int) -> PlanAt:
        """Which release answered then with what weight, and the event that caused it. Raises UnknownContract."""
        return cast(PlanAt, await self._call("plan_at", contract, at_ms))

    async def rollback(self, contract: Contract, seq: int) -> Contract:
        """Give the contract and its living releases the settings they had after event ``seq``.

        Clocks, counters and metrics go on. Raises UnknownContract; Invalid when the contract did not exist then.
        """
        return cast(Contract, await self._call("rollback", contract, seq))

    async def releases(self, contract: Contract) -> list[Fqrv]:
        """Raises UnknownContract; NoActiveServables when there is none."""
        return cast(list[Fqrv], await self._call("releases", contract))

    async def metrics(self, contract: Contract) -> list[ServableMetrics]:
        """Raises UnknownContract; NoActiveServables when there is none."""
        return cast(list[ServableMetrics], await self._call("metrics", contract))

    async def servable_settings(self, contract: Contract) -> list[ServableSettings]:
        """Settings of each release. Raises UnknownContract; NoActiveServables when there is none."""
        return cast(list[ServableSettings], await self._call("servable_settings", contract))

    async def settings_of(self, fqrv: Fqrv) -> ServableSettings:
        """Raises UnknownServable."""
        return cast(ServableSettings, await self._call("settings_of", fqrv))

    async def metadata(self, contract: Contract) -> list[ServableMetadata]:
        """Metadata of each loaded release, possibly none. Raises UnknownContract."""
        return cast(list[ServableMetadata], await self._call("metadata", contract))

    async def metadata_of(self, fqrv: Fqrv) -> ServableMetadata:
        """Raises UnknownServable."""
        return cast(ServableMetadata, await self._call("metadata_of", fqrv))

    async def status(self, contract: Contract) -> list[ServableStatus]:
        """Where each release stands, those that are loading or failed among them. Raises UnknownContract."""
        return cast(list[ServableStatus], await self._call("status", contract))

    async def status_of(self, fqrv: Fqrv) -> ServableStatus:
        """Where one release stands, also while its deploy is under way. Raises UnknownServable."""
        return cast(ServableStatus, await self._call("status_of", fqrv))

    async def replicas(self, fqrv: Fqrv) -> list[ReplicaStatus]:
        """Each replica of one release and what it does now. Raises UnknownServable."""
        return cast(list[ReplicaStatus], await self._call("replicas", fqrv))

    async def logs(self, fqrv: Fqrv, tail: int, after: Mapping[str, LogPosition] | None = None) -> list[ReplicaLog]:
        """The last lines of each replica's log, or the lines since ``after`` (by replica).

        Also while a deploy is under way, and after one that failed. Raises UnknownServable.
        """
        return cast(list[ReplicaLog], await self._call("logs", fqrv, tail, dict(after or {})))

    async def ready(self) -> bool:
        """Whether every release that should answer does."""
        return cast(bool, await self._call("ready"))
