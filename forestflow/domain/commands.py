"""What may be asked of the control plane: one frozen dataclass per command or query, typed by its answer.

A command changes state and is answered once its effect is journalled; a query changes nothing. Each raises
:class:`~forestflow.domain.errors.ForestFlowError`; the docstrings name the errors of its own. A new command is a class
here, its handler in the registry, and a route in each transport that offers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

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

Answer = TypeVar("Answer", covariant=True)


class Command(Generic[Answer]):
    """One command or query, answered by an ``Answer``."""

    __slots__ = ()


class Query(Command[Answer]):
    """A command that changes nothing."""

    __slots__ = ()


# --- contracts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CreateContract(Command[Contract]):
    """Create a contract without releases. Raises ContractValidationError when it exists."""

    contract: Contract
    settings: ContractSettings


@dataclass(frozen=True)
class UpdateContract(Command[Contract]):
    """Replace a contract's settings. Raises UnknownContract."""

    contract: Contract
    settings: ContractSettings


@dataclass(frozen=True)
class Rollback(Command[Contract]):
    """Give a contract and its living releases the settings they had after event ``seq``; clocks and counters go on.

    Raises UnknownContract; Invalid when the contract did not exist then.
    """

    contract: Contract
    seq: int


@dataclass(frozen=True)
class ListContracts(Query[list[Contract]]):
    """List all contracts, sorted."""


@dataclass(frozen=True)
class GetContractSettings(Query[ContractSettings]):
    """Raises UnknownContract."""

    contract: Contract


@dataclass(frozen=True)
class Explain(Query[PlanExplanation]):
    """Explain the Plan of a contract. Raises UnknownContract."""

    contract: Contract


@dataclass(frozen=True)
class Simulate(Query[list[TimelinePoint]]):
    """Foretell what proposed settings would do from now on. Raises UnknownContract, UnknownServable, Invalid."""

    contract: Contract
    proposal: Proposal


@dataclass(frozen=True)
class GetHistory(Query[list[HistoryEntry]]):
    """List every event of a contract, oldest first, also of one that is gone. Raises UnknownContract."""

    contract: Contract


@dataclass(frozen=True)
class GetPlanAt(Query[PlanAt]):
    """Say which release answered with what weight at a time, and which event caused it. Raises UnknownContract."""

    contract: Contract
    at_ms: int


# --- releases -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deploy(Command[Fqrv]):
    """Load a release; answered once a replica answers.

    Raises ServableAlreadyExists, ServeRequestInvalid, ContractValidationError.
    """

    request: ServeRequest


@dataclass(frozen=True)
class Delete(Command[list[Fqrv]]):
    """Delete a release; an unknown one counts as deleted, and the last one takes its contract along."""

    fqrv: Fqrv


@dataclass(frozen=True)
class UpdateServable(Command[Fqrv]):
    """Replace the settings that are given. Raises UnknownServable."""

    fqrv: Fqrv
    policy: PolicySettings | None = None
    logging: LoggingSettings | None = None
    shadow: ShadowSettings | None = None


@dataclass(frozen=True)
class ReportMetrics(Command[Fqrv]):
    """Set or append what users measured of a release. Raises UnknownServable."""

    fqrv: Fqrv
    reports: tuple[MetricReport, ...]


@dataclass(frozen=True)
class ListReleases(Query[list[Fqrv]]):
    """Raises UnknownContract; NoActiveServables when there is none."""

    contract: Contract


@dataclass(frozen=True)
class ListMetrics(Query[list[ServableMetrics]]):
    """Say how each release does. Raises UnknownContract; NoActiveServables when there is none."""

    contract: Contract


@dataclass(frozen=True)
class ListSettings(Query[list[ServableSettings]]):
    """List the settings of each release. Raises UnknownContract; NoActiveServables when there is none."""

    contract: Contract


@dataclass(frozen=True)
class GetSettings(Query[ServableSettings]):
    """Raises UnknownServable."""

    fqrv: Fqrv


@dataclass(frozen=True)
class ListMetadata(Query[list[ServableMetadata]]):
    """Describe the model of each loaded release, possibly none. Raises UnknownContract."""

    contract: Contract


@dataclass(frozen=True)
class GetMetadata(Query[ServableMetadata]):
    """Raises UnknownServable; Invalid for a release that has not been loaded yet."""

    fqrv: Fqrv


@dataclass(frozen=True)
class ListStatus(Query[list[ServableStatus]]):
    """Say where each release stands, those that are loading or failed among them. Raises UnknownContract."""

    contract: Contract


@dataclass(frozen=True)
class GetStatus(Query[ServableStatus]):
    """Say where one release stands, also while its deploy is under way. Raises UnknownServable."""

    fqrv: Fqrv


@dataclass(frozen=True)
class ListReplicas(Query[list[ReplicaStatus]]):
    """Ask each replica of one release what it does now. Raises UnknownServable."""

    fqrv: Fqrv


@dataclass(frozen=True)
class ReadLogs(Query[list[ReplicaLog]]):
    """Read the last ``tail`` lines of each replica's log, or the lines since ``after`` (by replica).

    Also while a deploy is under way, and after one that failed. Raises UnknownServable.
    """

    fqrv: Fqrv
    tail: int
    after: Mapping[str, LogPosition] = field(default_factory=dict)


@dataclass(frozen=True)
class IsReady(Query[bool]):
    """Say whether every release that should answer does."""


# --- version directories --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WatchVersions(Command[VersionsReport]):
    """Deploy the versions in a base directory from now on; answered once each that is there was tried.

    Replaces the contract's earlier watch. Raises ArtifactRejected when the directory cannot be listed,
    ContractValidationError.
    """

    request: WatchRequest


@dataclass(frozen=True)
class UpdateVersions(Command[VersionsReport]):
    """Choose which versions to serve, and the seconds between two looks. Raises UnknownContract, NotWatched."""

    contract: Contract
    policy: VersionPolicy
    poll_seconds: float | None = None


@dataclass(frozen=True)
class UnwatchVersions(Command[Contract]):
    """Look for no more versions; the releases stay. Raises UnknownContract, NotWatched."""

    contract: Contract


@dataclass(frozen=True)
class GetVersions(Query[VersionsReport]):
    """Say where each version in the contract's base directory stands. Raises UnknownContract, NotWatched."""

    contract: Contract
