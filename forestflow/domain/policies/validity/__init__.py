"""Validity: when a release may answer users."""

from forestflow.domain.policies.validity.immediately import ImmediatelyValid
from forestflow.domain.policies.validity.never import NeverValid
from forestflow.domain.policies.validity.performance import PerformanceBasedValidity
from forestflow.domain.policies.validity.served_events import MinServedEventsBasedValidity
from forestflow.domain.policies.validity.time_based import TimeBasedValidity

__all__ = [
    "ImmediatelyValid",
    "MinServedEventsBasedValidity",
    "NeverValid",
    "PerformanceBasedValidity",
    "TimeBasedValidity",
    "ValidityRule",
]

ValidityRule = (
    ImmediatelyValid | NeverValid | TimeBasedValidity | MinServedEventsBasedValidity | PerformanceBasedValidity
)
