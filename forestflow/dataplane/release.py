"""One release as a router sees it: its links to replicas, what waits for one, and what was counted.

A request whose replica dies is sent once more, to another replica or to the same one when it is back, inside its
deadline. One that two replicas died over, as far as their pulses say what they ran, is given up, and refused when it
comes again; one over which a replica ran out of memory is given up at once. Shadows have a lane of their own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from forestflow.codecs.table import ClientCodec, client_codec_for
from forestflow.dataplane import pulse, wire
from forestflow.dataplane.lane import Links, ShadowLane, load_of
from forestflow.dataplane.link import Link, Pending
from forestflow.dataplane.pulse import Death
from forestflow.dataplane.quarantine import REFUSE_SECONDS, VICTIMS, Quarantine
from forestflow.domain.errors import Code, DeadlineExceeded, OutOfMemory, Quarantined, QueueFull, Unavailable
from forestflow.domain.ids import Fqrv
from forestflow.domain.plan import ReleasePlan
from forestflow.domain.reports import Counts
from forestflow.settings.sections import DispatchSettings

MAX_ATTEMPTS = 2

_REFUSED = (
    "two replicas of {} were lost over this very request: they hung, crashed or ran out of memory; it is refused for "
    f"{REFUSE_SECONDS / 60:g} minutes"
)


class ReleaseLinks(Links):
    """One release as this router sees it: its links, what waits for one, and its counts."""

    def __init__(self, plan: ReleasePlan, settings: DispatchSettings) -> None:
        super().__init__(plan.fqrv, settings)
        self.plan = plan
        self.parked: deque[Pending] = deque()
        self.scored = 0
        self.unscored = 0  # nobody waited for them any more
        self.refused = 0  # two replicas were lost over them
        self.quarantine = Quarantine()
        self.lane = ShadowLane(plan.fqrv, settings, self.quarantine)
        self._avoiding = False
        self._codecs: dict[int, ClientCodec] = {}
        self._pass_on: Callable[[Pending, float], bool] | None = None  # once the release has left the Plan
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
        self.follow(plan.replicas)
        self.lane.update(plan)

    def send(self, pending: Pending, now: float) -> None:
        """Give the request to the replica with the shortest queue, or park it until one is there."""
        alone = pending.attempts
        if self.quarantine.suspects:
            victims = self.quarantine.victims(pending)
            if victims >= VICTIMS:
                self.refused += 1
                pending.finish(Quarantined(_REFUSED.format(self.fqrv)))
                return
            alone = alone or victims
        ready = self.ready
        if not ready:
            if self._pass_on is not None:
                if pending.bound or not self._pass_on(pending, now):
                    pending.finish(Unavailable(f"{self.fqrv} is gone"))
            elif len(self.parked) >= self.max_queued:
                pending.finish(QueueFull(1.0, f"no replica of {self.fqrv} is up and its queue is full"))
            else:
                self.parked.append(pending)
            return
        link = ready[0] if len(ready) == 1 else min(ready, key=load_of)
        if len(link.outstanding) >= self.max_queued:
            pending.finish(QueueFull(1.0, f"the queues of {self.fqrv} are full"))
            return
        link.send(pending, wire.ALONE if alone else wire.HIGH, now)

    def shade(self, codec: int, payload: bytes, request_id: bytes, now: float) -> None:
        """Send a copy at low priority, if this request is of the sample and a replica has room for it."""
        self.lane.send(codec, payload, request_id, now, self.timeout)

    def link_up(self, link: Link) -> None:
        super().link_up(link)
        now = time.monotonic()
        for _ in range(len(self.parked)):
            pending = self.parked.popleft()
            if not pending.over:
                self.send(pending, now)

    def link_down(self, link: Link, lost: list[Pending]) -> None:
        super().link_down(link, lost)
        now = time.monotonic()
        death = link.death() if lost else None
        if death is None:
            ran = lost  # each may have been it
        else:
            ran = [pending for pending in lost if pending.number in death.running]
            self.quarantine.suspect(ran)
        for pending in ran:
            pending.attempts += 1
        for pending in lost:
            if pending.over:
                continue
            if death is not None and death.reason == pulse.MEMORY and death.running == {pending.number}:
                pending.finish(OutOfMemory(_memory_message(self.fqrv, death)))
            elif pending.attempts >= MAX_ATTEMPTS:
                pending.finish(Unavailable(f"the request was lost with {pending.attempts} replicas of {self.fqrv}"))
            else:
                self.send(pending, now)

    def replied(self, pending: Pending, code: int, rows: int) -> None:
        if code == Code.OK:
            self.scored += 1
            if self.quarantine.suspects:
                self.quarantine.clear(pending)
        elif code == Code.DEADLINE:
            self.unscored += 1

    def take_counts(self) -> Counts:
        """What was counted since the last call."""
        counts = Counts(self.scored, *self.lane.take_counts(), self.unscored, self.refused)
        self.scored = self.unscored = self.refused = 0
        return counts

    def expire(self, now: float) -> None:
        """Fail what has passed its deadline, here and at the replicas."""
        self._expire_parked(now)
        overdue = set()
        for link in [*self.links.values(), *self.draining]:
            for pending in list(link.outstanding.values()):
                if pending.deadline <= now:
                    overdue.add(link)
                    if not pending.over:
                        pending.finish(DeadlineExceeded("the deadline passed before the model answered"))
                        link.cancel(pending)
        if overdue or self._avoiding:
            self._avoiding = bool(overdue)
            self.avoid(overdue)
        if self.quarantine.suspects:
            self.quarantine.expire()
        self.close_drained()
        self.lane.close_drained()

    def _expire_parked(self, now: float) -> None:
        for _ in range(len(self.parked)):
            pending = self.parked.popleft()
            if not pending.over and pending.deadline > now:
                self.parked.append(pending)
                continue
            self.unscored += 1
            pending.finish(DeadlineExceeded("no replica was there before the deadline"))

    @property
    def busy(self) -> bool:
        return bool(self.parked) or super().busy or self.lane.busy

    def leave(self, pass_on: Callable[[Pending, float], bool]) -> None:
        """The Plan has the release no longer: what is out may finish, what waits, or comes back, is passed on."""
        self._pass_on = pass_on
        self.close()
        self.lane.close()
        now = time.monotonic()
        while self.parked:
            pending = self.parked.popleft()
            if not pending.over:
                self.send(pending, now)

    def abandon(self) -> None:
        """Wait for nothing any more: a replica that hangs must not keep the router's loop open."""
        super().abandon()
        self.lane.abandon()


def _memory_message(fqrv: Fqrv, death: Death) -> str:
    return (
        f"over this request a replica of {fqrv} used more than {death.mebibytes} MiB and was ended; "
        "the request was not tried again"
    )
