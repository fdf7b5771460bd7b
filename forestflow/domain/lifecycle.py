"""The states of a servable, which follow from those of its replicas, and of a replica, with its legal transitions."""

from __future__ import annotations

import enum


class ServableState(enum.Enum):
    """Where a release stands. Only AVAILABLE releases appear in a Plan's weights."""

    LOADING = "LOADING"  # deployed, no replica has ever been ready
    AVAILABLE = "AVAILABLE"  # at least one replica is, or is coming back
    FAILED = "FAILED"  # its replicas do not load; the reason stands beside it, retried with back-off
    RETIRED = "RETIRED"  # expired or deleted: answers nothing new


class ReplicaState(enum.Enum):
    """Where one replica stands, as its owner, the reconciler, knows."""

    STARTING = "STARTING"  # the host process is coming up
    LOADING = "LOADING"  # the host reads the model and warms it up
    READY = "READY"  # it answers frames
    LOST = "LOST"  # its process is gone; Ray restarts it
    FAILED = "FAILED"  # the model did not load
    DRAINING = "DRAINING"  # answers what it has and takes nothing new
    STOPPED = "STOPPED"  # final


REPLICA_TRANSITIONS: dict[ReplicaState, frozenset[ReplicaState]] = {
    ReplicaState.STARTING: frozenset({ReplicaState.LOADING, ReplicaState.LOST, ReplicaState.STOPPED}),
    ReplicaState.LOADING: frozenset({ReplicaState.READY, ReplicaState.FAILED, ReplicaState.LOST, ReplicaState.STOPPED}),
    ReplicaState.READY: frozenset({ReplicaState.DRAINING, ReplicaState.LOST, ReplicaState.STOPPED}),
    ReplicaState.LOST: frozenset({ReplicaState.STARTING, ReplicaState.STOPPED}),
    ReplicaState.FAILED: frozenset({ReplicaState.LOADING, ReplicaState.STOPPED}),
    ReplicaState.DRAINING: frozenset({ReplicaState.LOST, ReplicaState.STOPPED}),
    ReplicaState.STOPPED: frozenset(),
}


class IllegalTransition(Exception):
    """A programming error: ``IllegalTransition(from_state, to_state)``."""

    def __init__(self, old: enum.Enum, new: enum.Enum) -> None:
        super().__init__(old, new)

    def __str__(self) -> str:
        return f"{self.args[0]} -> {self.args[1]} is not a legal transition"


def advance_replica(old: ReplicaState, new: ReplicaState) -> ReplicaState:
    """Return ``new`` if ``old`` may become it (or is it already), else raise :class:`IllegalTransition`."""
    if old is not new and new not in REPLICA_TRANSITIONS[old]:
        raise IllegalTransition(old, new)
    return new
