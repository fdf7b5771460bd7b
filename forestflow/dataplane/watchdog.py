"""Watches one host process from beside it, and kills it when it hangs, is stopped, or takes too much memory.

A process of its own, because nothing inside a host is sure to run: its model may hold the GIL for ever, fill the memory
faster than a thread gets its turn, or be stopped by a signal. It runs this file alone, without ForestFlow or any
package, so it starts in milliseconds and takes a few MB. It ends when its standard input does: that is the host's.

What it watches is a page that host and watchdog share (``dataplane/pulse.py`` writes it): a count of the beats of the
model's thread, and how long it may be until the next one. Time is counted as it is seen here, poll by poll, and no poll
counts for more than ``MAX_STEP``: a machine that was suspended, or that did not let this process run, hangs no host.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# The shared page, little-endian: bytes of memory at most (0: as many as it likes), why it was killed, the limit that it
# was over; beats, seconds until the next one at most, how many requests run, and their numbers.
HEADER = struct.Struct("<QQdQdQ")
MEMORY_AT, REASON_AT, BEATS_AT, NUMBERS_AT = 0, 8, 24, HEADER.size
PAGE_BYTES = 4096

DIED, HUNG, STOPPED, MEMORY = range(4)  # reasons; DIED: not by this watchdog

POLL_SECONDS = 0.1
MAX_STEP = 0.5
STOPPED_SECONDS = 3.0  # that a host may be stopped by a signal


class HostWatch:
    """What was seen of one host so far. Pure: the caller says what there is to see."""

    def __init__(self) -> None:
        self._beats = -1
        self._silent = 0.0
        self._stopped = 0.0

    def look(
        self, step: float, beats: int, patience: float, limit: int, used: int, state: str, traced: bool
    ) -> tuple[int, float] | None:
        """Why the host must end and the limit it was over; ``None``: it may go on. ``step``: since the last look."""
        step = min(step, MAX_STEP)
        if limit and used > limit:
            return MEMORY, float(limit)
        self._stopped = self._stopped + step if state == "T" else 0.0
        if self._stopped > STOPPED_SECONDS:
            return STOPPED, STOPPED_SECONDS
        self._silent = 0.0 if beats != self._beats or traced or state == "T" else self._silent + step
        self._beats = beats
        return (HUNG, patience) if self._silent > patience else None


def watch(pid: int, page: mmap.mmap, closed: int) -> None:
    """Until the host ends, or ``closed`` can be read."""
    seen = HostWatch()
    last = time.monotonic()
    while not select.select([closed], [], [], POLL_SECONDS)[0]:
        now = time.monotonic()
        try:
            used, state, traced = look_at(pid)
        except OSError:
            return  # it is gone
        if state in ("Z", "X"):
            return  # it is gone, and only its parent has not noticed yet
        limit, _, _, beats, patience, _ = HEADER.unpack_from(page)
        verdict = seen.look(now - last, beats, patience, limit, used, state, traced)
        last = now
        if verdict is not None:
            struct.pack_into("<Qd", page, REASON_AT, *verdict)
            os.kill(pid, signal.SIGKILL)
            return


def look_at(pid: int) -> tuple[int, str, bool]:
    """Bytes of memory, swapped ones too, the state's letter, and whether a debugger holds it."""
    used, state, traced = 0, "", False
    for name, value in _fields(pid):
        if name in ("VmRSS", "VmSwap"):
            used += int(value.split()[0]) << 10
        elif name == "State":
            state = value[0]
        elif name == "TracerPid":
            traced = value != "0"
    return used, state, traced


def _fields(pid: int) -> Iterator[tuple[str, str]]:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        yield name, value.strip()


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group: the host drains, and is watched meanwhile
    with open(sys.argv[2], "r+b") as file:
        page = mmap.mmap(file.fileno(), PAGE_BYTES)
    watch(int(sys.argv[1]), page, sys.stdin.fileno())


if __name__ == "__main__":
    main()
