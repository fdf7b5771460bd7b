"""Calls before the first real one: a framework settles, and how many rows a slice may have is measured."""

from __future__ import annotations

import time
from collections.abc import Callable

SLICE_SECONDS = 0.004
MAX_ROWS = 16_384


def slice_rows(run: Callable[[int], object], max_rows: int = MAX_ROWS, settle_seconds: float = 0.1) -> int:
    """How many rows ``run(rows)`` takes in about four milliseconds, 1 to ``max_rows``, after warming up for a while.

    ``run`` gets 1 to ``max_rows`` rows, four times as many each time until these take long enough to tell. Raises what
    it raises.
    """
    end = time.perf_counter() + settle_seconds
    run(1)
    while time.perf_counter() < end:
        run(min(16, max_rows))
    rows = 1
    while True:
        seconds = min(_timed(run, rows) for _ in range(3))
        if seconds >= SLICE_SECONDS / 2 or rows >= max_rows:
            return max(1, min(max_rows, int(rows * SLICE_SECONDS / max(seconds, 1e-9))))
        rows = min(4 * rows, max_rows)


def _timed(run: Callable[[int], object], rows: int) -> float:
    began = time.perf_counter()
    run(rows)
    return time.perf_counter() - began
