"""Reported performance: samples in, one number per metric out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from forestflow.domain.errors import Invalid
from forestflow.domain.settings import MAX_WINDOW, MetricSettings

MAX_METRICS = 256  # of a release, each with MAX_WINDOW samples at most


@dataclass(frozen=True, slots=True)
class Sample:
    """One reported value, of ``count`` observations, at ``time_ms`` milliseconds since 1970."""

    value: float
    time_ms: int
    count: int = 1

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise Invalid(f"the value of a metric must be a finite number, got {self.value}")
        if self.count < 1:
            raise Invalid(f"the count of a metric must be at least 1, got {self.count}")


@dataclass(frozen=True, slots=True)
class MetricReport:
    """What a user reports of one metric of a release: ``replace`` forgets what was reported before."""

    name: str
    samples: tuple[Sample, ...]
    replace: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise Invalid("a metric needs a name")
        if not self.samples:
            raise Invalid(f"metric {self.name!r} was reported without a value")


Samples = tuple[Sample, ...]


def check_names(known: Iterable[str], reports: Iterable[MetricReport]) -> None:
    """Raise Invalid where a release would have more than ``MAX_METRICS`` metrics after these reports."""
    names = {*known, *[report.name for report in reports]}
    if len(names) > MAX_METRICS:
        raise Invalid(f"the release would have {len(names)} metrics; at most {MAX_METRICS} are kept")


def with_report(known: Mapping[str, Samples], report: MetricReport) -> dict[str, Samples]:
    """The samples after a report: the last ``MAX_WINDOW`` of each metric."""
    before = () if report.replace else known.get(report.name, ())
    return {**known, report.name: (*before, *report.samples)[-MAX_WINDOW:]}


def mean(samples: Sequence[Sample], settings: MetricSettings) -> float:
    """One number of at least one sample, as the settings say."""
    if settings.alpha is not None:
        value = samples[0].value
        for sample in samples[1:]:
            # a report of n observations weighs as much as n reports of one
            weight = 1 - (1 - settings.alpha) ** sample.count
            value += weight * (sample.value - value)
        return value
    window = samples[-settings.window :]
    total = sum(sample.count for sample in window)
    return math.fsum(sample.value * sample.count for sample in window) / total


def means(samples: Mapping[str, Samples], settings: MetricSettings) -> dict[str, float]:
    """Every metric's number."""
    return {name: mean(values, settings) for name, values in samples.items() if values}
