"""The data-plane facade: picks a release from the Plan and gets a request answered by one of its replicas.

Runs on a router's event loop. A payload is read only where a contract routes by record,
or by a key that no header gives.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial

from forestflow.codecs.table import COLUMNAR
from forestflow.dataplane.link import Outcome, Pending, Reply, Sent
from forestflow.dataplane.records import Gathering, Part, split
from forestflow.dataplane.release import ReleaseLinks
from forestflow.dataplane.route import ContractRoute
from forestflow.domain.errors import ForestFlowError, Unavailable
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.plan import PlanUpdate
from forestflow.domain.refusals import NoActiveServables, UnknownContract, UnknownServable
from forestflow.domain.reports import Counts
from forestflow.settings.sections import DispatchSettings

__all__ = ["ContractRoute", "Dispatcher"]

SWEEP_SECONDS = 0.05

_log = logging.getLogger("forestflow.dispatch")


class Dispatcher:
    """All contracts of one router. Lives on one event loop and is not thread-safe."""

    def __init__(self, settings: DispatchSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.version = 0
        self.turnover = 0  # counts contracts that came or went
        self._settings = settings
        self._clock = clock
        self._routes: dict[Contract, ContractRoute] = {}
        self._loop = asyncio.get_running_loop()
        self._version_reached = asyncio.Event()
        self._left: dict[Fqrv, Counts] = {}
        self._active: set[ReleaseLinks] = set()  # those that may have something to expire
        self._sweeper = self._loop.create_task(self._sweep())

    async def meet(self, update: PlanUpdate, seconds: float) -> None:
        """Connect to the replicas that a newer Plan brings to contracts that answer already, for so long at most.

        Applied before, the Plan would have the first requests of a new release wait for its connection.
        """
        waiting: list[ReleaseLinks] = []
        for contract, plan in update.contracts.items():
            route = self._routes.get(contract)
            if route is not None and plan is not None:
                waiting += route.meet(plan, self._settings)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for release in waiting:
                    await release.up.wait()

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
                self.turnover += 1
            for release in route.update(plan, self._settings):
                self._leave(release, route)
        self.version = update.version
        self._version_reached.set()
        self._version_reached = asyncio.Event()

    async def reached(self, version: int) -> None:
        """Wait until this router has that version of the Plan, or a newer one."""
        while self.version < version:
            await self._version_reached.wait()

    @property
    def contracts(self) -> Collection[Contract]:
        """All that the Plan names."""
        return self._routes.keys()

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
        key: str | None = None,
    ) -> Sent | None:
        """Send a request on its way; ``resolve`` is called once, now or later, with a reply or a ForestFlowError.

        ``seconds`` are its time, ``None``: the release's setting. ``key`` is what a sticky contract routes by, where
        it is known without reading the payload. What is returned can be given up; ``None``: it is over.
        """
        chooser = route.chooser
        if chooser is None:
            resolve(NoActiveServables(route.contract))
            return None
        if route.plain:
            release = chooser.next()
        elif not route.by_record:
            release = route.by_key(codec, payload, key)
        else:
            try:
                request = chooser.members[0].codec(codec).decode(payload)
                parts = split(route, request, key)
            except ForestFlowError:
                release = chooser.next()  # its replica finds the same, and has the words for it
            else:
                gathering = Gathering(parts, codec, request_id, resolve, request.context)
                self._send_parts(route, gathering, parts, codec, payload, request_id, seconds)
                return gathering
        now = self._clock()
        deadline = now + (seconds or release.timeout)
        self._active.add(release)
        pending = Pending(resolve, codec, payload, request_id, deadline)
        release.send(pending, now)
        if route.shadows:
            self._shade(route, (release,), codec, payload, request_id, now)
        return pending

    def send_to(
        self,
        fqrv: Fqrv,
        codec: int,
        payload: bytes,
        request_id: bytes,
        seconds: float | None,
        resolve: Callable[[Outcome], None],
    ) -> Sent:
        """Send a request past the policies to one release, which answers whatever its weight. No shadow sees it.

        Raises UnknownContract, UnknownServable; Unavailable where it has no replica yet.
        """
        release = self.route(fqrv.contract).releases.get(fqrv)
        if release is None:
            raise UnknownServable(fqrv)
        if not release.plan.replicas:
            raise Unavailable(f"no replica of {fqrv} is loaded")
        now = self._clock()
        self._active.add(release)
        deadline = now + (seconds or release.timeout)
        pending = Pending(resolve, codec, payload, request_id, deadline, bound=True)
        release.send(pending, now)
        return pending

    def _send_parts(
        self,
        route: ContractRoute,
        gathering: Gathering,
        parts: list[Part],
        codec: int,
        payload: bytes,
        request_id: bytes,
        seconds: float | None,
    ) -> None:
        """Each part to its release; the shadows that answer none of it get the whole."""
        now = self._clock()
        for number, part in enumerate(parts):
            if gathering.over:
                return
            release = part.release
            deadline = now + (seconds or release.timeout)
            self._active.add(release)
            pending = Pending(gathering.resolver(number), COLUMNAR, part.payload, request_id, deadline, bound=True)
            gathering.sent.append(pending)
            release.send(pending, now)
        if route.shadows:
            self._shade(route, [part.release for part in parts], codec, payload, request_id, now)

    def _shade(
        self,
        route: ContractRoute,
        answering: Collection[ReleaseLinks],
        codec: int,
        payload: bytes,
        request_id: bytes,
        now: float,
    ) -> None:
        """Copies to the shadows that do not answer this request. Nothing that goes wrong here is a user's concern."""
        for shadow in route.shadows:
            if shadow in answering:
                continue
            self._active.add(shadow)
            try:
                shadow.shade(codec, payload, request_id, now)
            except Exception:
                _log.exception("a shadow was not sent", extra={"release": str(shadow.fqrv)})

    async def score(
        self,
        route: ContractRoute,
        codec: int,
        payload: bytes,
        request_id: bytes,
        seconds: float | None = None,
        key: str | None = None,
        only: Fqrv | None = None,
    ) -> Reply:
        """``send``, or ``send_to`` that release ``only``, for coroutines: the reply, or raises the ForestFlowError.

        A coroutine that is cancelled gives its request up.
        """
        answered: asyncio.Future[Outcome] = self._loop.create_future()

        def resolve(outcome: Outcome) -> None:
            if not answered.done():  # cancelled: nobody waits any more
                answered.set_result(outcome)

        if only is None:
            sent = self.send(route, codec, payload, request_id, seconds, resolve, key)
        else:
            sent = self.send_to(only, codec, payload, request_id, seconds, resolve)
        try:
            outcome = await answered
        except asyncio.CancelledError:
            if sent is not None:
                sent.cancel()
            raise
        if isinstance(outcome, ForestFlowError):
            raise outcome
        return outcome

    def take_counts(self) -> dict[Fqrv, Counts]:
        """What was counted of each release since the last call."""
        counts, self._left = self._left, {}
        for route in self._routes.values():
            for release in route.releases.values():
                fresh = release.take_counts()
                if fresh:
                    counts[release.fqrv] = counts.get(release.fqrv, Counts()) + fresh
        return counts

    def return_counts(self, counts: Mapping[Fqrv, Counts]) -> None:
        """Take back counts that could not be reported; the next ``take_counts`` gives them again."""
        for fqrv, count in counts.items():
            self._left[fqrv] = self._left.get(fqrv, Counts()) + count

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
            self.turnover += 1
            route.gone = True
            for release in route.releases.values():
                self._leave(release, route)

    def _leave(self, release: ReleaseLinks, route: ContractRoute) -> None:
        self.return_counts({release.fqrv: release.take_counts()})
        release.leave(partial(self._pass_on, route))
        if release.busy:
            self._active.add(release)

    def _pass_on(self, route: ContractRoute, pending: Pending, now: float) -> bool:
        """Give what a release leaves behind to one that answers now; False where there is none."""
        if route.gone or route.chooser is None:
            return False
        release = route.chooser.next()
        self._active.add(release)
        release.send(pending, now)
        return True

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self._clock()
            for release in list(self._active):
                release.expire(now)
                if not release.busy:
                    self._active.discard(release)
