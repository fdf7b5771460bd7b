"""A router's connection to one replica: connects, proves itself, sends requests, matches replies, reconnects."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from forestflow.dataplane import pulse, wire
from forestflow.dataplane.pulse import Death
from forestflow.domain.errors import Code, ForestFlowError
from forestflow.domain.ids import Fqrv
from forestflow.domain.plan import ReplicaAddress

RECONNECT_FIRST_SECONDS = 0.01
RECONNECT_MAX_SECONDS = 0.25

_log = logging.getLogger("forestflow.link")


@dataclass(slots=True)
class Reply:
    """What a replica answered: a payload in the codec of the request, and what the transport needs to know."""

    code: int
    payload: bytes
    fqrv: Fqrv
    rows: int = 0
    retry_after_seconds: float = 0.0


@dataclass(slots=True)
class ReplyWith(Reply):
    """A reply to a request with fields that the model does not have; it holds their names as a header's value.

    A class of its own, so that nobody looks for them in the answer to a right request.
    """

    unknown_fields: str = ""


Outcome = Reply | ForestFlowError


class Pending:
    """A request on its way. ``resolve`` is called once, with its outcome; it is ``None`` for a shadow.

    ``bound`` says that no other release may answer it, even when its own leaves. ``link`` is where it was sent last,
    under ``number``; ``attempts`` are the replicas that were, or may have been, lost over it.
    """

    __slots__ = (
        "attempts", "bound", "codec", "deadline", "link", "number", "over", "payload", "request_id", "resolve",
    )  # fmt: skip

    def __init__(
        self,
        resolve: Callable[[Outcome], None] | None,
        codec: int,
        payload: bytes,
        request_id: bytes,
        deadline: float,
        *,
        bound: bool = False,
    ) -> None:
        self.resolve = resolve
        self.bound = bound
        self.codec = codec
        self.payload = payload
        self.request_id = request_id
        self.deadline = deadline
        self.attempts = 0
        self.link: Link | None = None
        self.number: int
        self.over = resolve is None

    def finish(self, outcome: Outcome) -> None:
        """Tell who waits, unless it was told already."""
        if not self.over:
            self.over = True
            assert self.resolve is not None
            self.resolve(outcome)

    def cancel(self) -> None:
        """Nobody waits for the outcome any more; the replica drops the request unless it runs already."""
        if not self.over:
            self.over = True
            if self.link is not None:
                self.link.cancel(self)


class Sent(Protocol):
    """A request on its way, as whoever sent it sees it."""

    over: bool

    def cancel(self) -> None:
        """Give it up: ``resolve`` is not called any more."""
        ...


class LinkOwner(Protocol):
    """What a link tells: who is up, what came back, what was lost with a connection."""

    fqrv: Fqrv

    def link_up(self, link: Link) -> None: ...

    def link_down(self, link: Link, lost: list[Pending]) -> None: ...

    def replied(self, pending: Pending, code: int, rows: int) -> None: ...


class Link(asyncio.Protocol):
    """A connection to one replica, for requests of one priority. ``outstanding`` are those not yet answered."""

    def __init__(
        self,
        owner: LinkOwner,
        address: ReplicaAddress,
        *,
        node_id: str,
        secret: bytes,
        max_frame: int,
        wide: bool = False,
    ) -> None:
        """``wide``: the kernel may hold more of what is sent."""
        self.address = address
        self.outstanding: dict[int, Pending] = {}
        self.up = False
        self._owner = owner
        self._local = address.node_id == node_id
        self._secret = secret
        self._max_frame = max_frame
        self._wide = wide
        self._nonce = b""
        self._reader = wire.FrameReader(wire.HANDSHAKE_MAX)
        self._transport: asyncio.Transport | None = None
        self.was_up = False  # on any connection
        self._was_up = False  # on the connection that there is, or was
        self._broke = False  # the protocol, on the connection that there is, or was
        self._closed = asyncio.Event()
        self._lost = asyncio.Event()
        self._write: Callable[[bytes], None]
        self._numbers = secrets.randbits(62)  # so that no other request of this node has the same number
        self._servable = 0
        self._backlog: int | None = None
        self._task = asyncio.get_running_loop().create_task(self._keep_connected())

    def send(self, pending: Pending, priority: int, now: float) -> None:
        """Write the request's frame; its reply resolves ``pending``."""
        self._numbers = number = self._numbers + 1
        self.outstanding[number] = pending
        pending.link = self
        pending.number = number
        timeout_ms = max(1, int((pending.deadline - now) * 1000))
        self._write(
            wire.request(
                priority, pending.codec, self._servable, number, timeout_ms, pending.request_id, pending.payload
            )
        )

    def cancel(self, pending: Pending) -> None:
        """Let the replica drop the request if it has not begun with it; it answers in any case."""
        if self.up and pending.number in self.outstanding:
            self._write(wire.cancel(pending.number))

    def limit_backlog(self, shadows: int) -> None:
        """Let so many shadows wait in the replica, now and on every connection to come."""
        if self._backlog != shadows:
            self._backlog = shadows
            if self.up:
                self._write(wire.backlog(self._servable, shadows))

    def death(self) -> Death | None:
        """What the replica died over; ``None`` where nobody knows: it is on another node, or may not be dead."""
        return pulse.death_of(pulse.pulse_path(self.address.unix_path)) if self._local and not self._ended else None

    @property
    def _ended(self) -> bool:
        return self._closed.is_set() or self._broke

    @property
    def unsent(self) -> int:
        """How many bytes the replica has not yet taken from this router."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Let go of the replica; requests still out fail over or fail."""
        self._closed.set()
        if self._transport is not None:
            self._transport.abort()
        self._task.cancel()

    # --- connection ------------------------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        pause = RECONNECT_FIRST_SECONDS
        while not self._closed.is_set():
            self._lost.clear()
            self._was_up = self._broke = False
            try:
                if self._local:
                    await loop.create_unix_connection(lambda: self, self.address.unix_path)
                else:
                    host, _, port = self.address.tcp.rpartition(":")
                    await loop.create_connection(lambda: self, host, int(port))
                await self._lost.wait()
            except OSError:
                pass  # the replica is not there (yet, or again): the Plan says when to give up
            if self._was_up:
                pause = RECONNECT_FIRST_SECONDS
            else:  # nobody there, or nobody who shakes hands
                await asyncio.sleep(pause)
                pause = min(RECONNECT_MAX_SECONDS, pause * 2)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._wide:
            wire.widen(transport)
        self._write = self._transport.write
        self._reader = wire.FrameReader(wire.HANDSHAKE_MAX)
        self._nonce = secrets.token_bytes(wire.NONCE_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.up = False
        self._lost.set()
        lost = list(self.outstanding.values())
        self.outstanding.clear()
        self._owner.link_down(self, lost)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                if self.up:
                    self._reply(frame)
                else:
                    self._handshake(frame)
        except (wire.FrameError, IndexError, ValueError, KeyError, struct.error) as error:
            _log.warning("replica %s broke the protocol: %s", self.address.replica_id, error)
            self._broke = True
            if self._transport is not None:
                self._transport.abort()

    def _handshake(self, frame: bytes) -> None:
        if frame[0] == wire.HELLO:
            self._write(wire.proof(self._secret, frame[1:], self._nonce))
        elif frame[0] == wire.WELCOME:
            wire.check_mac(self._secret, b"replica", self._nonce, frame[1 : 1 + wire.MAC_BYTES])
            welcome = json.loads(frame[1 + wire.MAC_BYTES :])
            self._servable = int(welcome["servables"][str(self._owner.fqrv)])
            self._reader = wire.FrameReader(self._max_frame)
            if self._backlog is not None:
                self._write(wire.backlog(self._servable, self._backlog))
            self.up = self.was_up = self._was_up = True
            self._owner.link_up(self)
        else:
            raise wire.FrameError("expected a handshake")

    def _reply(self, frame: bytes) -> None:
        code, aside, rows, number, payload = wire.parse_reply(frame)
        pending = self.outstanding.pop(number)
        self._owner.replied(pending, code, rows)
        if not pending.over:
            fqrv = self._owner.fqrv
            pending.finish(self._uncommon(code, payload, rows, aside) if aside else Reply(code, payload, fqrv, rows))

    def _uncommon(self, code: int, payload: bytes, rows: int, aside: int) -> Reply:
        """A reply that says when to come back, or which fields the model does not have."""
        if code == Code.EXHAUSTED:
            return Reply(code, payload, self._owner.fqrv, rows, aside / 1000)
        unknown_fields = payload[:aside].decode("ascii", "replace")
        return ReplyWith(code, payload[aside:], self._owner.fqrv, rows, 0.0, unknown_fields)

    async def wait_closed(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
