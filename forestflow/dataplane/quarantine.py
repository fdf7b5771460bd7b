"""Requests that a release's replicas were lost over, by the hash of their bytes: after two, the same bytes are refused.

A request is suspected of a loss when it ran at that moment, whatever the reason: the watchdog, a crash, somebody's
``kill -9``. An answer clears it, so what is asked all the time is not refused for the bad luck of having run when a
process was killed. While nothing is suspected, nothing is hashed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable

from forestflow.dataplane.link import Pending

VICTIMS = 2  # replicas, after which a request is refused
REFUSE_SECONDS = 600.0  # since the last of them
MAX_SUSPECTS = 1024

_Key = tuple[int, int, bytes]  # length, codec, digest


class Quarantine:
    """The ``suspects`` of one release: how many replicas were lost over each, and when the last one. Oldest first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.suspects: dict[_Key, tuple[int, float]] = {}
        self._lengths: frozenset[int] = frozenset()  # of the suspects: a request of another length is not hashed

    def suspect(self, running: Iterable[Pending]) -> None:
        """A replica was lost while it ran these requests."""
        now = self._clock()
        for key in {_key_of(pending) for pending in running}:  # twice the same request is one suspect
            victims, _ = self.suspects.pop(key, (0, 0.0))
            self.suspects[key] = victims + 1, now
        while len(self.suspects) > MAX_SUSPECTS:
            del self.suspects[next(iter(self.suspects))]
        self._changed()

    def clear(self, pending: Pending) -> None:
        """This request was answered."""
        key = _key_of(pending) if len(pending.payload) in self._lengths else None
        if key in self.suspects:
            del self.suspects[key]
            self._changed()

    def victims(self, pending: Pending) -> int:
        """How many replicas were lost over the same request, not long ago."""
        if len(pending.payload) not in self._lengths:
            return 0
        return self.suspects.get(_key_of(pending), (0, 0.0))[0]

    def expire(self) -> None:
        """Forget what was suspected long ago."""
        before = self._clock() - REFUSE_SECONDS
        old = [key for key, (_, since) in self.suspects.items() if since < before]
        for key in old:
            del self.suspects[key]
        if old:
            self._changed()

    def _changed(self) -> None:
        self._lengths = frozenset(length for length, _, _ in self.suspects)


def _key_of(pending: Pending) -> _Key:
    payload = pending.payload
    return len(payload), pending.codec, hashlib.blake2b(payload, digest_size=16).digest()
