"""What happened to a contract: its journalled events in order, and the Plan that held at any moment between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
from forestflow.domain.explain import PlanExplanation, explain
from forestflow.domain.ids import Contract
from forestflow.domain.metrics import means
from forestflow.domain.state import ContractState, State
from forestflow.domain.verdicts import ReleaseSnapshot


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One journalled event: its number in the journal, when (ms since 1970), and what."""

    seq: int
    at_ms: int
    event: Event


@dataclass(frozen=True, slots=True)
class PlanAt:
    """The Plan of a contract at one moment, and the last event that shaped it."""

    plan: PlanExplanation
    cause: HistoryEntry


def concerns(event: Event, contract: Contract) -> bool:
    """Whether an event is about this contract."""
    match event:
        case ContractSet(of, _) | VersionsUnwatched(of) | VersionsForgotten(of, _):
            return of == contract
        case VersionsWatched(watch):
            return watch.contract == contract
        case ServableDeployed(request, _, _):
            return request.fqrv.contract == contract
        case (
            ServableUpdated(fqrv, _)
            | ServableBecameValid(fqrv, _)
            | ServableBecameInvalid(fqrv, _)
            | MetricReported(fqrv, _)
        ):
            return fqrv.contract == contract
        case ServablesDeleted(fqrvs, contracts):
            return contract in contracts or any(fqrv.contract == contract for fqrv in fqrvs)


def state_at(entries: Iterable[HistoryEntry], contract: Contract, seq: int) -> ContractState | None:
    """The contract after the event numbered ``seq`` (and all before it)."""
    state = State()
    for entry in entries:
        if entry.seq > seq:
            break
        if concerns(entry.event, contract):
            state.apply(entry.event)
    return state.contracts.get(contract)


def snapshots(state: ContractState) -> list[ReleaseSnapshot]:
    """What the policies may know of each release, but for its counters, which the journal does not keep over time."""
    return [
        ReleaseSnapshot(
            release.fqrv,
            release.settings,
            release.created_at_ms,
            release.became_valid_at_ms,
            metrics=means(release.samples, state.settings.metrics),
        )
        for release in state.releases.values()
    ]


def plan_at(entries: Iterable[HistoryEntry], contract: Contract, at_ms: int) -> PlanAt | None:
    """The Plan at ``at_ms``, as the policies had it; ``None`` when the contract did not exist then."""
    state, cause = State(), None
    for entry in entries:
        if entry.at_ms <= at_ms and concerns(entry.event, contract):
            state.apply(entry.event)
            cause = entry
    known = state.contracts.get(contract)
    if known is None or cause is None:
        return None
    return PlanAt(explain(contract, known.settings, snapshots(known), at_ms), cause)
