"""What a policy may know of a release, and what several policies ask of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from forestflow.domain.ids import Fqrv


class ReleaseView(Protocol):
    """One release at one instant."""

    @property
    def fqrv(self) -> Fqrv: ...

    @property
    def created_at_ms(self) -> int: ...

    @property
    def became_valid_at_ms(self) -> int | None: ...

    @property
    def served_events(self) -> int:
        """How many requests the release scored or shaded."""
        ...

    @property
    def metrics(self) -> Mapping[str, float]:
        """The mean of what users reported, by name."""
        ...


Release = TypeVar("Release", bound=ReleaseView)


class Ordering(enum.IntEnum):
    """Which end of a metric is the good one: DESC keeps the highest, ASC the lowest."""

    DESC = 1
    ASC = 2


def metric_of(name: str | None, release: ReleaseView, default: str | None) -> float | None:
    """Return the metric a policy means: the named one, or the contract's default, or the only one reported."""
    chosen = name or default
    if chosen is not None:
        return release.metrics.get(chosen)
    return next(iter(release.metrics.values())) if len(release.metrics) == 1 else None


def latest_first(releases: Sequence[Release]) -> list[Release]:
    """Sort by when the releases became valid, then by when they were created."""
    return sorted(releases, key=lambda r: (-(r.became_valid_at_ms or 0), -r.created_at_ms, r.fqrv))
