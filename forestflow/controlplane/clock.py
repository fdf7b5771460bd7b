"""Wall time that never goes back and never jumps: phase-in and validity follow it."""

from __future__ import annotations

import time


class SteadyClock:
    """Milliseconds since 1970, read off the wall once and counted on by the monotonic clock.

    A wall clock that is set back or forth while this runs changes nothing. ``not_before_ms``, the latest time that was
    ever written down, keeps a clock that was set back before the start from repeating the past.
    """

    def __init__(self, not_before_ms: int = 0) -> None:
        self._base_ms = max(time.time_ns() // 1_000_000, not_before_ms)
        self._started_ns = time.monotonic_ns()

    def __call__(self) -> int:
        return self._base_ms + (time.monotonic_ns() - self._started_ns) // 1_000_000
