"""Literal snapshots of what is wanted and what runs; the steps that must follow."""

import pytest

from forestflow.controlplane.reconcile import (
    DRAIN_SECONDS,
    Await,
    Drain,
    Load,
    ObservedReplica,
    Start,
    Stop,
    backoff_seconds,
    reconcile,
)
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.lifecycle import ReplicaState as S

A = Fqrv(Contract("o", "p", 0), "a")
B = Fqrv(Contract("o", "p", 0), "b")


def seen(replica_id, state, *, fqrv=A, since=0.0, failures=0, busy=False):
    return ObservedReplica(replica_id, fqrv, state, since, failures, busy)


def steps(desired, *observed, now=100.0):
    return reconcile(desired, {o.replica_id: o for o in observed}, now)


def test_nothing_runs_yet():
    assert steps({A: 2, B: 1}) == [Start(A), Start(A), Start(B)]


def test_all_is_well():
    assert steps({A: 1}, seen("1", S.READY)) == []


def test_a_started_host_loads_unless_an_operation_is_under_way():
    assert steps({A: 1}, seen("1", S.STARTING)) == [Load("1")]
    assert steps({A: 1}, seen("1", S.STARTING, busy=True)) == []
    assert steps({A: 1}, seen("1", S.LOADING, busy=True)) == []


def test_a_lost_replica_comes_back_at_once_but_not_forever():
    assert steps({A: 1}, seen("1", S.LOST, since=100, failures=1)) == [Await("1")]
    assert steps({A: 1}, seen("1", S.LOST, since=100, failures=5)) == []
    assert steps({A: 1}, seen("1", S.LOST, since=95, failures=5)) == [Await("1")]


def test_a_failed_load_is_tried_again_after_a_pause():
    assert steps({A: 1}, seen("1", S.FAILED, since=99.5, failures=1)) == []
    assert steps({A: 1}, seen("1", S.FAILED, since=99, failures=1)) == [Load("1")]
    assert steps({A: 1}, seen("1", S.FAILED, since=97, failures=3)) == []


def test_surplus_replicas_go_those_that_are_not_ready_first():
    assert steps({A: 1}, seen("1", S.LOADING), seen("2", S.READY)) == [Stop("1")]
    assert steps({A: 1}, seen("1", S.READY, since=1), seen("2", S.READY, since=2)) == [Drain("2")]


@pytest.mark.parametrize("state", [S.STARTING, S.LOADING, S.LOST, S.FAILED])
def test_replicas_nobody_wants_stop(state):
    assert steps({}, seen("1", state)) == [Stop("1")]


def test_a_ready_replica_nobody_wants_drains_then_stops():
    assert steps({}, seen("1", S.READY)) == [Drain("1")]
    assert steps({}, seen("1", S.DRAINING, since=100)) == []
    assert steps({}, seen("1", S.DRAINING, since=100 - DRAIN_SECONDS)) == [Stop("1")]
    # also while its release is wanted again: it takes nothing new, so another one is started
    assert steps({A: 1}, seen("1", S.DRAINING, since=100)) == [Start(A)]


def test_stopped_replicas_are_replaced():
    assert steps({A: 1}, seen("1", S.STOPPED)) == [Start(A)]
    assert steps({}, seen("1", S.STOPPED)) == []


def test_backoff_doubles_up_to_a_minute():
    assert [backoff_seconds(n) for n in (-1, 0, 1, 2, 3, 7, 100)] == [0, 0, 1, 2, 4, 60, 60]
