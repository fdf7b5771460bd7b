"""One release as a router sees it: its links to replicas, what waits for one, and what was counted.

A request whose replica dies is sent once more, to another replica or to the same one when it is back, inside its
deadline; one that lost two replicas is given up. A shadow is sent once, or not at all.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from forestflow.codecs.table import ClientCodec, client_codec_for
from forestflow.domain.errors import Code, DeadlineExceeded, QueueFull, Unavailable
from forestflow.domain.plan import ReleasePlan
from forestflow.runtime import wire
from forestflow.runtime.link import Link, Pending

MAX_ATTEMPTS = 2
SHADOWS_ON_THE_WAY = 64  # per replica, beside its backlog; more are dropped here
SHADOW_BYTES_UNSENT = 1 << 20  # with more of them unsent, a user's request would wait behind shadows


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """What a dispatcher needs to know of its router. Times in seconds, sizes in bytes."""

    node_id: str
    secret: bytes
    default_timeout: float = 30.0
    max_queued: int = 1024
    max_frame: int = 256 << 20


class Release:
    """One release as this router sees it: its links, what waits for one, and its counts."""

    def __init__(self, plan: ReleasePlan, settings: DispatchSettings) -> None:
        self.fqrv = plan.fqrv
        self.plan = plan
        self.links: dict[str, Link] = {}
        self.ready: list[Link] = []
        self.draining: set[Link] = set()
        self.parked: deque[Pending] = deque()
        self.scored = 0
        self.shaded = 0
        self.shadow_dropped = 0  # since the start: for want of room, of a replica, or of time
        self._codecs: dict[int, ClientCodec] = {}
        self._credit = 0  # toward the next shadow, in percent
        self._settings = settings
        self.update(plan)

    def codec(self, number: int) -> ClientCodec:
        """The client's protocol, answering for this release."""
        codec = self._codecs.get(number)
        if codec is None:
            codec = self._codecs[number] = client_codec_for(number, self.fqrv)
        return codec

    def update(self, plan: ReleasePlan) -> None:
        """Follow the Plan: connect to new replicas, let go of those no longer named."""
        self.plan = plan
        self.max_queued = plan.max_queued or self._settings.max_queued
        self.timeout = plan.timeout_seconds or self._settings.default_timeout
        wanted = {address.replica_id: address for address in plan.replicas}
        for replica_id, link in list(self.links.items()):
            if wanted.get(replica_id) != link.address:
                self._release_link(self.links.pop(replica_id))
        for replica_id, address in wanted.items():
            if replica_id not in self.links:
                settings = self._settings
                self.links[replica_id] = Link(
                    self, address, node_id=settings.node_id, secret=settings.secret, max_frame=settings.max_frame
                )

    def _release_link(self, link: Link) -> None:
        """A replica left the Plan: it gets nothing new, but what it has it may finish."""
        if link in self.ready:
            self.ready.remove(link)
        if link.up and link.outstanding:
            self.draining.add(link)
        else:
            link.close()

    def send(self, pending: Pending, now: float) -> None:
        """Give the request to the replica with the shortest queue, or park it until one is there."""
        ready = self.ready
        if not ready:
            if len(self.parked) >= self.max_queued:
                pending.finish(QueueFull(1.0, f"no replica of {self.fqrv} is up and its queue is full"))
            else:
                self.parked.append(pending)
            return
        link = ready[0] if len(ready) == 1 else min(ready, key=_load)
        if len(link.outstanding) - link.shadows >= self.max_queued:
            pending.finish(QueueFull(1.0, f"the queues of {self.fqrv} are full"))
            return
        pending.attempts += 1
        link.send(pending, wire.HIGH, now)

    def shade(self, codec: int, payload: bytes, request_id: bytes, now: float) -> None:
        """Send a copy at low priority, if this request is of the sample and a replica has room for it."""
        self._credit += self.plan.sample_percent
        if self._credit < 100:
            return
        self._credit -= 100
        link = min(self.ready, key=_shadows, default=None)
        room = self.plan.max_backlog + SHADOWS_ON_THE_WAY
        if link is None or link.shadows >= room or link.unsent > SHADOW_BYTES_UNSENT:
            self.shadow_dropped += 1
            return
        link.send(Pending(None, self, codec, payload, request_id, now + self.timeout), wire.LOW, now)

    def link_up(self, link: Link) -> None:
        self.ready.append(link)
        now = time.monotonic()
        for _ in range(len(self.parked)):
            pending = self.parked.popleft()
            if not pending.over:
                self.send(pending, now)

    def link_down(self, link: Link, lost: list[Pending]) -> None:
        self.draining.discard(link)
        if link in self.ready:
            self.ready.remove(link)
        now = time.monotonic()
        for pending in lost:
            if pending.resolve is None:
                self.shadow_dropped += 1
            if pending.over:
                continue
            if pending.attempts >= MAX_ATTEMPTS:
                pending.finish(Unavailable(f"the request was lost with {pending.attempts} replicas of {self.fqrv}"))
            else:
                self.send(pending, now)

    def replied(self, pending: Pending, code: int, rows: int) -> None:
        if pending.resolve is not None:
            if code == Code.OK:
                self.scored += 1
        elif code == Code.OK:
            self.shaded += 1
        elif code in _DROPPED:
            self.shadow_dropped += 1

    def expire(self, now: float) -> None:
        """Fail what has passed its deadline, here and at the replicas."""
        while self.parked and (self.parked[0].over or self.parked[0].deadline <= now):
            self.parked.popleft().finish(DeadlineExceeded("no replica was there before the deadline"))
        for link in [*self.links.values(), *self.draining]:
            for pending in link.outstanding.values():
                if pending.deadline <= now and not pending.over:
                    pending.finish(DeadlineExceeded("the deadline passed before the model answered"))
            if link in self.draining and not link.outstanding:
                self.draining.discard(link)
                link.close()

    @property
    def busy(self) -> bool:
        return bool(self.parked or self.draining) or any(link.outstanding for link in self.links.values())

    def close(self) -> None:
        for pending in self.parked:
            pending.finish(Unavailable(f"{self.fqrv} is gone"))
        self.parked.clear()
        for link in self.links.values():
            self._release_link(link)
        self.links.clear()

    def abandon(self) -> None:
        """Wait for nothing any more: a replica that hangs must not keep the router's loop open."""
        for link in list(self.draining):
            link.close()


_DROPPED = frozenset({Code.EXHAUSTED, Code.DEADLINE})  # what a replica answers for a shadow that it did not score


def _load(link: Link) -> int:
    return len(link.outstanding) - link.shadows


def _shadows(link: Link) -> int:
    return link.shadows
