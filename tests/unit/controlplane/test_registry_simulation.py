"""The registry against a model of plain dicts; ``python -m tests.unit.controlplane.test_registry_simulation 10000``."""

import sys

import pytest

from tests.unit.controlplane import simulation

SEQUENCES = 300


@pytest.mark.parametrize("first", range(0, SEQUENCES, 50))
def test_random_sequences_equal_the_model(first):
    for seed in range(first, first + 50):
        simulation.run(seed)


def test_a_difference_is_found(monkeypatch):
    """Negative control: a model with another rule disagrees soon."""
    monkeypatch.setattr(simulation.Model, "percent", lambda self, release, now: 50)
    with pytest.raises(AssertionError, match=r"seed \d+, step \d+"):
        list(map(simulation.run, range(50)))


if __name__ == "__main__":
    count = int(sys.argv[1])
    for seed in range(count):
        simulation.run(seed)
        if seed % 500 == 499:
            print(f"{seed + 1} sequences, no difference", flush=True)
