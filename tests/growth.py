"""Whether a reader's time grows with the length of what it reads, and not with the square of it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FACTOR = 16
TRIES = 5
LEAST_SECONDS = 0.002  # below, the clock and the caches say more than the reader


def assert_linear(make: Callable[[int], T], read: Callable[[T], object], length: int) -> None:
    """Fail where 16 times the length takes more than 64 times the time; by the square it would take 256 times.

    The time is that of the thread on the processor, the best of several tries, so that a busy machine changes little.
    ``length`` is where the square would be felt: 16 times as much should then take seconds.
    """
    short, long = _seconds(make(length), read), _seconds(make(FACTOR * length), read)
    assert long < 4 * FACTOR * max(short, LEAST_SECONDS), f"{short * 1e3:.2f} ms, 16 times as much {long * 1e3:.2f} ms"


def _seconds(given: T, read: Callable[[T], object]) -> float:
    best = float("inf")
    gc.disable()  # its turns come with the number of objects that there are
    try:
        for _ in range(TRIES):
            began = time.thread_time()
            read(given)
            best = min(best, time.thread_time() - began)
            if best > 0.2:  # long enough for the clock
                break
    finally:
        gc.enable()
    return best
