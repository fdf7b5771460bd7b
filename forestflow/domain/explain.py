"""Why the Plan is as it is: for each release its rules one by one, with the numbers and the time of the next change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.policies import ReleaseSnapshot, expired, metric_of, percent_of, rule_holds, shares
from forestflow.domain.settings import (
    ContractSettings,
    ImmediatelyValid,
    LinearTimeBasedPhaseIn,
    MaxAge,
    MinServedEventsBasedValidity,
    NeverValid,
    PerformanceBasedValidity,
    PhaseInPolicy,
    StepPhaseIn,
    TimeBasedValidity,
    ValidityRule,
)


@dataclass(frozen=True, slots=True)
class RuleExplanation:
    """One validity rule: whether it holds, the numbers, and when (ms since 1970) time alone will change that."""

    rule: str
    holds: bool
    detail: str
    changes_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseExplanation:
    """One release: what it gets and why. ``share`` is the part of user requests, 0 to 1."""

    fqrv: Fqrv
    weight: int
    share: float
    shadows: bool
    valid: bool
    became_valid_at_ms: int | None
    phase_in_pct: int
    rules: tuple[RuleExplanation, ...]
    reason: str
    changes_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PlanExplanation:
    """A contract's Plan at ``at_ms``; ``expiring`` names releases that would expire now if another could answer."""

    contract: Contract
    at_ms: int
    releases: tuple[ReleaseExplanation, ...]
    expiring: tuple[Fqrv, ...] = ()


def explain(
    contract: Contract,
    settings: ContractSettings,
    releases: Sequence[ReleaseSnapshot],
    now_ms: int,
    failed: Mapping[Fqrv, str] | None = None,
) -> PlanExplanation:
    """Explain the shares of all ``releases``; ``failed`` says why some of them cannot answer."""
    failures = failed or {}
    valid = [r for r in releases if r.became_valid_at_ms is not None]
    able = [r for r in valid if r.fqrv not in failures]
    weights = shares(settings, able, now_ms)
    total = sum(weights.values()) or 1
    return PlanExplanation(
        contract,
        now_ms,
        tuple(_release(r, weights.get(r.fqrv, 0), total, settings, now_ms, failures.get(r.fqrv)) for r in releases),
        tuple(expired(settings.expiration_policy, valid, now_ms)),
    )


def _release(
    release: ReleaseSnapshot, weight: int, total: int, settings: ContractSettings, now_ms: int, failure: str | None
) -> ReleaseExplanation:
    default = settings.metrics.default
    rules = tuple(
        explain_rule(rule, release, now_ms, default) for rule in release.settings.policy_settings.validity_policy
    )
    percent = percent_of(release, now_ms)
    valid_at = release.became_valid_at_ms
    changes = _next_change(release, rules, settings, now_ms)
    if failure is not None:
        reason = f"it cannot answer: {failure}"
    elif valid_at is None:
        waiting = [rule.rule for rule in rules if not rule.holds]
        reason = f"not valid yet: waits for {' and '.join(waiting)}" if waiting else "becomes valid at the next look"
    elif weight == 0:
        reason = f"valid, but the {type(settings.router).__name__} gives it nothing at {percent} % phase-in"
    else:
        reason = f"valid, {percent} % phased in: {weight} of {total} by the {type(settings.router).__name__}"
    return ReleaseExplanation(
        release.fqrv, weight, weight / total, release.settings.shadows, valid_at is not None, valid_at, percent,
        rules, reason, changes,
    )  # fmt: skip


def explain_rule(
    rule: ValidityRule, release: ReleaseSnapshot, now_ms: int, default_metric: str | None
) -> RuleExplanation:
    """One rule, with its numbers."""
    holds = rule_holds(rule, release, now_ms, default_metric)
    changes: int | None = None
    match rule:
        case ImmediatelyValid():
            detail = "always holds"
        case NeverValid():
            detail = "never holds"
        case TimeBasedValidity(valid_after_ms=after):
            age = max(0, now_ms - release.created_at_ms)
            detail = f"{age} ms old, needs {after} ms"
            changes = None if holds else release.created_at_ms + after
        case MinServedEventsBasedValidity(valid_after_min_served_events=events):
            detail = f"{release.served_events} events served, needs {events}"
        case PerformanceBasedValidity(min_threshold=threshold, metric=name):
            value = metric_of(name, release, default_metric)
            known = "nothing reported" if value is None else f"{value:g}"
            detail = f"{name or default_metric or 'the only metric reported'}: {known}, needs {threshold:g}"
    return RuleExplanation(type(rule).__name__, holds, detail, changes)


def _next_change(
    release: ReleaseSnapshot, rules: Sequence[RuleExplanation], settings: ContractSettings, now_ms: int
) -> int | None:
    """When time alone changes something about the release: validity, percent or expiry."""
    valid_at = release.became_valid_at_ms
    if valid_at is None:
        blocking = [rule for rule in rules if not rule.holds]
        times = [rule.changes_at_ms for rule in blocking if rule.changes_at_ms is not None]
        return max(times) if times and len(times) == len(blocking) else None
    changes = [_next_percent(release.settings.policy_settings.phase_in_policy, valid_at, now_ms)]
    if isinstance(settings.expiration_policy, MaxAge):
        changes.append(valid_at + settings.expiration_policy.max_age_secs * 1000)
    return min((at for at in changes if at is not None and at > now_ms), default=None)


def _next_percent(policy: PhaseInPolicy, valid_at_ms: int, now_ms: int) -> int | None:
    match policy:
        case LinearTimeBasedPhaseIn(phase_in_over_secs=seconds) if seconds > 0:
            percent = min(100, max(0, now_ms - valid_at_ms) // (seconds * 10))
            return None if percent >= 100 else valid_at_ms + (percent + 1) * seconds * 10
        case StepPhaseIn(steps=steps):
            return next((at for s in steps if (at := valid_at_ms + s.after_secs * 1000) > now_ms), None)
        case _:
            return None
