"""What the control plane tells users: metrics, metadata and status of releases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from forestflow.domain.ids import Fqrv
from forestflow.domain.lifecycle import ReplicaState, ServableState
from forestflow.domain.settings import ServableSettings
from forestflow.domain.tensors import ModelMetadata


@dataclass(frozen=True, slots=True)
class ServableMetrics:
    """Counts and clocks of one release; times are milliseconds since 1970."""

    fqrv: Fqrv
    score_count: int
    shade_count: int
    created_at_ms: int
    performance_metrics: Mapping[str, float] = field(default_factory=dict)
    became_valid_at_ms: int | None = None
    current_phase_in_pct: int = 0


@dataclass(frozen=True, slots=True)
class ServableMetadata:
    """What one release takes and gives, with its settings."""

    fqrv: Fqrv
    settings: ServableSettings
    model: ModelMetadata


@dataclass(frozen=True, slots=True)
class ServableStatus:
    """Where one release stands; ``message`` says why it is FAILED, or what its loading does now."""

    fqrv: Fqrv
    state: ServableState
    desired_replicas: int
    replicas: tuple[ReplicaState, ...] = ()
    message: str | None = None
