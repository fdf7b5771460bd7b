"""Policies as pure functions: a snapshot and an instant in, a verdict out. All state is held elsewhere.

Times are milliseconds since 1970; a release's age is never taken as negative, so a clock that steps back slows a
policy down but breaks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forestflow.domain.ids import Fqrv
from forestflow.domain.settings import (
    ContractRouter,
    ExpirationPolicy,
    FairPhaseInPctBasedRouter,
    ImmediatelyValid,
    ImmediatePhaseIn,
    KeepLatest,
    KeepTopRanked,
    LatestPhaseInPctBasedRouter,
    LinearTimeBasedPhaseIn,
    MinServedEventsBasedValidity,
    NeverValid,
    Ordering,
    PerformanceBasedValidity,
    PhaseInPolicy,
    ServableSettings,
    TimeBasedValidity,
    ValidityRule,
)


@dataclass(frozen=True, slots=True)
class ReleaseSnapshot:
    """What the policies may know of one release at one instant."""

    fqrv: Fqrv
    settings: ServableSettings
    created_at_ms: int
    became_valid_at_ms: int | None = None
    served_events: int = 0  # scored plus shaded
    metrics: Mapping[str, float] = field(default_factory=dict)


def rule_holds(rule: ValidityRule, release: ReleaseSnapshot, now_ms: int) -> bool:
    """Whether one validity rule holds for ``release`` now."""
    match rule:
        case ImmediatelyValid():
            return True
        case NeverValid():
            return False
        case TimeBasedValidity(valid_after_ms=after):
            return now_ms - release.created_at_ms >= after
        case MinServedEventsBasedValidity(valid_after_min_served_events=events):
            return release.served_events >= events
        case PerformanceBasedValidity(min_threshold=threshold):
            # minThreshold names no metric: it speaks of the best that was reported.
            return max(release.metrics.values(), default=float("-inf")) >= threshold


def is_valid(release: ReleaseSnapshot, now_ms: int) -> bool:
    """Once valid, always valid; before, all of its rules must hold (no rule at all holds)."""
    if release.became_valid_at_ms is not None:
        return True
    return all(rule_holds(rule, release, now_ms) for rule in release.settings.policy_settings.validity_policy)


def phase_in_percent(policy: PhaseInPolicy, became_valid_at_ms: int, now_ms: int) -> int:
    """0 to 100: how much of its full share a valid release takes now."""
    match policy:
        case ImmediatePhaseIn():
            return 100
        case LinearTimeBasedPhaseIn(phase_in_over_secs=seconds):
            if seconds == 0:
                return 100
            elapsed_ms = max(0, now_ms - became_valid_at_ms)
            return min(100, elapsed_ms // (seconds * 10))  # elapsed / (seconds * 1000) * 100


def percent_of(release: ReleaseSnapshot, now_ms: int) -> int:
    """The phase-in percent of a release, 0 while it is not valid."""
    if release.became_valid_at_ms is None:
        return 0
    return phase_in_percent(release.settings.policy_settings.phase_in_policy, release.became_valid_at_ms, now_ms)


def _latest_first(releases: Sequence[ReleaseSnapshot]) -> list[ReleaseSnapshot]:
    return sorted(releases, key=lambda r: (-(r.became_valid_at_ms or 0), -r.created_at_ms, r.fqrv))


def expired(policy: ExpirationPolicy, valid: Sequence[ReleaseSnapshot]) -> list[Fqrv]:
    """Which of the *valid* releases the policy removes; releases that are not valid yet are never expired.

    KeepTopRanked ranks a release without the metric below every release that has it; ties and releases without it
    fall back to the one that became valid last.
    """
    latest_first = _latest_first(valid)
    match policy:
        case KeepLatest(servables_to_keep=keep):
            ranked = latest_first
        case KeepTopRanked(servables_to_keep=keep, metric_to_evaluate=name, ordering=ordering):
            sign = -1.0 if ordering is Ordering.DESC else 1.0
            ranked = sorted(latest_first, key=lambda r: (name not in r.metrics, sign * r.metrics.get(name, 0.0)))
    return [release.fqrv for release in ranked[keep:]]


def shares(router: ContractRouter, valid: Sequence[ReleaseSnapshot], now_ms: int) -> dict[Fqrv, int]:
    """The weight of each release that may answer users; releases not named get no traffic.

    When every candidate is still at 0 %, they share equally: someone must answer.
    """
    if not valid:
        return {}
    match router:
        case FairPhaseInPctBasedRouter():
            candidates = list(valid)
        case LatestPhaseInPctBasedRouter():
            candidates = _latest_first(valid)[:2]
            if percent_of(candidates[0], now_ms) >= 100:
                candidates = candidates[:1]
    weights = {release.fqrv: percent_of(release, now_ms) for release in candidates}
    if not any(weights.values()):
        return dict.fromkeys(weights, 1)
    return {fqrv: weight for fqrv, weight in weights.items() if weight > 0}
