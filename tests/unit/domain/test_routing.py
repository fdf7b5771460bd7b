"""The split is exact: Tijdeman's bound, checked against the definition of a share."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow.domain.routing import WeightedChooser


@settings(max_examples=200)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_every_count_stays_within_tijdemans_bound_of_its_share(weights):
    chooser = WeightedChooser(dict(enumerate(weights)))
    total, n = sum(weights), len(weights)
    bound = 1 - Fraction(1, 2 * n - 2) if n > 1 else Fraction(0)
    counts = [0] * n
    for turn in range(1, 2 * total + 1):
        counts[chooser.next()] += 1
        for count, weight in zip(counts, weights, strict=True):
            assert abs(count - Fraction(turn * weight, total)) <= bound


def test_a_whole_period_is_exact():
    chooser = WeightedChooser({"a": 70, "b": 20, "c": 10})
    answers = [chooser.next() for _ in range(1000)]
    assert [answers.count(m) for m in "abc"] == [700, 200, 100]
    assert all(abs(debt) < 1e-9 for debt in chooser.debts().values())


def test_debts_are_carried_over_when_weights_move():
    first = WeightedChooser({"a": 1, "b": 1})
    assert first.next() == "a"
    second = WeightedChooser({"a": 1, "b": 1, "c": 1}, first.debts())
    assert second.next() == "b"  # it is owed most


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": 5, "b": -1}])
def test_needs_positive_weights(weights):
    with pytest.raises(ValueError, match="positive weight"):
        WeightedChooser(weights)
