"""What the registry and a host say to each other: what to load, and where it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from forestflow.domain.ids import Fqrv
from forestflow.domain.plan import ReplicaAddress
from forestflow.domain.requests import Flavor
from forestflow.domain.settings import Merging, Resources, UnknownFields
from forestflow.domain.tensors import ModelMetadata


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a host is to load, and how it is to answer."""

    replica_id: str
    fqrv: Fqrv
    flavor: Flavor
    artifact: Path
    digest: str
    resources: Resources
    max_queued: int
    max_frame: int
    merging: Merging = field(default_factory=Merging)
    unknown_fields: UnknownFields = UnknownFields.WARN


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a host answers once its replica takes frames."""

    assignment: Assignment
    address: ReplicaAddress
    metadata: ModelMetadata
    pid: int
