"""What the journal remembers. Applying the events in order, from nothing, gives the control state."""

from __future__ import annotations

from dataclasses import dataclass

from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.metrics import MetricReport
from forestflow.domain.requests import ServeRequest
from forestflow.domain.settings import ContractSettings, ServableSettings
from forestflow.domain.versions import Watch


@dataclass(frozen=True, slots=True)
class ContractSet:
    """A contract was created, or its settings were replaced."""

    contract: Contract
    settings: ContractSettings


@dataclass(frozen=True, slots=True)
class ServableDeployed:
    """A release was loaded and acknowledged. ``digest`` names its artifact in the artifact store."""

    request: ServeRequest
    digest: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class ServableUpdated:
    """A release's settings were replaced; its clocks and counters go on."""

    fqrv: Fqrv
    settings: ServableSettings


@dataclass(frozen=True, slots=True)
class ServableBecameValid:
    """All validity rules of a release held for the first time; its phase-in starts at ``at_ms``."""

    fqrv: Fqrv
    at_ms: int


@dataclass(frozen=True, slots=True)
class ServableBecameInvalid:
    """New settings of a release have rules that do not hold (yet); it answers nobody until they do."""

    fqrv: Fqrv
    at_ms: int


@dataclass(frozen=True, slots=True)
class ServablesDeleted:
    """Releases were deleted or expired; a contract whose last release was deleted goes with it."""

    fqrvs: tuple[Fqrv, ...]
    contracts: tuple[Contract, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricReported:
    """A user reported how well a release does."""

    fqrv: Fqrv
    report: MetricReport


@dataclass(frozen=True, slots=True)
class VersionsWatched:
    """The numbered directories below a path are releases of a contract from now on, or under another policy."""

    watch: Watch


@dataclass(frozen=True, slots=True)
class VersionsUnwatched:
    """They are no longer looked for; the releases stay."""

    contract: Contract


@dataclass(frozen=True, slots=True)
class VersionsForgotten:
    """Versions that are gone or no longer wanted: should they be again, they are new."""

    contract: Contract
    versions: tuple[int, ...]


Event = (
    ContractSet
    | ServableDeployed
    | ServableUpdated
    | ServableBecameValid
    | ServableBecameInvalid
    | ServablesDeleted
    | MetricReported
    | VersionsWatched
    | VersionsUnwatched
    | VersionsForgotten
)


def subject(event: Event) -> str:
    """The contract or releases that an event is about, for logs."""
    match event:
        case ContractSet(contract, _) | VersionsUnwatched(contract) | VersionsForgotten(contract, _):
            return str(contract)
        case VersionsWatched(watch):
            return str(watch.contract)
        case ServableDeployed(request, _, _):
            return str(request.fqrv)
        case (
            ServableUpdated(fqrv, _)
            | ServableBecameValid(fqrv, _)
            | ServableBecameInvalid(fqrv, _)
            | MetricReported(fqrv, _)
        ):
            return str(fqrv)
        case ServablesDeleted(fqrvs, _):
            return " ".join(map(str, fqrvs))
