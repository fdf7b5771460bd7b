"""What each process takes from the server's settings: one section for each, handed down whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from forestflow.domain.ids import Contract
from forestflow.domain.settings import Resources, ServableSettings

IDLE_SECONDS = 60.0  # for a connection to send its next request's head


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """What a dispatcher needs to know of its router. Times in seconds, sizes in bytes."""

    node_id: str
    secret: bytes
    default_timeout: float = 30.0
    max_queued: int = 1024
    max_frame: int = 256 << 20


@dataclass(frozen=True, slots=True)
class TfInferSettings:
    """How a router answers tf-infer's protocol. ``web`` is the folder of its static files, if any."""

    batch_transpose: bool = True
    cors: bool = True
    max_body_bytes: int = 10 << 20
    url_hosts: tuple[str, ...] = ()
    web: Path | None = None
    root: Contract | None = None  # which contract is also at / of ``endpoint``
    endpoint: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class PingSettings:
    """How often gRPC clients may ping: every ``min_seconds``, more often ``max_strikes`` times (0: any number)."""

    min_seconds: float = 5.0
    max_strikes: int = 2
    without_calls: bool = True


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """What a router needs to know of its server. Sizes in bytes, times in seconds; without ``grpc`` there is none."""

    host: str
    port: int
    dispatch: DispatchSettings
    grpc: tuple[str, int] | None = None
    grpc_pings: PingSettings = field(default_factory=PingSettings)
    max_body_bytes: int = 64 << 20
    control_max_body_bytes: int = 1 << 20
    max_connections: int = 4096
    drain_seconds: float = 10.0
    allowed_hosts: tuple[str, ...] = ()
    model_aliases: Mapping[str, Contract] = field(default_factory=dict)
    tf_infer: TfInferSettings = field(default_factory=TfInferSettings)
    observers: tuple[tuple[str, Mapping[str, Any]], ...] = ()  # by import string, with their arguments


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What the registry needs to know of its server."""

    load_timeout_seconds: float = 120.0
    max_queued: int = 1024
    max_frame: int = 256 << 20
    host_cpu: float = 0.0
    default_timeout: float = 30.0
    memory_share: float = 0.8
    cluster_grows: bool = False

    def resources(self, settings: ServableSettings) -> Resources:
        """What each replica of a release gets."""
        resources = settings.deployment_settings.resources
        return replace(resources, cpu=self.host_cpu) if resources.cpu is None else resources
