"""The two-level queue of a replica: user requests first, shadows when nobody waits; both bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TwoLevelQueue(Generic[T]):
    """User work is refused when full; shadow work then pushes out the oldest shadow, which is counted."""

    __slots__ = ("_max_backlog", "_max_queued", "dropped", "high", "low")

    def __init__(self, max_queued: int, max_backlog: int) -> None:
        self.high: deque[T] = deque()
        self.low: deque[T] = deque()
        self.dropped = 0
        self._max_queued = max_queued
        self._max_backlog = max_backlog

    def offer_high(self, item: T) -> bool:
        """Queue a user's request; False when the queue is full."""
        if len(self.high) >= self._max_queued:
            return False
        self.high.append(item)
        return True

    def offer_low(self, item: T) -> T | None:
        """Queue a shadow; returns the shadow that was dropped for it, if any."""
        if self._max_backlog == 0:
            self.dropped += 1
            return item
        self.low.append(item)
        if len(self.low) > self._max_backlog:
            self.dropped += 1
            return self.low.popleft()
        return None

    def limit_low(self, max_backlog: int) -> list[T]:
        """Let so many shadows wait from now on; returns those, the oldest, that were dropped for it."""
        self._max_backlog = max_backlog
        surplus = [self.low.popleft() for _ in range(len(self.low) - max_backlog)]
        self.dropped += len(surplus)
        return surplus

    def drop(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Take out what is not wanted any more."""
        return _drop(self.high, unwanted) + _drop(self.low, unwanted)

    def __len__(self) -> int:
        return len(self.high) + len(self.low)


def _drop(queue: deque[T], unwanted: Callable[[T], bool]) -> list[T]:
    dropped = [item for item in queue if unwanted(item)]
    if dropped:
        kept = [item for item in queue if not unwanted(item)]
        queue.clear()
        queue.extend(kept)
    return dropped
