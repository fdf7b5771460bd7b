import pickle

import pytest

from forestflow.domain.lifecycle import (
    REPLICA_TRANSITIONS,
    SERVABLE_TRANSITIONS,
    IllegalTransition,
    ReplicaState,
    ServableState,
    advance_replica,
    advance_servable,
)


@pytest.mark.parametrize(
    ("advance", "table", "states"),
    [(advance_replica, REPLICA_TRANSITIONS, ReplicaState), (advance_servable, SERVABLE_TRANSITIONS, ServableState)],
)
def test_only_the_table_s_transitions_are_legal(advance, table, states):
    assert set(table) == set(states)
    for old in states:
        for new in states:
            if new is old or new in table[old]:
                assert advance(old, new) is new
            else:
                with pytest.raises(IllegalTransition, match="not a legal transition"):
                    advance(old, new)


def test_final_states_are_final():
    assert not REPLICA_TRANSITIONS[ReplicaState.STOPPED]
    assert not SERVABLE_TRANSITIONS[ServableState.RETIRED]
    error = pickle.loads(pickle.dumps(IllegalTransition(ReplicaState.READY, ReplicaState.LOADING)))
    assert "READY" in str(error)
