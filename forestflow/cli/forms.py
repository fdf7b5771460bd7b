"""Short texts that stand for policies and routers on the command line, as the JSON that the server takes."""

from __future__ import annotations

import re
from typing import Any

from forestflow.cli.settings_file import number

Json = dict[str, Any]

VALIDITY_FORMS = "immediately, never, after:SECONDS, served:COUNT or metric:[NAME=]THRESHOLD"
PHASE_IN_FORMS = "immediate, linear:SECONDS, steps:SECONDS=PERCENT,… or manual:PERCENT"
EXPIRATION_FORMS = "latest:COUNT, top:COUNT:METRIC[,asc], all or age:SECONDS"
ROUTER_FORMS = "fair, latest, sticky:CONFIG or performance[:METRIC][,epsilon=SHARE][,asc]"

_STEP = re.compile(r"([0-9]+)=([0-9]+)")
_NUMBER = re.compile(r"\d+(\.\d+)?")


def validity(text: str) -> Json:
    """One rule of validity. Raises ValueError, as all of these do, for a text that is none of the forms."""
    kind, _, value = text.partition(":")
    match kind:
        case "immediately" | "never" if not value:
            return {"ImmediatelyValid" if kind == "immediately" else "NeverValid": {}}
        case "after" if _NUMBER.fullmatch(value):
            return {"TimeBasedValidity": {"validAfterMS": str(round(float(value) * 1000))}}
        case "served" if _whole(value):
            return {"MinServedEventsBasedValidity": {"validAfterMinServedEvents": value}}
        case "metric":
            name, _, threshold = value.rpartition("=")
            try:
                return {"PerformanceBasedValidity": {"minThreshold": float(threshold), **given(metric=name or None)}}
            except ValueError:
                pass
    raise ValueError(f"--validity {text!r} is none of {VALIDITY_FORMS}")


def phase_in(text: str) -> Json:
    """A phase-in policy."""
    kind, _, value = text.partition(":")
    if text == "immediate":
        return {"ImmediatePhaseIn": {}}
    if kind == "linear" and _whole(value):
        return {"LinearTimeBasedPhaseIn": {"phaseInOverSecs": int(value)}}
    if kind == "manual" and _whole(value):
        return {"ManualPhaseIn": {"percent": int(value)}}
    steps = [_STEP.fullmatch(step) for step in value.split(",")]
    if kind == "steps" and all(steps):
        listed = [{"afterSecs": int(step[1]), "percent": int(step[2])} for step in steps if step]
        return {"StepPhaseIn": {"steps": listed}}
    raise ValueError(f"--phase-in {text!r} is none of {PHASE_IN_FORMS}")


def expiration(text: str) -> Json:
    """An expiration policy."""
    kind, _, value = text.partition(":")
    if text == "all":
        return {"KeepAll": {}}
    if kind == "latest" and _whole(value):
        return {"KeepLatest": {"servablesToKeep": int(value)}}
    if kind == "age" and _whole(value):
        return {"MaxAge": {"maxAgeSecs": int(value)}}
    count, _, metric = value.partition(":")
    name, ascending = _ascending(metric)
    if kind == "top" and _whole(count) and name:
        return {"KeepTopRanked": {"servablesToKeep": int(count), "metricToEvaluate": name, **ascending}}
    raise ValueError(f"--expiration {text!r} is none of {EXPIRATION_FORMS}")


def router(text: str) -> Json:
    """A contract router."""
    kind, _, value = text.partition(":")
    if text.lower() in ("fair", "latest"):
        return {f"{text.capitalize()}PhaseInPctBasedRouter": {}}
    if kind == "sticky" and value:
        return {"StickyRouter": {"keyConfig": value}}
    rest, ascending = _ascending(text)
    rest, _, epsilon = rest.partition(",epsilon=")
    kind, colon, metric = rest.partition(":")
    if kind == "performance" and bool(colon) == bool(metric):
        share = number(epsilon, "--router epsilon") if epsilon else None
        return {"PerformanceRouter": given(metric=metric or None, epsilon=share) | ascending}
    raise ValueError(f"--router {text!r} is none of {ROUTER_FORMS}")


def given(**values: Any) -> Json:
    """Those that are not ``None``."""
    return {name: value for name, value in values.items() if value is not None}


def _ascending(text: str) -> tuple[str, Json]:
    """The text without its ``,asc``, and what that means."""
    rest = text.removesuffix(",asc")
    return rest, {} if rest == text else {"ordering": "ASC"}


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit()
