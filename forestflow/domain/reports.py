"""What the control plane tells users: metrics, metadata and status of releases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from forestflow.domain.ids import Fqrv
from forestflow.domain.independence import Independence
from forestflow.domain.lifecycle import ReplicaState, ServableState
from forestflow.domain.settings import ServableSettings
from forestflow.domain.tensors import ModelMetadata


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of one release: answered to users, scored as a shadow, and shadows dropped unscored for want of room,
    of a replica, or of time; requests of users dropped unscored because their client left or their time was over
    (``unscored``), and refused because replicas were lost over them (``refused``).
    """

    scored: int = 0
    shaded: int = 0
    shadows_dropped: int = 0
    unscored: int = 0
    refused: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.scored + other.scored,
            self.shaded + other.shaded,
            self.shadows_dropped + other.shadows_dropped,
            self.unscored + other.unscored,
            self.refused + other.refused,
        )

    def __bool__(self) -> bool:
        return bool(self.scored or self.shaded or self.shadows_dropped or self.unscored or self.refused)


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
    shadow_drop_count: int = 0
    unscored_count: int = 0
    refused_count: int = 0


@dataclass(frozen=True, slots=True)
class ServableMetadata:
    """What one release takes and gives, with its settings."""

    fqrv: Fqrv
    settings: ServableSettings
    model: ModelMetadata


@dataclass(frozen=True, slots=True)
class ServableStatus:
    """Where one release stands; ``message`` says why it is FAILED, or what its loading does now.

    ``independence`` says of each signature of a loaded model whether its requests may be merged and sliced.
    """

    fqrv: Fqrv
    state: ServableState
    desired_replicas: int
    replicas: tuple[ReplicaState, ...] = ()
    message: str | None = None
    independence: Mapping[str, Independence] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplicaLoad:
    """What a replica's process says of itself. ``batches``: model calls for users by the bit length of their rows."""

    pid: int
    queued: int
    shadow_backlog: int
    batches: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """One replica; ``load`` is ``None`` where its process does not answer, ``message`` says why it is not ready."""

    fqrv: Fqrv
    replica_id: str
    state: ReplicaState
    load: ReplicaLoad | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A place in a replica's log: in which file, and how many bytes into it."""

    inode: int
    offset: int


@dataclass(frozen=True, slots=True)
class ReplicaLog:
    """A part of a replica's log, and where the next one starts."""

    replica_id: str
    text: str
    position: LogPosition
