"""What the policies say of a contract's releases at one instant: who is valid, who expires, who gets how much.

All functions are pure: a snapshot and an instant in, a verdict out. Times are milliseconds since 1970; a release's age
is never taken as negative, so a clock that steps back slows a policy down but breaks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forestflow.domain.ids import Fqrv
from forestflow.domain.policies.expiration import ExpirationPolicy
from forestflow.domain.policies.view import latest_first
from forestflow.domain.settings import ContractSettings, ServableSettings


@dataclass(frozen=True, slots=True)
class ReleaseSnapshot:
    """What the policies may know of one release at one instant."""

    fqrv: Fqrv
    settings: ServableSettings
    created_at_ms: int
    became_valid_at_ms: int | None = None
    served_events: int = 0  # scored plus shaded
    metrics: Mapping[str, float] = field(default_factory=dict)


def is_valid(release: ReleaseSnapshot, now_ms: int, default_metric: str | None = None) -> bool:
    """Once valid, always valid; before, all of its rules must hold (no rule at all holds)."""
    return release.became_valid_at_ms is not None or rules_hold(release, now_ms, default_metric)


def rules_hold(release: ReleaseSnapshot, now_ms: int, default_metric: str | None = None) -> bool:
    """Whether all rules hold now, whatever was before."""
    rules = release.settings.policy_settings.validity_policy
    return all(rule.holds(release, now_ms, default_metric) for rule in rules)


def percent_of(release: ReleaseSnapshot, now_ms: int) -> int:
    """Return the phase-in percent of a release, 0 while it is not valid."""
    if release.became_valid_at_ms is None:
        return 0
    elapsed_ms = max(0, now_ms - release.became_valid_at_ms)
    return release.settings.policy_settings.phase_in_policy.percent_at(elapsed_ms)


def expired(policy: ExpirationPolicy, valid: Sequence[ReleaseSnapshot], now_ms: int) -> list[Fqrv]:
    """Return which of the *valid* releases the policy removes; releases that are not valid yet never expire."""
    return policy.expired(latest_first(valid), now_ms)


def shares(settings: ContractSettings, valid: Sequence[ReleaseSnapshot], now_ms: int) -> dict[Fqrv, int]:
    """Return the weight of each release that may answer users; releases not named get no traffic.

    When every candidate's weight is 0 they share equally: someone must answer.
    """
    if not valid:
        return {}
    candidates = settings.router.candidates(latest_first(valid), lambda release: percent_of(release, now_ms))
    percents = {release.fqrv: percent_of(release, now_ms) for release in candidates}
    if not any(percents.values()):
        return dict.fromkeys(percents, 1)
    weights = settings.router.weights(candidates, percents, settings.metrics.default)
    if not any(weights.values()):
        return dict.fromkeys(weights, 1)
    return {fqrv: weight for fqrv, weight in weights.items() if weight > 0}
