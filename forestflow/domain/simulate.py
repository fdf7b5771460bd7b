"""What settings would do: the timeline of a contract's shares over a horizon, by the policies themselves.

Metrics stay as they are; events come in at a steady rate, to each valid release by its share and to each shadow by its
sample. Nothing is loaded, routed or remembered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from forestflow.domain.errors import Invalid
from forestflow.domain.ids import Fqrv
from forestflow.domain.settings import ContractSettings, PolicySettings
from forestflow.domain.verdicts import ReleaseSnapshot, expired, is_valid, shares

MAX_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    """The shares (0 to 1) from ``at_ms`` on; releases not named get nothing."""

    at_ms: int
    shares: dict[Fqrv, float]
    valid: tuple[Fqrv, ...] = ()
    expired: tuple[Fqrv, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to simulate: settings that stay ``None`` or unnamed are those in force. Times in ms, rate in requests/s."""

    contract_settings: ContractSettings | None = None
    policies: Mapping[str, PolicySettings] = field(default_factory=dict)  # by release version
    horizon_ms: int = 3_600_000
    step_ms: int = 1_000
    events_per_second: float = 0.0


def simulate(
    settings: ContractSettings,
    releases: Sequence[ReleaseSnapshot],
    now_ms: int,
    *,
    horizon_ms: int,
    step_ms: int,
    events_per_second: float = 0.0,
) -> list[TimelinePoint]:
    """The points at which anything changes, looked at every ``step_ms`` from ``now_ms`` to the horizon.

    Raises Invalid for a horizon or step that makes no sense.
    """
    steady = math.isfinite(events_per_second) and events_per_second >= 0
    if horizon_ms <= 0 or step_ms <= 0 or horizon_ms // step_ms > MAX_POINTS or not steady:
        raise Invalid(
            f"a simulation needs a horizon and a step over 0, at most {MAX_POINTS} steps, and no negative rate"
        )
    living = {release.fqrv: release for release in releases}
    served = {release.fqrv: float(release.served_events) for release in releases}
    points: list[TimelinePoint] = []
    for at_ms in range(now_ms, now_ms + horizon_ms + 1, step_ms):
        for fqrv, release in living.items():
            seen = replace(release, served_events=int(served[fqrv]))
            if seen.became_valid_at_ms is None and is_valid(seen, at_ms, settings.metrics.default):
                seen = replace(seen, became_valid_at_ms=at_ms)
            living[fqrv] = seen
        valid = [release for release in living.values() if release.became_valid_at_ms is not None]
        gone = expired(settings.expiration_policy, valid, at_ms)
        for fqrv in gone:
            del living[fqrv]
        valid = [release for release in valid if release.fqrv not in gone]
        weights = shares(settings, valid, at_ms)
        total = sum(weights.values())
        parts = {fqrv: weight / total for fqrv, weight in weights.items()}
        point = TimelinePoint(at_ms, parts, tuple(release.fqrv for release in valid), tuple(gone))
        if not points or gone or (parts, point.valid) != (points[-1].shares, points[-1].valid):
            points.append(point)
        events = events_per_second * step_ms / 1000
        for fqrv, release in living.items():
            served[fqrv] += events * parts.get(fqrv, 0.0)
            if release.settings.shadows:
                sampled = release.settings.shadow.sample_percent / 100
                served[fqrv] += events * (1 - parts.get(fqrv, 0.0)) * sampled
    return points
