"""The flags of ``forestflow deploy`` as the payload that the server takes (a BasicServeRequest)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

VALIDITY_FORMS = "immediately, never, after:SECONDS, served:COUNT or metric:[NAME=]THRESHOLD"
PHASE_IN_FORMS = "immediate, linear:SECONDS, steps:SECONDS=PERCENT,… or manual:PERCENT"
ROUTERS = {"fair": "FairPhaseInPctBasedRouter", "latest": "LatestPhaseInPctBasedRouter"}

_STEP = re.compile(r"([0-9]+)=([0-9]+)")
_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployFlags:
    """The flags as given; ``None`` and empty mean not given, and leave the server's default."""

    release: str
    mojo: str
    path: str | None = None
    validity: Sequence[str] = ()
    phase_in: str = "immediate"
    log_level: str | None = None
    key_features: Sequence[str] = ()
    replicas: int | None = None
    cpu: float | None = None
    gpu: float | None = None
    memory_mb: int | None = None
    max_queued: int | None = None
    timeout_seconds: float | None = None
    keep: int | None = None
    router: str | None = None
    tags: Sequence[str] = ()


def payload_of(flags: DeployFlags) -> Json:
    """The payload, without its address. Raises ValueError for flags that say nothing."""
    path, mojo = _artifact(flags.path, flags.mojo)
    servable: Json = {
        "policySettings": {
            "validityPolicy": [validity(text) for text in flags.validity or ("immediately",)],
            "phaseInPolicy": phase_in(flags.phase_in),
        }
    }
    if flags.log_level or flags.key_features:
        servable["loggingSettings"] = {
            "logLevel": (flags.log_level or "FULL").upper(),
            "keyFeatures": list(flags.key_features),
        }
    resources = _given(cpu=flags.cpu, gpu=flags.gpu, memoryMB=flags.memory_mb)
    deployment = _given(
        replicas=flags.replicas,
        resources=resources or None,
        maxQueued=flags.max_queued,
        timeoutSeconds=flags.timeout_seconds,
    )
    if deployment:
        servable["deploymentSettings"] = deployment
    payload: Json = {"path": path, "flavor": {"H2OMojo": {"mojoPath": mojo}}, "servableSettings": servable}
    if flags.keep is not None or flags.router is not None:
        payload["contractSettings"] = {
            "expirationPolicy": {"KeepLatest": {"servablesToKeep": 1 if flags.keep is None else flags.keep}},
            "router": {_router(flags.router or "fair"): {}},
        }
    if flags.tags:
        payload["tags"] = dict(_pair(tag) for tag in flags.tags)
    return payload


def validity(text: str) -> Json:
    """One rule of validity from its short form."""
    kind, _, value = text.partition(":")
    match kind:
        case "immediately" | "never" if not value:
            return {"ImmediatelyValid" if kind == "immediately" else "NeverValid": {}}
        case "after" if _NUMBER.fullmatch(value):
            return {"TimeBasedValidity": {"validAfterMS": str(round(float(value) * 1000))}}
        case "served" if value.isascii() and value.isdigit():
            return {"MinServedEventsBasedValidity": {"validAfterMinServedEvents": value}}
        case "metric":
            name, _, threshold = value.rpartition("=")
            try:
                return {"PerformanceBasedValidity": {"minThreshold": float(threshold), **_given(metric=name or None)}}
            except ValueError:
                pass
    raise ValueError(f"--validity {text!r} is none of {VALIDITY_FORMS}")


def phase_in(text: str) -> Json:
    """A phase-in policy from its short form."""
    kind, _, value = text.partition(":")
    if text == "immediate":
        return {"ImmediatePhaseIn": {}}
    if kind == "linear" and value.isascii() and value.isdigit():
        return {"LinearTimeBasedPhaseIn": {"phaseInOverSecs": int(value)}}
    if kind == "manual" and value.isascii() and value.isdigit():
        return {"ManualPhaseIn": {"percent": int(value)}}
    steps = [_STEP.fullmatch(step) for step in value.split(",")]
    if kind == "steps" and all(steps):
        listed = [{"afterSecs": int(step[1]), "percent": int(step[2])} for step in steps if step]
        return {"StepPhaseIn": {"steps": listed}}
    raise ValueError(f"--phase-in {text!r} is none of {PHASE_IN_FORMS}")


def _artifact(path: str | None, mojo: str) -> tuple[str, str]:
    """``path`` and ``mojoPath``; without a path, ``mojo`` is a file of this machine."""
    if path is None:
        file = Path(mojo).expanduser().absolute()
        return f"file://{file.parent}", file.name
    return (path if "://" in path else f"file://{Path(path).expanduser().absolute()}"), mojo


def _router(name: str) -> str:
    if name.lower() not in ROUTERS:
        raise ValueError(f"--router {name!r} is none of {', '.join(ROUTERS)}")
    return ROUTERS[name.lower()]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"--tag {text!r} is not NAME=VALUE")
    return name, value


def _given(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value is not None}
