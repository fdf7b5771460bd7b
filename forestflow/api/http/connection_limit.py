"""How many HTTP connections a router has at once, on all its ports together, and who goes when there is no room.

A new connection takes the place of the one that has been idle for the longest. Idle are those between two requests,
and those that have not finished the head of one. When all are busy the new one is turned away with 503; whoever is
connected is served.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import termios
import time
from collections.abc import Callable
from typing import Protocol

from forestflow.api.http.errors import HttpRefusal, response
from forestflow.api.http.observing import watch_unread
from forestflow.api.http.score import answer_of
from forestflow.api.observer import Observer, Watch
from forestflow.api.requests import request_id_of
from forestflow.domain.errors import Code

MAX_REFUSED = 64  # connections that are heard out before they are turned away
HEAR_SECONDS = 1.0
_REST = 20  # a look at all connections that found none idle is not repeated for so many times as long as it took


class Member(Protocol):
    """A connection that may have to make room."""

    transport: asyncio.Transport

    @property
    def idle_since(self) -> float | None:
        """Since when it has waited for a request, on the loop's clock; ``None`` while it is busy."""
        ...


class ConnectionLimit:
    """The open connections, ``limit`` of them at most."""

    def __init__(
        self, limit: int, clock: Callable[[], float] = time.monotonic, observer: Observer | None = None
    ) -> None:
        self.observer = observer
        self._most = limit
        self._clock = clock
        self._members: set[Member] = set()
        self._idle: list[tuple[float, Member]] = []  # as the last look found them, the longest idle last
        self._rest_until = 0.0
        self.refused: set[RefusedConnection] = set()

    def __len__(self) -> int:
        return len(self._members)

    def enter(self, connection: Member) -> bool:
        """Take a new connection in; False if all others are busy."""
        if len(self._members) >= self._most and not self._make_room():
            return False
        self._members.add(connection)
        return True

    def leave(self, connection: Member) -> None:
        """Forget a connection, wherever it is."""
        self._members.discard(connection)

    def _make_room(self) -> bool:
        if self._close_one():
            return True
        now = self._clock()
        if now < self._rest_until:
            return False
        found = [(since, member) for member in self._members if (since := member.idle_since) is not None]
        self._idle = sorted(found, key=lambda entry: -entry[0])
        if self._close_one():
            return True
        done = self._clock()
        self._rest_until = done + _REST * (done - now)
        return False

    def _close_one(self) -> bool:
        while self._idle:
            since, member = self._idle.pop()
            if member in self._members and member.idle_since == since and not _has_unread(member.transport):
                self.leave(member)
                member.transport.close()
                return True
        return False


def refuse(transport: asyncio.Transport, connections: ConnectionLimit) -> None:
    """Answer a new connection's first request with 503; hang up at once if many are being answered so."""
    if len(connections.refused) >= MAX_REFUSED:
        transport.abort()
        return
    transport.set_protocol(RefusedConnection(transport, connections))


class RefusedConnection(asyncio.Protocol):
    """A connection that found no room: it is answered when it asks, for an answer before might be lost."""

    def __init__(self, transport: asyncio.Transport, connections: ConnectionLimit) -> None:
        self._transport = transport
        self._connections = connections
        self._timer = asyncio.get_running_loop().call_later(HEAR_SECONDS, self._answer)
        connections.refused.add(self)

    def data_received(self, data: bytes) -> None:
        self._answer(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._connections.refused.discard(self)

    def _answer(self, data: bytes = b"") -> None:
        if self._transport.is_closing():
            return
        refusal = HttpRefusal(
            503, Code.UNAVAILABLE, ((b"connection", b"close"),), "the server has no room for another connection"
        )
        observer = self._connections.observer
        refuse_watched(
            self._transport, refusal, watch_unread(observer, data) if observer is not None and data else None
        )


def refuse_watched(transport: asyncio.Transport, refusal: HttpRefusal, watch: Watch | None) -> None:
    """Answer a refusal and hang up; report it to ``watch``, if anybody observes."""
    request_id = request_id_of(None)
    status, headers, body = answer_of(refusal, request_id)
    transport.write(response(status, headers, body))
    transport.close()
    if watch is not None:
        watch.came_of_it(refusal)
        watch.request_id = request_id.decode()
        watch.answer_bytes = len(body)
        watch.finish(status)


def _has_unread(transport: asyncio.Transport) -> bool:
    """Whether a request is there already that the loop has not come to yet."""
    unread = array.array("i", [0])
    fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, unread)
    return unread[0] > 0
