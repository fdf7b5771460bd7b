"""The data-plane facade: picks a release from the Plan and gets a request answered by one of its replicas.

Runs on a router's event loop. Nothing here reads a payload. A request whose replica dies is sent once more, to
another replica or to the same one when it is back, inside its deadline; one that lost two replicas is given up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from forestflow.domain.errors import (
    Code,
    DeadlineExceeded,
    ForestFlowError,
    NoActiveServables,
    QueueFull,
    Unavailable,
    UnknownContract,
)
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.plan import ContractPlan, PlanUpdate, ReleasePlan
from forestflow.domain.routing import WeightedChooser
from forestflow.runtime import wire
from forestflow.runtime.link import Link, Outcome, Pending, Reply

MAX_ATTEMPTS = 2
SWEEP_SECONDS = 0.05
SHADOWS_OUTSTANDING = 256  # per replica; more are dropped, not queued here

_log = logging.getLogger("forestflow.dispatch")


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
        self._settings = settings
        self.update(plan)

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
        if len(link.outstanding) >= self.max_queued:
            pending.finish(QueueFull(1.0, f"the queues of {self.fqrv} are full"))
            return
        pending.attempts += 1
        link.send(pending, wire.HIGH, now)

    def shade(self, codec: int, payload: bytes, request_id: bytes, deadline: float, now: float) -> None:
        """Send a copy at low priority, if a replica has room for it."""
        link = min(self.ready, key=_load, default=None)
        if link is not None and len(link.outstanding) < SHADOWS_OUTSTANDING:
            link.send(Pending(None, self, codec, payload, request_id, deadline), wire.LOW, now)

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
            if pending.over:
                continue
            if pending.attempts >= MAX_ATTEMPTS:
                pending.finish(Unavailable(f"the request was lost with {pending.attempts} replicas of {self.fqrv}"))
            else:
                self.send(pending, now)

    def replied(self, pending: Pending, code: int, rows: int) -> None:
        if code == Code.OK:
            if pending.resolve is None:
                self.shaded += 1
            else:
                self.scored += 1

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


class ContractRoute:
    """One contract on this router: who may answer, who shadows."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.gone = False  # from the Plan: whoever kept this route must look it up again
        self.releases: dict[Fqrv, Release] = {}
        self.chooser: WeightedChooser[Release] | None = None
        self.shadows: tuple[Release, ...] = ()

    def update(self, plan: ContractPlan, settings: DispatchSettings) -> list[Release]:
        """Follow the Plan; returns the releases that left it."""
        wanted = {release.fqrv: release for release in plan.releases}
        left = [self.releases.pop(fqrv) for fqrv in list(self.releases) if fqrv not in wanted]
        for fqrv, release_plan in wanted.items():
            known = self.releases.get(fqrv)
            if known is None:
                self.releases[fqrv] = Release(release_plan, settings)
            elif known.plan != release_plan:
                known.update(release_plan)
        weights = {self.releases[r.fqrv]: r.weight for r in plan.releases if r.weight > 0}
        if not weights:
            self.chooser = None
        elif self.chooser and set(self.chooser.members) == weights.keys():
            self.chooser.change(weights)
        else:
            self.chooser = WeightedChooser(weights, self.chooser.debts() if self.chooser else None)
        self.shadows = tuple(self.releases[r.fqrv] for r in plan.releases if r.shadow)
        return left


