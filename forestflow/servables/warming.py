"""Calls before the first real one: a framework settles, and how many rows a slice may have is measured."""

from __future__ import annotations

import time
from collections.abc import Callable

SLICE_SECONDS = 0.004
_MAX_ROWS = 16_384
_SETTLE_SECONDS = 0.1


def slice_rows(run: Callable[[int], object]) -> int:
    """How many rows ``run(rows)`` takes in about four milliseconds, after a tenth of a second of warming up.

    Raises what ``run`` raises.
    """
    end = time.perf_counter() + _SETTLE_SECONDS
    run(1)
    while time.perf_counter() < end:
        run(16)
    rows = 16
    while True:
        seconds = min(_timed(run, rows) for _ in range(3))
        if seconds >= SLICE_SECONDS / 2 or rows >= _MAX_ROWS:
            return max(1, min(_MAX_ROWS, int(rows * SLICE_SECONDS / max(seconds, 1e-9))))
        rows *= 4


def _timed(run: Callable[[int], object], rows: int) -> float:
    began = time.perf_counter()
    run(rows)
    return time.perf_counter() - began
