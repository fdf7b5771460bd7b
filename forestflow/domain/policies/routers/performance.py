"""Better releases get more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.ids import Fqrv
from forestflow.domain.policies import forms
from forestflow.domain.policies.routers.base import Router
from forestflow.domain.policies.view import Ordering, ReleaseView, metric_of

# What explores, unless the user says otherwise.
EPSILON = 0.1

# The shares are fractions; weights are integers out of so many per percent of phase-in.
PERFORMANCE_GRAIN = 100

# A metric where less is better and this is reached cannot get better; one over it must stay finite.
SMALLEST_METRIC = 1e-300


@dataclass(frozen=True, slots=True)
class PerformanceRouter(Router):
    """All valid releases share the requests by a reported metric, times phase-in percent.

    A share of ``epsilon`` goes to all of them alike, to keep exploring; the rest in proportion to the metric (DESC) or
    to one over it (ASC). A release without the metric, or with one that is not above 0, only explores. ``metric``
    ``None``: the contract's default metric.
    """

    FORM: ClassVar[str] = "performance[:METRIC][,epsilon=SHARE][,asc]"

    metric: str | None = None
    epsilon: float = EPSILON
    ordering: Ordering = Ordering.DESC

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= 1:
            raise InvalidSettings(f"epsilon must be in 0..1, got {self.epsilon}")
        if self.metric == "":
            raise InvalidSettings("metric must not be empty; leave it out for the contract's default metric")

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        rest, ascending = forms.ascending(f"{kind}:{value}" if value else kind)
        rest, _, epsilon = rest.partition(",epsilon=")
        name, colon, metric = rest.partition(":")
        if name != "performance" or bool(colon) != bool(metric):
            return None
        share = forms.decimal(epsilon) if epsilon else EPSILON
        if share is None:
            return None
        return cls(metric or None, share, Ordering.ASC if ascending else Ordering.DESC)

    def weights(
        self, candidates: Sequence[ReleaseView], percents: Mapping[Fqrv, int], default_metric: str | None
    ) -> dict[Fqrv, int]:
        merits = {release.fqrv: self._merit(release, default_metric) for release in candidates}
        total, even = sum(merits.values()), 1 / len(candidates)
        parts = {
            fqrv: self.epsilon * even + (1 - self.epsilon) * (merit / total if total else even)
            for fqrv, merit in merits.items()
        }
        return {fqrv: round(percent * PERFORMANCE_GRAIN * parts[fqrv]) for fqrv, percent in percents.items()}

    def _merit(self, release: ReleaseView, default_metric: str | None) -> float:
        value = metric_of(self.metric, release, default_metric)
        if value is None or value <= 0:
            return 0.0
        return value if self.ordering is Ordering.DESC else 1 / max(value, SMALLEST_METRIC)
