import pickle

import pytest

from forestflow.domain.lifecycle import REPLICA_TRANSITIONS, IllegalTransition, ReplicaState, advance_replica


def test_only_the_table_s_transitions_are_legal():
    assert set(REPLICA_TRANSITIONS) == set(ReplicaState)
    for old in ReplicaState:
        for new in ReplicaState:
            if new is old or new in REPLICA_TRANSITIONS[old]:
                assert advance_replica(old, new) is new
            else:
                with pytest.raises(IllegalTransition, match="not a legal transition"):
                    advance_replica(old, new)


def test_final_states_are_final():
    assert not REPLICA_TRANSITIONS[ReplicaState.STOPPED]
    error = pickle.loads(pickle.dumps(IllegalTransition(ReplicaState.READY, ReplicaState.LOADING)))
    assert "READY" in str(error)
