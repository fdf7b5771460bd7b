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
    """What a host is to load, and how it is to answer.

    ``timeout_seconds`` is the release's: the model may take so long over requests that give none. Where ``resources``
    reserve no memory, ``memory_share`` of the node's is what the host may use.
    """

    replica_id: str
    fqrv: Fqrv
    flavor: Flavor
    artifact: Path
    digest: str
    resources: Resources
    max_queued: int
    max_frame: int
    merging: Merging = field(default_factory=Merging)
    timeout_seconds: float = 30.0
    memory_share: float = 0.8
    unknown_fields: UnknownFields = UnknownFields.WARN


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a host answers once its replica takes frames."""

    assignment: Assignment
    address: ReplicaAddress
    metadata: ModelMetadata
    pid: int
