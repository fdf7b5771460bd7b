"""Splitting traffic by weight, exactly: no randomness, no drift, also while weights move.

The choice is Tijdeman's for the chairman assignment problem (R. Tijdeman, "The chairman assignment problem", Discrete
Mathematics 32, 1980): of the members whose claim is large enough, take the one that would first be owed too much. The
count of each of n members then stays within 1 - 1/(2n-2) of its cumulative share.

The proof needs the shares of the decisions to come. With fixed weights they are known. When weights move they are made
known: a change takes effect ``NOTICE`` decisions after it was told, and until then the choice prepares for it. (Without
notice no algorithm keeps within 1: whoever moves the weights away from each member that was just chosen leaves the last
of them owed 1/8 + 1/7 + … + 1/2.)
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

NOTICE = 8
_TINY = 1e-9  # what float sums may be off by
_MAX_CYCLE = 4096

Shares = tuple[float, ...]


class WeightedChooser(Generic[T]):
    """Hands out its members in proportion to their weights. A chooser's members never change; its weights may.

    ``owed[i]`` is member i's cumulative share minus its count, in decisions.
    """

    __slots__ = ("_bound", "_coming", "_cycle", "_decided", "_members", "_owed", "_position", "_shares", "_weights")

    def __init__(self, weights: Mapping[T, int], carry: Mapping[T, float] | None = None) -> None:
        """``weights`` are positive; ``carry`` is what members are owed from another chooser, in decisions.

        What was owed to members that are gone is spread evenly, so that all that is owed adds up to nothing.
        """
        self._members: Sequence[T] = tuple(weights)
        n = len(self._members)
        self._weights = _checked(weights, self._members)
        self._shares = _shares(self._weights)
        self._owed = [(carry or {}).get(member, 0.0) for member in self._members]
        left_over = sum(self._owed) / n
        self._owed = [owed - left_over for owed in self._owed]
        self._bound = 1 - 1 / (2 * n - 2) if n > 1 else 1.0
        self._coming: deque[tuple[int, tuple[int, ...], Shares]] = deque()  # (from which decision, weights, shares)
        self._decided = 0
        self._cycle: list[T] | None = None  # the decisions of one period, once it is known to repeat
        self._position = 0

    @property
    def members(self) -> Sequence[T]:
        return self._members

    def change(self, weights: Mapping[T, int]) -> None:
        """Give the same members other weights, from ``NOTICE`` decisions on."""
        if weights.keys() != set(self._members):
            raise ValueError("a chooser's members never change: make another, and carry the debts over")
        fresh = _checked(weights, self._members)
        if fresh == (self._coming[-1][1] if self._coming else self._weights):
            return
        self._leave_cycle()
        self._coming.append((self._decided + NOTICE, fresh, _shares(fresh)))

    def debts(self) -> dict[T, float]:
        """Cumulative share minus count of each member, in decisions."""
        self._leave_cycle()
        return dict(zip(self._members, self._owed, strict=True))

    def next(self) -> T:
        """The member that answers next."""
        cycle = self._cycle
        if cycle is None:
            cycle = self._find_cycle()
            if cycle is None:
                return self._members[self._decide()]
        position = self._position
        self._position = position + 1 if position + 1 < len(cycle) else 0
        return cycle[position]

    def _decide(self) -> int:
        if self._coming and self._decided >= self._coming[0][0]:
            _, self._weights, self._shares = self._coming.popleft()
        self._decided += 1
        owed, shares = self._owed, self._shares
        for i, share in enumerate(shares):
            owed[i] += share
        enough = 1 - self._bound - _TINY
        candidates = [i for i, claim in enumerate(owed) if claim >= enough]
        # After debts were carried over nobody may have enough; then the largest claim goes first.
        best = min(candidates, key=self._deadline) if candidates else max(range(len(owed)), key=owed.__getitem__)
        owed[best] -= 1
        return best

    def _deadline(self, i: int) -> float:
        """In how many decisions member ``i`` would be owed more than the bound, if it were never chosen."""
        owed, share, passed = self._owed[i], self._shares[i], 0
        if owed > self._bound:
            return -owed
        for start, _, shares in self._coming:
            length = max(0, start - self._decided) - passed
            if owed + length * share > self._bound:
                break
            owed, share, passed = owed + length * share, shares[i], passed + length
        return passed + (self._bound - owed) / share

    # --- with steady weights the decisions repeat, and are only looked up -------------------------------------------

    def _find_cycle(self) -> list[T] | None:
        """Decide one whole period at once; ``None`` while weights move, or where it would not repeat."""
        period = sum(self._weights) // math.gcd(*self._weights)
        if self._coming or period > _MAX_CYCLE:
            return None
        before, decided = list(self._owed), self._decided
        cycle = [self._members[self._decide()] for _ in range(period)]
        repeats = all(abs(a - b) < _TINY for a, b in zip(before, self._owed, strict=True))
        self._owed = before  # and, if it repeats, without the rounding errors of a period
        self._decided = decided
        self._position = 0
        self._cycle = cycle if repeats else None
        return self._cycle

    def _leave_cycle(self) -> None:
        """Bring ``owed`` up to where the cycle stands."""
        if self._cycle is None:
            return
        taken = self._cycle[: self._position]
        self._owed = [
            owed + len(taken) * share - taken.count(member)
            for owed, share, member in zip(self._owed, self._shares, self._members, strict=True)
        ]
        self._decided += len(taken)
        self._cycle = None


def _checked(weights: Mapping[T, int], members: Sequence[T]) -> tuple[int, ...]:
    if not weights or any(weight <= 0 for weight in weights.values()):
        raise ValueError("a chooser needs members, each with a positive weight")
    return tuple(weights[member] for member in members)


def _shares(weights: tuple[int, ...]) -> Shares:
    total = sum(weights)
    return tuple(weight / total for weight in weights)


# --- sticky choice --------------------------------------------------------------------------------------------------


_SLOTS = 1 << 16


class StickyChooser(Generic[T]):
    """Sends equal keys to one member, in proportion to the weights, without remembering any key.

    Keys are hashed to 65,536 slots, and slots belong to members by weighted rendezvous hashing (Thaler and Ravishankar
    1998; the logarithm after Schindelhauer and Schomaker 2005): each member draws a number for the slot, the best draw
    wins. When a weight moves, only slots that the changed member wins or loses move; when a member leaves, only its
    own do. Shares are exact to about 0.2 points (65,536 independent draws).
    """

    __slots__ = ("_slots",)

    def __init__(self, weights: Mapping[T, int], name: Callable[[T], str]) -> None:
        """``name`` must be the same for a member in every process and at every time."""
        if not weights or any(weight <= 0 for weight in weights.values()):
            raise ValueError("a chooser needs members, each with a positive weight")
        members = tuple(weights)
        draws = np.stack([-weight / np.log(_draws(name(member))) for member, weight in weights.items()])
        self._slots: list[T] = [members[winner] for winner in draws.argmax(axis=0).tolist()]

    def choose(self, key: str) -> T:
        """The member that answers for ``key``."""
        digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=2).digest()
        return self._slots[digest[0] << 8 | digest[1]]


@lru_cache(maxsize=1024)
def _draws(name: str) -> npt.NDArray[np.float64]:
    """A number over 0 and under 1 for each slot, independent of those of any other name (SplitMix64)."""
    salt = np.uint64(int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big"))
    state = np.arange(1, _SLOTS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + salt
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