class Dispatcher:
    """All contracts of one router. Lives on one event loop and is not thread-safe."""

    def __init__(self, settings: DispatchSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.version = 0
        self._settings = settings
        self._clock = clock
        self._routes: dict[Contract, ContractRoute] = {}
        self._loop = asyncio.get_running_loop()
        self._version_reached = asyncio.Event()
        self._left: dict[Fqrv, tuple[int, int]] = {}
        self._active: set[Release] = set()  # those that may have something to expire
        self._sweeper = self._loop.create_task(self._sweep())

    def apply(self, update: PlanUpdate) -> None:
        """Take over a newer Plan."""
        if update.full:
            for contract in [c for c in self._routes if c not in update.contracts]:
                self._drop(contract)
        for contract, plan in update.contracts.items():
            if plan is None:
                self._drop(contract)
                continue
            route = self._routes.get(contract)
            if route is None:
                route = self._routes[contract] = ContractRoute(contract)
            for release in route.update(plan, self._settings):
                self._leave(release)
        self.version = update.version
        self._version_reached.set()
        self._version_reached = asyncio.Event()

    async def reached(self, version: int) -> None:
        """Wait until this router has that version of the Plan, or a newer one."""
        while self.version < version:
            await self._version_reached.wait()

    def route(self, contract: Contract) -> ContractRoute:
        """Raises UnknownContract."""
        route = self._routes.get(contract)
        if route is None:
            raise UnknownContract(contract)
        return route

    def send(
        self,
        route: ContractRoute,
        codec: int,
        payload: bytes,
        request_id: bytes,
        seconds: float | None,
        resolve: Callable[[Outcome], None],
    ) -> None:
        """Send a request on its way; ``resolve`` is called once, now or later, with a reply or a ForestFlowError.

        ``seconds`` are its time, ``None``: the release's setting.
        """
        chooser = route.chooser
        if chooser is None:
            resolve(NoActiveServables(route.contract))
            return
        release = chooser.next()
        now = self._clock()
        deadline = now + (seconds or release.timeout)
        self._active.add(release)
        release.send(Pending(resolve, release, codec, payload, request_id, deadline), now)
        for shadow in route.shadows:
            if shadow is not release:
                self._active.add(shadow)
                shadow.shade(codec, payload, request_id, deadline, now)

    async def score(
        self, route: ContractRoute, codec: int, payload: bytes, request_id: bytes, seconds: float | None = None
    ) -> Reply:
        """The same for coroutines: returns the reply or raises the ForestFlowError."""
        answered: asyncio.Future[Outcome] = self._loop.create_future()

        def resolve(outcome: Outcome) -> None:
            if not answered.done():  # cancelled: nobody waits any more
                answered.set_result(outcome)

        self.send(route, codec, payload, request_id, seconds, resolve)
        outcome = await answered
        if isinstance(outcome, ForestFlowError):
            raise outcome
        return outcome

    def take_counts(self) -> dict[Fqrv, tuple[int, int]]:
        """(scored, shaded) of each release since the last call."""
        counts, self._left = self._left, {}
        for route in self._routes.values():
            for release in route.releases.values():
                if release.scored or release.shaded:
                    before = counts.get(release.fqrv, (0, 0))
                    counts[release.fqrv] = (before[0] + release.scored, before[1] + release.shaded)
                    release.scored = release.shaded = 0
        return counts

    def return_counts(self, counts: Mapping[Fqrv, tuple[int, int]]) -> None:
        """Take back counts that could not be reported; the next ``take_counts`` gives them again."""
        for fqrv, (scored, shaded) in counts.items():
            before = self._left.get(fqrv, (0, 0))
            self._left[fqrv] = (before[0] + scored, before[1] + shaded)

    @property
    def busy(self) -> bool:
        """Whether any request is still on its way."""
        return any(release.busy for release in self._active)

    def close(self) -> None:
        self._sweeper.cancel()
        for contract in list(self._routes):
            self._drop(contract)
        for release in self._active:
            release.abandon()

    def _drop(self, contract: Contract) -> None:
        route = self._routes.pop(contract, None)
        if route:
            route.gone = True
            for release in route.releases.values():
                self._leave(release)

    def _leave(self, release: Release) -> None:
        self.return_counts({release.fqrv: (release.scored, release.shaded)})
        release.close()
        if release.busy:
            self._active.add(release)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self._clock()
            for release in list(self._active):
                release.expire(now)
                if not release.busy:
                    self._active.discard(release)


def _load(link: Link) -> int:
    return len(link.outstanding)
