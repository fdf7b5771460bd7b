"""What holds of the reconciler whatever is wanted and whatever runs."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow.controlplane.reconcile import Await, Drain, Load, ObservedReplica, Start, Stop, reconcile
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.lifecycle import ReplicaState as S
from forestflow.domain.lifecycle import advance_replica
from tests.profiles import up_to

RELEASES = [Fqrv(Contract("o", "p", 0), name) for name in "abc"]
NOW = 1000.0

desired = st.dictionaries(st.sampled_from(RELEASES), st.integers(1, 4))
replica = st.builds(
    ObservedReplica,
    st.just(""),
    st.sampled_from(RELEASES),
    st.sampled_from(list(S)),
    st.floats(0, NOW),
    st.integers(0, 9),
    st.booleans(),
)
worlds = st.lists(replica, max_size=12).map(
    lambda rs: {str(i): replace(r, replica_id=str(i)) for i, r in enumerate(rs)}
)
_NEXT = {Await: S.STARTING, Load: S.LOADING, Drain: S.DRAINING, Stop: S.STOPPED}


@given(desired, worlds)
def test_every_step_is_legal_and_no_replica_gets_two(wanted, observed):
    actions = reconcile(wanted, observed, NOW)
    touched = [a.replica_id for a in actions if not isinstance(a, Start)]
    assert len(touched) == len(set(touched))
    for action in actions:
        if not isinstance(action, Start):
            seen = observed[action.replica_id]
            advance_replica(seen.state, _NEXT[type(action)])
            assert not (seen.busy and isinstance(action, Await | Load)), "an operation is under way"


@given(desired, worlds)
def test_never_more_than_wanted_and_never_fewer(wanted, observed):
    actions = reconcile(wanted, observed, NOW)
    living = Counter(r.fqrv for r in observed.values() if r.state not in (S.DRAINING, S.STOPPED))
    starts = Counter(a.fqrv for a in actions if isinstance(a, Start))
    leaving = Counter(
        observed[a.replica_id].fqrv
        for a in actions
        if isinstance(a, Drain | Stop) and observed[a.replica_id].state is not S.DRAINING
    )
    for fqrv in RELEASES:
        assert living[fqrv] + starts[fqrv] - leaving[fqrv] == wanted.get(fqrv, 0)
        assert not (starts[fqrv] and leaving[fqrv])


@given(desired, worlds)
def test_a_ready_replica_goes_only_when_as_many_as_wanted_stay_ready(wanted, observed):
    leaving = {a.replica_id for a in reconcile(wanted, observed, NOW) if isinstance(a, Drain | Stop)}
    for fqrv, count in wanted.items():
        ready = {i for i, r in observed.items() if r.fqrv == fqrv and r.state is S.READY}
        if ready & leaving:
            assert len(ready - leaving) == count


@settings(max_examples=up_to(60), deadline=None)
@given(desired, worlds, st.integers(0, 2**32))
def test_whatever_fails_for_a_while_it_converges(wanted, observed, seed):
    dice = random.Random(seed)
    world = {i: replace(r, busy=False) for i, r in observed.items() if r.state is not S.STOPPED}
    now, number = NOW, 100

    def move(replica_id, state, failures):
        world[replica_id] = replace(world[replica_id], state=state, since=now, failures=failures)

    for turn in range(400):
        trouble = turn < 100 and dice.random() < 0.5
        for action in reconcile(wanted, world, now):
            if isinstance(action, Start):
                number += 1
                world[str(number)] = ObservedReplica(str(number), action.fqrv, S.STARTING, now)
                continue
            before = world[action.replica_id]
            if isinstance(action, Stop):
                del world[action.replica_id]
            elif isinstance(action, Drain):
                move(action.replica_id, S.DRAINING, 0)
            elif trouble:
                state = S.LOST if isinstance(action, Await) else dice.choice([S.FAILED, S.LOST])
                move(action.replica_id, state, before.failures + 1)
            else:
                move(action.replica_id, S.STARTING if isinstance(action, Await) else S.READY, 0)
        for replica_id, r in list(world.items()):
            if r.state is S.LOADING:  # it was loading when we began to look
                move(replica_id, S.READY, 0)
            elif turn < 100 and r.state is S.READY and dice.random() < 0.05:
                move(replica_id, S.LOST, r.failures + 1)
        now += 0.5
    assert Counter(r.fqrv for r in world.values() if r.state is S.READY) == Counter(wanted)
    assert all(r.state is S.READY for r in world.values())
    assert reconcile(wanted, world, now) == []
