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
    ContractSettings,
    ExpirationPolicy,
    FairPhaseInPctBasedRouter,
    ImmediatelyValid,
    ImmediatePhaseIn,
    KeepAll,
    KeepLatest,
    KeepTopRanked,
    LatestPhaseInPctBasedRouter,
    LinearTimeBasedPhaseIn,
    ManualPhaseIn,
    MaxAge,
    MinServedEventsBasedValidity,
    NeverValid,
    Ordering,
    PerformanceBasedValidity,
    PerformanceRouter,
    PhaseInPolicy,
    ServableSettings,
    StepPhaseIn,
    StickyRouter,
    TimeBasedValidity,
    ValidityRule,
)

# PerformanceRouter's shares are fractions; weights are integers out of so many per percent of phase-in.
PERFORMANCE_GRAIN = 100

# A metric where less is better and this is reached cannot get better; one over it must stay finite.
SMALLEST_METRIC = 1e-300


@dataclass(frozen=True, slots=True)
class ReleaseSnapshot:
    """What the policies may know of one release at one instant."""

    fqrv: Fqrv
    settings: ServableSettings
    created_at_ms: int
    became_valid_at_ms: int | None = None
    served_events: int = 0  # scored plus shaded
    metrics: Mapping[str, float] = field(default_factory=dict)


# --- validity -------------------------------------------------------------------------------------------------------


def metric_of(name: str | None, release: ReleaseSnapshot, default: str | None) -> float | None:
    """The metric a policy means: the named one, else the contract's default, else the only one reported."""
    chosen = name or default
    if chosen is not None:
        return release.metrics.get(chosen)
    return next(iter(release.metrics.values())) if len(release.metrics) == 1 else None


def rule_holds(rule: ValidityRule, release: ReleaseSnapshot, now_ms: int, default_metric: str | None = None) -> bool:
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
        case PerformanceBasedValidity(min_threshold=threshold, metric=name):
            value = metric_of(name, release, default_metric)
            return value is not None and value >= threshold


def is_valid(release: ReleaseSnapshot, now_ms: int, default_metric: str | None = None) -> bool:
    """Once valid, always valid; before, all of its rules must hold (no rule at all holds)."""
    return release.became_valid_at_ms is not None or rules_hold(release, now_ms, default_metric)


def rules_hold(release: ReleaseSnapshot, now_ms: int, default_metric: str | None = None) -> bool:
    """Whether all rules hold now, whatever was before."""
    rules = release.settings.policy_settings.validity_policy
    return all(rule_holds(rule, release, now_ms, default_metric) for rule in rules)


# --- phase-in -------------------------------------------------------------------------------------------------------


def phase_in_percent(policy: PhaseInPolicy, became_valid_at_ms: int, now_ms: int) -> int:
    """0 to 100: how much of its full share a valid release takes now."""
    elapsed_ms = max(0, now_ms - became_valid_at_ms)
    match policy:
        case ImmediatePhaseIn():
            return 100
        case LinearTimeBasedPhaseIn(phase_in_over_secs=seconds):
            # elapsed / (seconds * 1000) * 100
            return 100 if seconds == 0 else min(100, elapsed_ms // (seconds * 10))
        case StepPhaseIn(steps=steps):
            return max((step.percent for step in steps if elapsed_ms >= step.after_secs * 1000), default=0)
        case ManualPhaseIn(percent=percent):
            return percent


def percent_of(release: ReleaseSnapshot, now_ms: int) -> int:
    """The phase-in percent of a release, 0 while it is not valid."""
    if release.became_valid_at_ms is None:
        return 0
    return phase_in_percent(release.settings.policy_settings.phase_in_policy, release.became_valid_at_ms, now_ms)


# --- expiration -----------------------------------------------------------------------------------------------------


def _latest_first(releases: Sequence[ReleaseSnapshot]) -> list[ReleaseSnapshot]:
    return sorted(releases, key=lambda r: (-(r.became_valid_at_ms or 0), -r.created_at_ms, r.fqrv))


def expired(policy: ExpirationPolicy, valid: Sequence[ReleaseSnapshot], now_ms: int) -> list[Fqrv]:
    """Which of the *valid* releases the policy removes; releases that are not valid yet are never expired.

    KeepTopRanked ranks a release without the metric below every release that has it; ties and releases without it
    fall back to the one that became valid last. MaxAge always leaves the release that became valid last.
    """
    latest_first = _latest_first(valid)
    match policy:
        case KeepAll():
            return []
        case MaxAge(max_age_secs=seconds):
            return [r.fqrv for r in latest_first[1:] if now_ms - (r.became_valid_at_ms or 0) >= seconds * 1000]
        case KeepLatest(servables_to_keep=keep):
            ranked = latest_first
        case KeepTopRanked(servables_to_keep=keep, metric_to_evaluate=name, ordering=ordering):
            sign = -1.0 if ordering is Ordering.DESC else 1.0
            ranked = sorted(latest_first, key=lambda r: (name not in r.metrics, sign * r.metrics.get(name, 0.0)))
    return [release.fqrv for release in ranked[keep:]]


# --- shares ---------------------------------------------------------------------------------------------------------


def shares(settings: ContractSettings, valid: Sequence[ReleaseSnapshot], now_ms: int) -> dict[Fqrv, int]:
    """The weight of each release that may answer users; releases not named get no traffic.

    When every candidate is still at 0 %, they share equally: someone must answer.
    """
    if not valid:
        return {}
    candidates = _candidates(settings.router, valid, now_ms)
    weights = {release.fqrv: percent_of(release, now_ms) for release in candidates}
    if not any(weights.values()):
        return dict.fromkeys(weights, 1)
    if isinstance(settings.router, PerformanceRouter):
        performance = _performance(settings.router, candidates, settings.metrics.default)
        weights = {fqrv: round(weight * performance[fqrv]) for fqrv, weight in weights.items()}
        if not any(weights.values()):
            return dict.fromkeys(weights, 1)
    return {fqrv: weight for fqrv, weight in weights.items() if weight > 0}


def _candidates(router: ContractRouter, valid: Sequence[ReleaseSnapshot], now_ms: int) -> list[ReleaseSnapshot]:
    match router:
        case FairPhaseInPctBasedRouter() | PerformanceRouter() | StickyRouter():
            return list(valid)
        case LatestPhaseInPctBasedRouter():
            latest = _latest_first(valid)[:2]
            return latest[:1] if percent_of(latest[0], now_ms) >= 100 else latest


def _performance(
    router: PerformanceRouter, candidates: Sequence[ReleaseSnapshot], default: str | None
) -> dict[Fqrv, float]:
    """Each candidate's part by metric, from 0 to ``PERFORMANCE_GRAIN``."""
    merits: dict[Fqrv, float] = {}
    for release in candidates:
        value = metric_of(router.metric, release, default)
        if value is None or value <= 0:
            merits[release.fqrv] = 0.0
        else:
            merits[release.fqrv] = value if router.ordering is Ordering.DESC else 1 / max(value, SMALLEST_METRIC)
    total, n = sum(merits.values()), len(candidates)
    even = 1 / n
    return {
        fqrv: PERFORMANCE_GRAIN * (router.epsilon * even + (1 - router.epsilon) * (merit / total if total else even))
        for fqrv, merit in merits.items()
    }
