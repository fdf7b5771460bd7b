"""A host's pulse: a page of shared memory that says what the model's thread does, for those who cannot ask it.

The thread beats at each call of its model and, between calls, once a second; it says how long it may be until the next
beat and which requests run. The watchdog beside the host (``watchdog.py``) kills it when the time is over. The page
outlives the process, so routers of the node know which requests it died over, and the registry why.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forestflow.dataplane import watchdog
from forestflow.dataplane.watchdog import BEATS_AT, DIED, HEADER, HUNG, MEMORY, NUMBERS_AT, STOPPED

BEAT_SECONDS = 1.0
GRACE_SECONDS = 2.5  # past the deadline of what runs
MAX_RUNNING = 256  # requests whose numbers are kept; more never run at once

_NONE = struct.Struct("<QdQ")  # beats, seconds, how many run
_ONE = struct.Struct("<QdQQ")

__all__ = ["BEAT_SECONDS", "DIED", "HUNG", "MEMORY", "STOPPED", "Death", "Pulse", "death_of", "pulse_path"]


@dataclass(frozen=True, slots=True)
class Death:
    """How a host ended: what it ran, and why the watchdog killed it (``DIED``: it was not the watchdog)."""

    reason: int
    limit: float
    running: frozenset[int]

    @property
    def mebibytes(self) -> int:
        """The limit of a host that was ended for its memory."""
        return int(self.limit) >> 20

    @property
    def message(self) -> str | None:
        """What to tell of it; ``None`` where the watchdog had no part in it."""
        match self.reason:
            case watchdog.MEMORY:
                return f"the host used more than {self.mebibytes} MiB and was ended; raise resources.memoryMB"
            case watchdog.HUNG:
                return f"the host did not come back from its model within {self.limit:g} s and was ended"
            case watchdog.STOPPED:
                return f"the host was stopped by a signal for over {self.limit:g} s and was ended"
            case _:
                return None


class Pulse:
    """Written by the thread of the model alone. ``timeout`` is that of the release, in seconds."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._usual = timeout + GRACE_SECONDS
        self._beats = 0
        path.unlink(missing_ok=True)  # that of this replica's predecessor
        with path.open("xb+") as file:
            file.truncate(watchdog.PAGE_BYTES)
            self._page = mmap.mmap(file.fileno(), watchdog.PAGE_BYTES)
        self._watchdog: subprocess.Popen[bytes] | None = None
        self.pause()

    def watch(self, max_memory: int) -> None:
        """Have this process watched from now on; over ``max_memory`` bytes it is killed (0: no limit)."""
        self.limit_memory(max_memory)
        command = [sys.executable, "-I", "-S", watchdog.__file__, str(os.getpid()), str(self._path)]
        self._watchdog = subprocess.Popen(command, stdin=subprocess.PIPE)

    def limit_memory(self, max_memory: int) -> None:
        struct.pack_into("<Q", self._page, watchdog.MEMORY_AT, max_memory)

    def beat(self) -> None:
        """The thread is there, and runs nothing."""
        self._beats += 1
        _NONE.pack_into(self._page, BEATS_AT, self._beats, self._usual, 0)

    def pause(self) -> None:
        """The next beat may take as long as it likes: the model is being loaded, or freed."""
        self._beats += 1
        _NONE.pack_into(self._page, BEATS_AT, self._beats, float("inf"), 0)

    def run(self, numbers: Sequence[int], seconds: float) -> None:
        """These requests run now; the last of them has so many seconds left."""
        self._beats = beats = self._beats + 1
        wait = seconds + GRACE_SECONDS
        if wait < self._usual:
            wait = self._usual
        count = len(numbers)
        if count == 1:
            _ONE.pack_into(self._page, BEATS_AT, beats, wait, 1, numbers[0])
        else:
            struct.pack_into(f"<QdQ{count}Q", self._page, BEATS_AT, beats, wait, count, *numbers)

    def close(self) -> None:
        """End the watch, and remove what it left."""
        if self._watchdog is not None:
            assert self._watchdog.stdin is not None
            self._watchdog.stdin.close()
            self._watchdog.wait()
        self._path.unlink(missing_ok=True)


def pulse_path(unix_path: str | Path) -> Path:
    """Where the pulse of the replica is that answers on that socket."""
    return Path(unix_path).with_suffix(".pulse")


def death_of(path: Path) -> Death | None:
    """What the pulse of a host that is gone says; ``None`` where there is none: it is, or was, on another node."""
    try:
        page = path.read_bytes()
    except OSError:
        return None
    if len(page) < watchdog.PAGE_BYTES:
        return None  # of a host that is only beginning
    _, reason, limit, _, _, running = HEADER.unpack_from(page)
    return Death(reason, limit, frozenset(struct.unpack_from(f"<{min(running, MAX_RUNNING)}Q", page, NUMBERS_AT)))
