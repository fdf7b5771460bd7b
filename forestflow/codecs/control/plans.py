"""Explained, simulated and past Plans as messages and JSON documents, and the requests that ask for them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from forestflow._gen import plans_pb2 as pb
from forestflow.codecs import journal
from forestflow.codecs.messages import message_json
from forestflow.codecs.messages import values as messages
from forestflow.codecs.messages.values import contract_to, fqrv_to
from forestflow.domain.errors import Invalid
from forestflow.domain.events import (
    Event,
    MetricReported,
    ServableBecameValid,
    ServableDeployed,
    ServablesDeleted,
    ServableUpdated,
)
from forestflow.domain.explain import PlanExplanation, ReleaseExplanation, RuleExplanation
from forestflow.domain.history import HistoryEntry, PlanAt
from forestflow.domain.ids import Contract
from forestflow.domain.metrics import MetricReport, Sample
from forestflow.domain.simulate import Proposal, TimelinePoint

Document = dict[str, Any]

DEFAULT_POINTS = 600
MAX_EVENTS_PER_SECOND = 1e9
# Statistics print a metric as a single-precision number.
_MAX_METRIC = float(2**128 - 2**104)

# --- requests: raise Malformed if the body is not the message, Invalid and its subclasses if it makes no sense -------


def parse_metric_reports(body: bytes, now_ms: int) -> tuple[MetricReport, ...]:
    """Read one report per metric named, its samples in their order; those without a time are of ``now_ms``."""
    return metric_reports_from(message_json.parse(body, pb.MetricReports()), now_ms)


def metric_reports_from(message: pb.MetricReports, now_ms: int) -> tuple[MetricReport, ...]:
    """Raises Invalid for a value that a statistic cannot print, and where nothing is reported."""
    samples: dict[str, list[Sample]] = {}
    for given in message.metrics:
        if abs(given.value) > _MAX_METRIC:  # NaN goes on, to the domain's own words
            raise Invalid(f"the value of a metric must be at most 3.4e38, got {given.value}")
        time_ms = given.time_ms if given.HasField("time_ms") else now_ms
        samples.setdefault(given.name, []).append(Sample(given.value, time_ms, given.count))
    if not samples:
        raise Invalid("metrics is empty: nothing is reported")
    return tuple(MetricReport(name, tuple(values), message.replace) for name, values in samples.items())


def parse_simulation(body: bytes) -> Proposal:
    """Read what to simulate."""
    return proposal_from(message_json.parse(body, pb.SimulationRequest()))


def proposal_from(message: pb.SimulationRequest) -> Proposal:
    """Raises Invalid for a rate that is none."""
    horizon = message.horizon_secs
    step = message.step_secs if message.HasField("step_secs") else max(1, -(-horizon // DEFAULT_POINTS))
    rate = message.events_per_second
    if not (math.isfinite(rate) and 0 <= rate <= MAX_EVENTS_PER_SECOND):
        raise Invalid(f"eventsPerSecond must be in 0..{MAX_EVENTS_PER_SECOND:.0f}, got {rate}")
    return Proposal(
        messages.contract_settings_from(message.contract_settings) if message.HasField("contract_settings") else None,
        {release: messages.policy_settings_from(policy) for release, policy in message.policies.items()},
        horizon * 1000,
        step * 1000,
        rate,
    )


def parse_rollback(body: bytes) -> int:
    """Read the number of the history's entry to go back to."""
    return message_json.parse(body, pb.RollbackRequest()).seq


# --- explanation and simulation -------------------------------------------------------------------------------------


def plan_to(plan: PlanExplanation) -> pb.PlanExplanation:
    return pb.PlanExplanation(
        contract=contract_to(plan.contract),
        atMS=plan.at_ms,
        releases=map(_release_to, plan.releases),
        expiring=map(fqrv_to, plan.expiring),
    )


def _release_to(release: ReleaseExplanation) -> pb.ReleaseExplanation:
    return pb.ReleaseExplanation(
        fqrv=fqrv_to(release.fqrv),
        weight=release.weight,
        share=release.share,
        shadows=release.shadows,
        valid=release.valid,
        becameValidAtMS=release.became_valid_at_ms,
        phaseInPct=release.phase_in_pct,
        rules=map(_rule_to, release.rules),
        reason=release.reason,
        changesAtMS=release.changes_at_ms,
    )


def _rule_to(rule: RuleExplanation) -> pb.RuleExplanation:
    return pb.RuleExplanation(rule=rule.rule, holds=rule.holds, detail=rule.detail, changesAtMS=rule.changes_at_ms)


def simulation_to(contract: Contract, points: Iterable[TimelinePoint]) -> pb.Simulation:
    return pb.Simulation(contract=contract_to(contract), points=map(_point_to, points))


def _point_to(point: TimelinePoint) -> pb.TimelinePoint:
    return pb.TimelinePoint(
        atMS=point.at_ms,
        shares=[pb.ReleaseShare(fqrv=fqrv_to(fqrv), share=share) for fqrv, share in point.shares.items()],
        valid=map(fqrv_to, point.valid),
        expired=map(fqrv_to, point.expired),
    )


# --- history: documents, for an event is told as in the journal ------------------------------------------------------


def history_document(contract: Contract, entries: Iterable[HistoryEntry]) -> Document:
    listed = [_entry_document(entry) for entry in entries]
    return {"contract": message_json.to_document(contract_to(contract)), "entries": listed}


def plan_at_document(found: PlanAt) -> Document:
    return {"plan": message_json.to_document(plan_to(found.plan)), "cause": _entry_document(found.cause)}


def _entry_document(entry: HistoryEntry) -> Document:
    kind, detail = journal.encode_event(entry.event)
    document: Document = {"seq": str(entry.seq), "atMS": str(entry.at_ms), "kind": kind}
    release = _release_of(entry.event)
    return {**document, **({"release": release} if release else {}), "detail": detail}


def _release_of(event: Event) -> str | None:
    """The one release that an event is about, if it is one."""
    match event:
        case ServableDeployed(request, _, _):
            return request.fqrv.release_version
        case ServableUpdated(fqrv, _) | ServableBecameValid(fqrv, _) | MetricReported(fqrv, _):
            return fqrv.release_version
        case ServablesDeleted(fqrvs, _):
            return fqrvs[0].release_version if len(fqrvs) == 1 else None
        case _:
            return None
