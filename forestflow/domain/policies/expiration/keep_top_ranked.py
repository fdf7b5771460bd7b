"""Keep the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.ids import Fqrv
from forestflow.domain.policies import forms
from forestflow.domain.policies.expiration.base import Expiration, check_keep
from forestflow.domain.policies.view import Ordering, ReleaseView


@dataclass(frozen=True, slots=True)
class KeepTopRanked(Expiration):
    """The best valid releases by a reported metric are kept.

    A release without the metric ranks below every release that has it; ties, and releases without it, fall back to
    the one that became valid last.
    """

    FORM: ClassVar[str] = "top:COUNT:METRIC[,asc]"

    servables_to_keep: int
    metric_to_evaluate: str
    ordering: Ordering = Ordering.DESC

    def __post_init__(self) -> None:
        check_keep(self.servables_to_keep)
        if not self.metric_to_evaluate:
            raise InvalidSettings("metricToEvaluate must not be empty")

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        count, _, metric = value.partition(":")
        keep = forms.whole(count) if kind == "top" else None
        name, ascending = forms.ascending(metric)
        return cls(keep, name, Ordering.ASC if ascending else Ordering.DESC) if keep is not None and name else None

    def expired(self, latest_first: Sequence[ReleaseView], now_ms: int) -> list[Fqrv]:
        name = self.metric_to_evaluate
        sign = -1.0 if self.ordering is Ordering.DESC else 1.0
        ranked = sorted(latest_first, key=lambda r: (name not in r.metrics, sign * r.metrics.get(name, 0.0)))
        return [release.fqrv for release in ranked[self.servables_to_keep :]]
