"""Policies and routers between domain values and protobuf messages: one function each way for every shim."""

from __future__ import annotations

import numpy as np

from forestflow._gen.settings_pb2 import (
    ExpirationPolicyShim,
    MetricSettings,
    PhaseInPolicyShim,
    PhaseInStep,
    RouterTypeShim,
    ValidityRuleShim,
)
from forestflow._gen.settings_pb2 import KeepTopRanked as KeepTopRankedMessage
from forestflow._gen.settings_pb2 import PerformanceRouter as PerformanceRouterMessage
from forestflow.domain import settings as domain
from forestflow.domain.errors import InvalidSettings


def shortest(value: float) -> float:
    """The double with the shortest decimal digits that name this single-precision number."""
    return float(str(np.float32(value)))


def rule_to(rule: domain.ValidityRule) -> ValidityRuleShim:
    shim = ValidityRuleShim()
    match rule:
        case domain.ImmediatelyValid():
            shim.ImmediatelyValid.SetInParent()
        case domain.NeverValid():
            shim.NeverValid.SetInParent()
        case domain.TimeBasedValidity(after):
            shim.TimeBasedValidity.validAfterMS = after
        case domain.PerformanceBasedValidity(threshold, metric):
            shim.PerformanceBasedValidity.minThreshold = threshold
            if metric is not None:
                shim.PerformanceBasedValidity.metric = metric
        case domain.MinServedEventsBasedValidity(events):
            shim.MinServedEventsBasedValidity.validAfterMinServedEvents = events
    return shim


def rule_from(shim: ValidityRuleShim) -> domain.ValidityRule:
    match shim.WhichOneof("sealed_value"):
        case "ImmediatelyValid":
            return domain.ImmediatelyValid()
        case "NeverValid":
            return domain.NeverValid()
        case "TimeBasedValidity":
            return domain.TimeBasedValidity(shim.TimeBasedValidity.validAfterMS)
        case "PerformanceBasedValidity":
            performance = shim.PerformanceBasedValidity
            return domain.PerformanceBasedValidity(
                shortest(performance.minThreshold), performance.metric if performance.HasField("metric") else None
            )
        case "MinServedEventsBasedValidity":
            return domain.MinServedEventsBasedValidity(shim.MinServedEventsBasedValidity.validAfterMinServedEvents)
        case _:
            raise InvalidSettings("validityPolicy: an entry names no rule")


def phase_in_to(policy: domain.PhaseInPolicy) -> PhaseInPolicyShim:
    shim = PhaseInPolicyShim()
    match policy:
        case domain.ImmediatePhaseIn():
            shim.ImmediatePhaseIn.SetInParent()
        case domain.LinearTimeBasedPhaseIn(seconds):
            shim.LinearTimeBasedPhaseIn.phase_in_over_secs = seconds
        case domain.StepPhaseIn(steps):
            shim.StepPhaseIn.steps.extend(PhaseInStep(afterSecs=s.after_secs, percent=s.percent) for s in steps)
        case domain.ManualPhaseIn(percent):
            shim.ManualPhaseIn.percent = percent
    return shim


def phase_in_from(shim: PhaseInPolicyShim) -> domain.PhaseInPolicy:
    match shim.WhichOneof("sealed_value"):
        case "ImmediatePhaseIn":
            return domain.ImmediatePhaseIn()
        case "LinearTimeBasedPhaseIn":
            return domain.LinearTimeBasedPhaseIn(shim.LinearTimeBasedPhaseIn.phase_in_over_secs)
        case "StepPhaseIn":
            return domain.StepPhaseIn(
                tuple(domain.PhaseInStep(step.afterSecs, step.percent) for step in shim.StepPhaseIn.steps)
            )
        case "ManualPhaseIn":
            return domain.ManualPhaseIn(shim.ManualPhaseIn.percent)
        case _:
            raise InvalidSettings("phaseInPolicy names no policy")


def expiration_to(policy: domain.ExpirationPolicy) -> ExpirationPolicyShim:
    shim = ExpirationPolicyShim()
    match policy:
        case domain.KeepLatest(keep):
            shim.KeepLatest.servablesToKeep = keep
        case domain.KeepTopRanked(keep, metric, ordering):
            given = ordering.name if ordering is not domain.Ordering.DESC else None
            shim.KeepTopRanked.CopyFrom(
                KeepTopRankedMessage(servablesToKeep=keep, metricToEvaluate=metric, ordering=given)
            )
        case domain.KeepAll():
            shim.KeepAll.SetInParent()
        case domain.MaxAge(seconds):
            shim.MaxAge.maxAgeSecs = seconds
    return shim


def expiration_from(shim: ExpirationPolicyShim) -> domain.ExpirationPolicy:
    match shim.WhichOneof("sealed_value"):
        case "KeepLatest":
            return domain.KeepLatest(shim.KeepLatest.servablesToKeep)
        case "KeepTopRanked":
            top = shim.KeepTopRanked
            return domain.KeepTopRanked(top.servablesToKeep, top.metricToEvaluate, domain.Ordering(top.ordering))
        case "KeepAll":
            return domain.KeepAll()
        case "MaxAge":
            return domain.MaxAge(shim.MaxAge.maxAgeSecs)
        case _:
            raise InvalidSettings("expirationPolicy names no policy")


def router_to(router: domain.ContractRouter) -> RouterTypeShim:
    shim = RouterTypeShim()
    match router:
        case domain.FairPhaseInPctBasedRouter():
            shim.FairPhaseInPctBasedRouter.SetInParent()
        case domain.LatestPhaseInPctBasedRouter():
            shim.LatestPhaseInPctBasedRouter.SetInParent()
        case domain.PerformanceRouter(metric, epsilon, ordering):
            given = ordering.name if ordering is not domain.Ordering.DESC else None
            shim.PerformanceRouter.CopyFrom(PerformanceRouterMessage(metric=metric, epsilon=epsilon, ordering=given))
        case domain.StickyRouter(key_config):
            shim.StickyRouter.keyConfig = key_config
    return shim


def router_from(shim: RouterTypeShim) -> domain.ContractRouter:
    match shim.WhichOneof("sealed_value"):
        case "FairPhaseInPctBasedRouter":
            return domain.FairPhaseInPctBasedRouter()
        case "LatestPhaseInPctBasedRouter":
            return domain.LatestPhaseInPctBasedRouter()
        case "PerformanceRouter":
            router = shim.PerformanceRouter
            return domain.PerformanceRouter(
                router.metric if router.HasField("metric") else None,
                router.epsilon,
                domain.Ordering(router.ordering),
            )
        case "StickyRouter":
            return domain.StickyRouter(shim.StickyRouter.keyConfig)
        case _:
            raise InvalidSettings("router names no router")


def metric_settings_to(settings: domain.MetricSettings) -> MetricSettings:
    return MetricSettings(default=settings.default, window=settings.window, alpha=settings.alpha)


def metric_settings_from(message: MetricSettings) -> domain.MetricSettings:
    return domain.MetricSettings(
        message.default if message.HasField("default") else None,
        message.window,
        message.alpha if message.HasField("alpha") else None,
    )
