"""The control state: contracts and their releases, as left by the journal's events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from forestflow.domain.events import (
    ContractSet,
    Event,
    MetricReported,
    ServableBecameInvalid,
    ServableBecameValid,
    ServableDeployed,
    ServablesDeleted,
    ServableUpdated,
    VersionsForgotten,
    VersionsUnwatched,
    VersionsWatched,
)
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.metrics import Samples, with_report
from forestflow.domain.refusals import UnknownContract, UnknownServable
from forestflow.domain.requests import ServeRequest
from forestflow.domain.settings import ContractSettings, ServableSettings
from forestflow.domain.versions import Watch


@dataclass(frozen=True, slots=True)
class Release:
    """One deployed release. ``request.servable_settings`` are its settings as deployed; ``settings`` those now."""

    request: ServeRequest
    settings: ServableSettings
    digest: str
    created_at_ms: int
    became_valid_at_ms: int | None = None
    samples: Mapping[str, Samples] = field(default_factory=dict)  # reported, by metric

    @property
    def fqrv(self) -> Fqrv:
        return self.request.fqrv


@dataclass(slots=True)
class ContractState:
    """One contract; ``releases`` by release version, in the order of their deployment.

    ``watch`` says where more of them come from, if somewhere; ``taken`` are its versions deployed so far, those that
    have expired since among them, until they are forgotten.
    """

    settings: ContractSettings
    releases: dict[str, Release] = field(default_factory=dict)
    watch: Watch | None = None
    taken: set[int] = field(default_factory=set)

    def versions(self) -> dict[int, Release]:
        """The releases that are versions of the watch."""
        numbered = ((self.watch.version_of(r.request), r) for r in self.releases.values() if self.watch is not None)
        return {version: release for version, release in numbered if version is not None}


@dataclass(slots=True)
class State:
    """Everything the journal knows. Changed by :meth:`apply` alone."""

    contracts: dict[Contract, ContractState] = field(default_factory=dict)

    def release(self, fqrv: Fqrv) -> Release | None:
        contract = self.contracts.get(fqrv.contract)
        return contract.releases.get(fqrv.release_version) if contract else None

    def known_contract(self, contract: Contract) -> ContractState:
        """Raises UnknownContract."""
        known = self.contracts.get(contract)
        if known is None:
            raise UnknownContract(contract)
        return known

    def known_release(self, fqrv: Fqrv) -> Release:
        """Raises UnknownServable."""
        release = self.release(fqrv)
        if release is None:
            raise UnknownServable(fqrv)
        return release

    def releases(self) -> Iterator[Release]:
        for contract in self.contracts.values():
            yield from contract.releases.values()

    def apply(self, event: Event) -> None:
        """Change the state as ``event`` says; an event about something that is gone changes nothing."""
        match event:
            case ContractSet(contract, settings):
                known = self.contracts.get(contract)
                if known:
                    known.settings = settings
                else:
                    self.contracts[contract] = ContractState(settings)
            case ServableDeployed(request, digest, created_at_ms):
                release = Release(request, request.servable_settings, digest, created_at_ms)
                of = self.contracts[release.fqrv.contract]
                of.releases[release.fqrv.release_version] = release
                of.taken |= of.versions().keys()
            case ServableUpdated(fqrv, settings):
                self._replace(fqrv, settings=settings)
            case ServableBecameValid(fqrv, at_ms):
                self._replace(fqrv, became_valid_at_ms=at_ms)
            case ServableBecameInvalid(fqrv, _):
                self._replace(fqrv, became_valid_at_ms=None)
            case MetricReported(fqrv, report):
                known_release = self.release(fqrv)
                if known_release:
                    self._replace(fqrv, samples=with_report(known_release.samples, report))
            case ServablesDeleted(fqrvs, contracts):
                for fqrv in fqrvs:
                    if fqrv.contract in self.contracts:
                        self.contracts[fqrv.contract].releases.pop(fqrv.release_version, None)
                for contract in contracts:
                    self.contracts.pop(contract, None)
            case VersionsWatched(watch):
                of = self.contracts[watch.contract]
                if of.watch is None or of.watch.path != watch.path:
                    of.taken.clear()
                of.watch = watch
                of.taken |= of.versions().keys()
            case VersionsUnwatched(contract):
                if contract in self.contracts:
                    self.contracts[contract].watch = None
                    self.contracts[contract].taken.clear()
            case VersionsForgotten(contract, versions):
                if contract in self.contracts:
                    self.contracts[contract].taken -= set(versions)

    def _replace(self, fqrv: Fqrv, **changes: object) -> None:
        release = self.release(fqrv)
        if release:
            self.contracts[fqrv.contract].releases[fqrv.release_version] = replace(release, **changes)  # type: ignore[arg-type]
