"""Valid by a reported metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.policies.validity.base import Rule
from forestflow.domain.policies.view import ReleaseView, metric_of


@dataclass(frozen=True, slots=True)
class PerformanceBasedValidity(Rule):
    """The release is valid once a metric reaches ``min_threshold``; without ``metric``, the contract's default one."""

    FORM: ClassVar[str] = "metric:[NAME=]THRESHOLD"

    min_threshold: float
    metric: str | None = None

    def __post_init__(self) -> None:
        if math.isnan(self.min_threshold):
            raise InvalidSettings("minThreshold must be a number")
        if self.metric == "":
            raise InvalidSettings("metric must not be empty; leave it out for the contract's default metric")

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        name, _, threshold = value.rpartition("=")
        try:
            return cls(float(threshold), name or None) if kind == "metric" else None
        except ValueError:
            return None

    def holds(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> bool:
        value = metric_of(self.metric, release, default_metric)
        return value is not None and value >= self.min_threshold

    def detail(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> str:
        value = metric_of(self.metric, release, default_metric)
        known = "nothing reported" if value is None else f"{value:g}"
        name = self.metric or default_metric or "the only metric reported"
        return f"{name}: {known}, needs {self.min_threshold:g}"
