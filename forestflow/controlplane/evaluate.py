"""From control state and living replicas to the Plan: which events fall due now, and what routers are to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from forestflow.domain.events import Event, ServableBecameValid, ServablesDeleted
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.metrics import means
from forestflow.domain.plan import ContractPlan, ReleasePlan, ReplicaAddress
from forestflow.domain.policies.routers import StickyRouter
from forestflow.domain.reports import Counts
from forestflow.domain.settings import MetricSettings, ServableSettings
from forestflow.domain.state import ContractState, Release
from forestflow.domain.verdicts import ReleaseSnapshot, expired, is_valid, shares

Counted = Callable[[Fqrv], Counts]
Addresses = Callable[[Fqrv], tuple[ReplicaAddress, ...]]


def snapshot(release: Release, metrics: MetricSettings, counts: Counted = lambda _: Counts()) -> ReleaseSnapshot:
    """What the policies may know of ``release``."""
    counted = counts(release.fqrv)
    return ReleaseSnapshot(
        release.fqrv,
        release.settings,
        release.created_at_ms,
        release.became_valid_at_ms,
        counted.scored + counted.shaded,
        means(release.samples, metrics),
    )


def due_events(state: ContractState, addresses: Addresses, counts: Counted, now_ms: int) -> list[Event]:
    """Releases of one contract that become valid now, then those that expire.

    Nothing expires unless a release that stays can answer; so the only one that can is never removed.
    """
    events: list[Event] = []
    valid: list[ReleaseSnapshot] = []
    for release in state.releases.values():
        view = snapshot(release, state.settings.metrics, counts)
        if view.became_valid_at_ms is None:
            if not is_valid(view, now_ms, state.settings.metrics.default):
                continue
            events.append(ServableBecameValid(release.fqrv, now_ms))
            view = replace(view, became_valid_at_ms=now_ms)
        valid.append(view)
    gone = expired(state.settings.expiration_policy, valid, now_ms)
    stays = [view for view in valid if view.fqrv not in gone]
    if gone and any(addresses(view.fqrv) for view in stays):
        events.append(ServablesDeleted(tuple(gone)))
    return events


def contract_plan(
    contract: Contract,
    state: ContractState,
    addresses: Addresses,
    failed: Callable[[Fqrv], bool],
    counts: Counted,
    now_ms: int,
) -> ContractPlan:
    """The Plan of one contract. A release that has failed takes no share; the others answer for it."""
    able = [release for release in state.releases.values() if not failed(release.fqrv)]
    metrics = state.settings.metrics
    valid = [snapshot(release, metrics, counts) for release in able if release.became_valid_at_ms is not None]
    weights = shares(state.settings, valid, now_ms)
    router = state.settings.router
    return ContractPlan(
        contract,
        tuple(
            _release_plan(release.settings, release.fqrv, weights.get(release.fqrv, 0), addresses)
            for release in state.releases.values()
        ),
        sticky_key=router.key_config if isinstance(router, StickyRouter) else None,
        routing=state.settings.routing,
    )


def _release_plan(settings: ServableSettings, fqrv: Fqrv, weight: int, addresses: Addresses) -> ReleasePlan:
    deployment = settings.deployment_settings
    return ReleasePlan(
        fqrv,
        weight,
        shadow=settings.shadows,
        replicas=addresses(fqrv),
        max_queued=deployment.max_queued,
        timeout_seconds=deployment.timeout_seconds,
        sample_percent=settings.shadow.sample_percent,
        max_backlog=settings.shadow.max_backlog,
    )
