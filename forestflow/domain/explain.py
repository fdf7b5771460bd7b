"""Why the Plan is as it is: for each release its rules one by one, with the numbers and the time of the next change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.policies.validity import ValidityRule
from forestflow.domain.settings import ContractSettings
from forestflow.domain.verdicts import ReleaseSnapshot, expired, percent_of, shares


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
    """Explain one rule, with its numbers."""
    holds = rule.holds(release, now_ms, default_metric)
    changes = None if holds else rule.holds_from(release)
    return RuleExplanation(type(rule).__name__, holds, rule.detail(release, now_ms, default_metric), changes)


def _next_change(
    release: ReleaseSnapshot, rules: Sequence[RuleExplanation], settings: ContractSettings, now_ms: int
) -> int | None:
    """Return when time alone changes something about the release: validity, percent or expiry."""
    valid_at = release.became_valid_at_ms
    if valid_at is None:
        blocking = [rule for rule in rules if not rule.holds]
        times = [rule.changes_at_ms for rule in blocking if rule.changes_at_ms is not None]
        return max(times) if times and len(times) == len(blocking) else None
    phased = release.settings.policy_settings.phase_in_policy.changes_at(max(0, now_ms - valid_at))
    changes = [
        valid_at + phased if phased is not None else None,
        settings.expiration_policy.expires_at(valid_at),
    ]
    return min((at for at in changes if at is not None and at > now_ms), default=None)
