"""Splitting traffic by weight, exactly: no randomness, no drift.

The choice is Tijdeman's for the chairman assignment problem (R. Tijdeman, "The chairman assignment problem",
Discrete Mathematics 32, 1980): among the members whose claim has come due, take the one that must be served first.
With fixed weights the count of every member stays within 1 - 1/(2n-2) of its cumulative share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class WeightedChooser(Generic[T]):
    """Hands out its members in proportion to their integer weights.

    ``owed[i]`` is member i's cumulative share minus its count, in units of 1 / total weight, so that with fixed
    weights the arithmetic is exact in integers.
    """

    __slots__ = ("_due", "_members", "_owed", "_total", "_weights")

    def __init__(self, weights: Mapping[T, int], carry: Mapping[T, float] | None = None) -> None:
        """``weights`` are positive; ``carry`` is the debt (in requests) that members bring from another chooser."""
        if not weights or any(weight <= 0 for weight in weights.values()):
            raise ValueError("a chooser needs members, each with a positive weight")
        self._members: Sequence[T] = list(weights)
        self._weights = list(weights.values())
        self._total = sum(self._weights)
        n = len(self._members)
        self._due = self._total / (2 * n - 2) if n > 1 else 0.0
        self._owed: list[float] = [0] * n
        if carry:
            self._owed = [carry.get(member, 0) * self._total for member in self._members]

    @property
    def members(self) -> Sequence[T]:
        return self._members

    def debts(self) -> dict[T, float]:
        """Cumulative share minus count of each member, in requests."""
        return {member: owed / self._total for member, owed in zip(self._members, self._owed, strict=True)}

    def next(self) -> T:
        """The member that answers next."""
        if len(self._members) == 1:
            return self._members[0]
        owed, weights, total, due = self._owed, self._weights, self._total, self._due
        best, best_deadline = -1, float("inf")
        for i, weight in enumerate(weights):
            claim = owed[i] + weight
            if claim >= due:
                deadline = (total - due - owed[i]) / weight
                if deadline < best_deadline:
                    best, best_deadline = i, deadline
            owed[i] = claim
        if best < 0:  # only after weights moved: nobody's claim is due yet, so the largest claim goes first
            best = max(range(len(owed)), key=owed.__getitem__)
        owed[best] -= total
        return self._members[best]
