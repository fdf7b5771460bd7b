"""The flags of ``forestflow deploy`` as the payload that the server takes (a BasicServeRequest)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forestflow.cli.contract_flags import ContractFlags, contract_settings
from forestflow.cli.forms import given, phase_in, validity

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowFlags:
    """The flags of shadow settings as given."""

    enabled: bool | None = None
    percent: int | None = None
    backlog: int | None = None

    def settings(self) -> Json:
        """What they say; empty when they say nothing."""
        return given(enabled=self.enabled, samplePercent=self.percent, maxBacklog=self.backlog)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployFlags:
    """The flags as given; ``None`` and empty mean not given, and leave the server's default."""

    release: str
    mojo: str | None = None
    tensorflow: str | None = None
    onnx: str | None = None
    mlflow: str | None = None
    python: str | None = None
    path: str | None = None
    signature: str | None = None
    class_name: str | None = None
    requirements: Sequence[str] = ()
    mlflow_flavor: str | None = None
    validity: Sequence[str] = ()
    phase_in: str = "immediate"
    log_level: str | None = None
    key_features: Sequence[str] = ()
    key_separator: str | None = None
    replicas: int | None = None
    cpu: float | None = None
    gpu: float | None = None
    memory_mb: int | None = None
    threads: int | None = None
    max_queued: int | None = None
    timeout_seconds: float | None = None
    merge_rows: int | None = None
    merge_wait_ms: float | None = None
    independent_rows: str | None = None
    shadow: ShadowFlags = field(default_factory=ShadowFlags)
    unknown_fields: str | None = None
    contract: ContractFlags = field(default_factory=ContractFlags)
    sha256: str | None = None
    tags: Sequence[str] = ()


def payload_of(flags: DeployFlags) -> Json:
    """The payload, without its address. Raises ValueError for flags that say nothing."""
    path, flavor = artifact(flags)
    servable: Json = {
        "policySettings": {
            "validityPolicy": [validity(text) for text in flags.validity or ("immediately",)],
            "phaseInPolicy": phase_in(flags.phase_in),
        }
    }
    logging = logging_settings(flags.log_level, flags.key_features, flags.key_separator)
    if logging:
        servable["loggingSettings"] = {"logLevel": "FULL", **logging}
    resources = given(cpu=flags.cpu, gpu=flags.gpu, memoryMB=flags.memory_mb, threads=flags.threads)
    merging = given(maxRows=flags.merge_rows, maxWaitMS=flags.merge_wait_ms, independentRows=flags.independent_rows)
    deployment = given(
        replicas=flags.replicas,
        resources=resources or None,
        maxQueued=flags.max_queued,
        timeoutSeconds=flags.timeout_seconds,
        merging=merging or None,
    )
    if deployment:
        servable["deploymentSettings"] = deployment
    if shadow := flags.shadow.settings():
        servable["shadow"] = shadow
    if flags.unknown_fields:
        servable["unknownFields"] = flags.unknown_fields.upper()
    payload: Json = {"path": path, "flavor": flavor, "servableSettings": servable}
    if flags.contract.any:
        payload["contractSettings"] = contract_settings(flags.contract)
    if flags.sha256:
        payload["sha256"] = flags.sha256
    if flags.tags:
        payload["tags"] = dict(_pair(tag) for tag in flags.tags)
    return payload


def logging_settings(level: str | None, key_features: Sequence[str], separator: str | None) -> Json:
    """What the flags of logging say; empty when they say nothing."""
    return given(
        logLevel=level.upper() if level else None,
        keyFeatures=list(key_features) or None,
        keyFeaturesSeparator=separator,
    )


# The flags that name a model: the flavor of each, its field for the model's path, and what other flags go with it.
_FLAVORS = {
    "mojo": ("H2OMojo", "mojoPath", {}),
    "tensorflow": ("TensorFlow", "modelPath", {"signature": "signature"}),
    "onnx": ("ONNX", "modelPath", {}),
    "mlflow": ("MLmodel", "modelPath", {"mlflow_flavor": "flavor"}),
    "python": ("Python", "script", {"class_name": "className", "requirements": "requirements"}),
}


def artifact(flags: DeployFlags) -> tuple[str, Json]:
    """``path`` and ``flavor`` of the payload. Raises ValueError unless one model is named, with flags of its flavor."""
    named = [name for name in _FLAVORS if getattr(flags, name) is not None]
    if len(named) != 1:
        raise ValueError(f"name one model: {', '.join(f'--{name}' for name in _FLAVORS)}")
    flavor, field_of_path, options = _FLAVORS[named[0]]
    for name, (other, _, others) in _FLAVORS.items():
        if name != named[0] and (wrong := [option for option in others if getattr(flags, option)]):
            raise ValueError(f"--{wrong[0].replace('_', '-').rstrip('s')} goes with --{name} ({other})")
    path, model = _located(flags.path, getattr(flags, named[0]), folder=named[0] == "mlflow")
    given_options = {field: getattr(flags, option) or None for option, field in options.items()}
    lists = {field: list(value) if isinstance(value, tuple) else value for field, value in given_options.items()}
    return path, {flavor: given(**{field_of_path: model}, **lists)}


def _located(path: str | None, model: str, *, folder: bool) -> tuple[str, str | None]:
    """The directory of the model and its path there; without a ``path``, it is a file of this machine.

    A ``folder`` is a directory itself, on this machine or at a URL.
    """
    if path is not None:
        return (path if _remote(path) else f"file://{Path(path).expanduser().absolute()}"), model
    if _remote(model) and not folder:
        raise ValueError(f"{model!r} is a URL: name its directory with --path, and the model below it")
    if folder:
        return (model if _remote(model) else f"file://{Path(model).expanduser().absolute()}"), None
    file = Path(model).expanduser().absolute()
    return f"file://{file.parent}", file.name


def _remote(path: str) -> bool:
    return "://" in path or path.startswith("git@")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"--tag {text!r} is not NAME=VALUE")
    return name, value
