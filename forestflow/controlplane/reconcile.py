"""The reconciler: a pure function from what should run and what runs to the steps that close the gap.

A replica that is lost is brought back in its own host (Ray restarts the process, the registry loads the model again);
one whose model does not load is tried again with growing pauses; surplus replicas drain, newest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from forestflow.domain.ids import Fqrv
from forestflow.domain.lifecycle import ReplicaState

BACKOFF_FIRST_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 60.0
DRAIN_SECONDS = 10.0

# A host that is lost more often than this in a row waits before it is loaded once more.
FREE_RESTARTS = 2


@dataclass(frozen=True, slots=True)
class ObservedReplica:
    """What is known of one replica. ``since`` and ``now`` are seconds of one monotonic clock."""

    replica_id: str
    fqrv: Fqrv
    state: ReplicaState
    since: float
    failures: int = 0  # loads failed or processes lost in a row
    busy: bool = False  # an operation on it is under way


@dataclass(frozen=True, slots=True)
class Start:
    """Create a host for one more replica of ``fqrv``."""

    fqrv: Fqrv


@dataclass(frozen=True, slots=True)
class Await:
    """Wait for the host's process to be there (again)."""

    replica_id: str


@dataclass(frozen=True, slots=True)
class Load:
    """Make the host load its model."""

    replica_id: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Take the replica out of the Plan and let it finish."""

    replica_id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End the host's process for good."""

    replica_id: str


Action = Start | Await | Load | Drain | Stop


def backoff_seconds(failures: int) -> float:
    """The pause before the next try after ``failures`` failures in a row: 1, 2, 4, … 60 s."""
    if failures <= 0:
        return 0.0
    return float(min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(failures - 1, 10)))


def reconcile(desired: Mapping[Fqrv, int], observed: Mapping[str, ObservedReplica], now: float) -> list[Action]:
    """Steps towards ``desired`` (replicas by release). A replica with an operation under way is left alone."""
    actions: list[Action] = []
    living: dict[Fqrv, list[ObservedReplica]] = defaultdict(list)
    for replica in observed.values():
        if replica.fqrv not in desired or replica.state is ReplicaState.DRAINING:
            actions += _retire(replica, now)
        elif replica.state is not ReplicaState.STOPPED:
            living[replica.fqrv].append(replica)
    for fqrv, wanted in desired.items():
        replicas = sorted(living[fqrv], key=lambda r: (r.state is not ReplicaState.READY, r.since))
        for replica in replicas[:wanted]:
            actions += _advance(replica, now)
        for replica in replicas[wanted:]:
            actions += _retire(replica, now)
        actions += [Start(fqrv)] * (wanted - len(replicas))
    return actions


def _advance(replica: ObservedReplica, now: float) -> list[Action]:
    if replica.busy:
        return []
    waited = now - replica.since
    match replica.state:
        case ReplicaState.LOST:
            return [Await(replica.replica_id)] if waited >= backoff_seconds(replica.failures - FREE_RESTARTS) else []
        case ReplicaState.STARTING:
            return [Load(replica.replica_id)]
        case ReplicaState.FAILED:
            return [Load(replica.replica_id)] if waited >= backoff_seconds(replica.failures) else []
        case _:
            return []


def _retire(replica: ObservedReplica, now: float) -> list[Action]:
    match replica.state:
        case ReplicaState.READY:
            return [Drain(replica.replica_id)]
        case ReplicaState.DRAINING if now - replica.since < DRAIN_SECONDS:
            return []
        case ReplicaState.STOPPED:
            return []
        case _:
            return [Stop(replica.replica_id)]
