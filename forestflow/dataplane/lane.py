"""A router's links to the replicas of one release, and the lane on which its shadows travel.

Shadows have connections of their own: a big one that is half way through is in the way of no user's request.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Iterable

from forestflow.dataplane import wire
from forestflow.dataplane.link import Link, Pending
from forestflow.dataplane.quarantine import VICTIMS, Quarantine
from forestflow.domain.errors import Code
from forestflow.domain.ids import Fqrv
from forestflow.domain.plan import ReleasePlan, ReplicaAddress
from forestflow.settings.sections import DispatchSettings

SHADOWS_ON_THE_WAY = 64  # per replica, beside its backlog; more are dropped here
SHADOW_BYTES_UNSENT = 1 << 20  # with more of them unsent, the replica does not keep up

_DROPPED = frozenset({Code.EXHAUSTED, Code.DEADLINE})  # what a replica answers for a shadow that it did not score


class Links:
    """One link to each replica that the Plan names. What leaves the Plan gets nothing new but may finish."""

    wide = True  # connections hold several long requests, for the replica to merge

    def __init__(self, fqrv: Fqrv, settings: DispatchSettings) -> None:
        self.fqrv = fqrv
        self.links: dict[str, Link] = {}
        self.ready: list[Link] = []
        self.up = asyncio.Event()  # a replica is, or was once
        self.draining: set[Link] = set()
        self._settings = settings

    def follow(self, replicas: Iterable[ReplicaAddress]) -> None:
        """Connect to new replicas, let go of those no longer named."""
        wanted = {address.replica_id: address for address in replicas}
        for replica_id, link in list(self.links.items()):
            if wanted.get(replica_id) != link.address:
                self._retire(self.links.pop(replica_id))
        self.connect(wanted.values())

    def connect(self, replicas: Iterable[ReplicaAddress]) -> bool:
        """Connect to those replicas that are new; whether there are any."""
        new = [address for address in replicas if address.replica_id not in self.links]
        for address in new:
            settings = self._settings
            self.links[address.replica_id] = Link(
                self,
                address,
                node_id=settings.node_id,
                secret=settings.secret,
                max_frame=settings.max_frame,
                wide=self.wide,
            )
        return bool(new)

    def _retire(self, link: Link) -> None:
        if link in self.ready:
            self.ready.remove(link)
        if link.up and link.outstanding:
            self.draining.add(link)
        else:
            link.close()

    def link_up(self, link: Link) -> None:
        self.ready.append(link)
        self.up.set()

    def link_down(self, link: Link, lost: list[Pending]) -> None:
        self.draining.discard(link)
        if link in self.ready:
            self.ready.remove(link)

    def replied(self, pending: Pending, code: int, rows: int) -> None:
        raise NotImplementedError

    def avoid(self, overdue: Collection[Link]) -> None:
        """Choose these links only where there is no other: their replicas let the time of a request run out."""
        up = [link for link in self.links.values() if link.up]
        self.ready = [link for link in up if link not in overdue] or up

    def close_drained(self) -> None:
        """Close the links that had only to finish what was out."""
        for link in [link for link in self.draining if not link.outstanding]:
            self.draining.discard(link)
            link.close()

    @property
    def busy(self) -> bool:
        return bool(self.draining) or any(link.outstanding for link in self.links.values())

    def close(self) -> None:
        """Let go of every replica; what is out may come back."""
        for link in self.links.values():
            self._retire(link)
        self.links.clear()

    def abandon(self) -> None:
        """Wait for nothing any more."""
        for link in list(self.draining):
            link.close()


class ShadowLane(Links):
    """Sends copies of other releases' requests at low priority, once or not at all.

    Without shadows in the Plan it has no connections.
    """

    wide = False  # a replica that does not keep up is to be noticed

    def __init__(self, fqrv: Fqrv, settings: DispatchSettings, quarantine: Quarantine) -> None:
        super().__init__(fqrv, settings)
        self._quarantine = quarantine
        self._sample_percent = 0
        self._room = 0
        self._credit = 0  # toward the next shadow, in percent
        self._waiting: deque[Pending] = deque()  # for the first connection to be up
        self.shaded = 0
        self.dropped = 0  # for want of room, of a replica, or of time

    def update(self, plan: ReleasePlan) -> None:
        """Follow the Plan."""
        self._sample_percent = plan.sample_percent
        self._room = plan.max_backlog + SHADOWS_ON_THE_WAY
        self.follow(plan.replicas if plan.shadow and plan.sample_percent > 0 else ())
        for link in self.links.values():
            link.limit_backlog(plan.max_backlog)

    def send(self, codec: int, payload: bytes, request_id: bytes, now: float, timeout: float) -> None:
        """Send a copy, if this request is of the sample and a replica has room for it."""
        self._credit += self._sample_percent
        if self._credit < 100:
            return
        self._credit -= 100
        shadow = Pending(None, codec, payload, request_id, now + timeout)
        link = min(self.ready, key=load_of, default=None)
        if self._quarantine.suspects and self._quarantine.victims(shadow) >= VICTIMS:
            self.dropped += 1
        elif link is None and any(not link.was_up for link in self.links.values()):
            self._wait(shadow)
        elif link is None or len(link.outstanding) >= self._room or link.unsent > SHADOW_BYTES_UNSENT:
            self.dropped += 1
        else:
            link.send(shadow, wire.LOW, now)

    def _wait(self, shadow: Pending) -> None:
        """Keep a few for the connection that is coming: the sample is to be exact from the first request on."""
        self._waiting.append(shadow)
        while sum(len(waiting.payload) for waiting in self._waiting) > SHADOW_BYTES_UNSENT or (
            len(self._waiting) > SHADOWS_ON_THE_WAY
        ):
            self._waiting.popleft()
            self.dropped += 1

    def link_up(self, link: Link) -> None:
        super().link_up(link)
        now = time.monotonic()
        while self._waiting:
            shadow = self._waiting.popleft()
            if shadow.deadline <= now or len(link.outstanding) >= self._room:
                self.dropped += 1
            else:
                link.send(shadow, wire.LOW, now)

    def close(self) -> None:
        self.dropped += len(self._waiting)
        self._waiting.clear()
        super().close()

    def link_down(self, link: Link, lost: list[Pending]) -> None:
        super().link_down(link, lost)
        self.dropped += len(lost)
        death = link.death() if lost else None
        if death is not None:
            self._quarantine.suspect(shadow for shadow in lost if shadow.number in death.running)

    def replied(self, pending: Pending, code: int, rows: int) -> None:
        if code == Code.OK:
            self.shaded += 1
            if self._quarantine.suspects:
                self._quarantine.clear(pending)
        elif code in _DROPPED:
            self.dropped += 1

    def take_counts(self) -> tuple[int, int]:
        """(shaded, dropped) since the last call."""
        counts = self.shaded, self.dropped
        self.shaded = self.dropped = 0
        return counts


def load_of(link: Link) -> int:
    """How many requests are out on a link."""
    return len(link.outstanding)
