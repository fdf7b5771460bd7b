"""One HTTP/1.1 connection, a request at a time: heads by ``framing``, bodies by their length or ``chunked``.

uvicorn runs the ASGI application (``RequestResponseCycle``) and the server; its own reading of the connection is not
used, for it feeds all that comes to one parser, which takes an offered upgrade for the end of HTTP, knows no limit of
what is not a body, and has every pipelined request wait in memory. Here nothing is read of the next request before the
answer of this one is written; what is there already is held, and the socket is not read past ``MAX_HELD``.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from forestflow.api.http.chunked import ChunkedBody
from forestflow.api.http.connection_limit import ConnectionLimit, refuse, refuse_watched
from forestflow.api.http.errors import HttpRefusal
from forestflow.api.http.framing import Head, blank_lines, check_unfinished, read_head
from forestflow.api.http.observing import watch_of, watch_unread, watched
from forestflow.api.observer import Watch

MAX_HELD = 1 << 16  # bytes of pipelined requests read ahead


class SizedBody:
    """A body of known length. ``whole`` once it has ended; ``further`` is what came behind it."""

    def __init__(self, length: int) -> None:
        self.whole = False
        self.further = b""
        self._left = length

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body in what came."""
        if len(data) > self._left:
            data, self.further = data[: self._left], data[self._left :]
        self._left -= len(data)
        self.whole = not self._left
        return data


class _Flow(FlowControl):
    """Does not resume reading while ``full``, whoever asks for it."""

    full = False

    def resume_reading(self) -> None:
        if not self.full:
            super().resume_reading()


class Http1Connection(HttpToolsProtocol):
    """The general way. ``_between``: nothing is read of a request, and none is being answered."""

    def __init__(self, limit: ConnectionLimit, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._limit = limit
        self._observer = limit.observer
        self._between = True
        self._unfinished = bytearray()  # a head that has not ended
        self._body: SizedBody | ChunkedBody | None = None  # has not ended
        self._held = b""  # what follows the request that is being answered
        self._idle_since = self.loop.time()
        self._unsent = (0, self._idle_since)  # bytes that the client did not take, and since when

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)
        if not self._limit.enter(self):
            self.connections.discard(self)
            refuse(transport, self._limit)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limit.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._held:  # what is held comes first
            self._hold(data)
        elif self._between:
            self._next(data)
        else:
            self._go_on_with(data)

    def _next(self, data: bytes) -> None:
        """Read the next request, of which ``data`` is the begin."""
        data = data[blank_lines(data) :]
        end = data.find(b"\r\n\r\n") + 4
        if end > 3:
            self._start(data[:end], data[end:])
        elif data:
            self._between = False
            self._add_to_head(data)

    def _add_to_head(self, data: bytes) -> None:
        head = self._unfinished
        seen = len(head)
        head += data
        if head[0] == 0x0D:
            blank = blank_lines(head)
            del head[:blank]
            seen = max(seen - blank, 0)
        if not head or head.find(b"\r\n\r\n", max(seen - 3, 0)) >= 0:
            self._unfinished = bytearray()
            self._between = True
            self.data_received(bytes(head))
            return
        try:
            check_unfinished(head, seen)
        except HttpRefusal as refusal:
            self._refuse(refusal, self._unread(head))

    def _start(self, head_bytes: bytes, further: bytes) -> None:
        try:
            head = read_head(head_bytes)
        except HttpRefusal as refusal:
            self._refuse(refusal, self._unread(head_bytes))
            return
        self._between = False
        self.cycle = cycle = self._cycle(head)
        if head.length is None:
            self._body = ChunkedBody()
        elif head.length:
            self._body = SizedBody(head.length)
        else:
            cycle.more_body = False
            cycle.message_event.set()
        app = self.app
        if self._observer is not None:
            watch = Watch(self._observer, head.method, self.scope["raw_path"].decode("latin-1"))
            app = watched(app, watch, cycle)
        self._start_asgi_task(cycle, app)
        if further:
            self._go_on_with(further)

    def _cycle(self, head: Head) -> RequestResponseCycle:
        raw_path, _, query = head.url.partition(b"#")[0].partition(b"?")
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": head.version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": head.method,
            "root_path": self.root_path,
            "path": self.root_path + unquote(raw_path.decode("ascii")),
            "raw_path": self.root_path.encode() + raw_path,
            "query_string": query,
            "headers": head.headers,
            "state": self.app_state.copy(),
        }
        return RequestResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=head.awaits_continue,
            keep_alive=head.keep_alive,
            on_response=self.on_response_complete,
        )

    def _go_on_with(self, data: bytes) -> None:
        """What came after the begin of a request: of its head, of its body, or of what follows."""
        if self._unfinished:
            self._add_to_head(data)
            return
        if self._body is not None:
            further = self._read_body(self._body, data)
            if further is None:
                return
            data = further
        if self.cycle.response_complete:
            self._between = True
            if data:
                self.data_received(data)
        elif data:
            self._hold(data)

    def _read_body(self, body: SizedBody | ChunkedBody, data: bytes) -> bytes | None:
        """Give the application more of the body; what came behind it once it is whole, ``None`` until then."""
        cycle = self.cycle
        try:
            piece = body.feed(data)
        except HttpRefusal as refusal:
            self._body = None
            if cycle.response_started:
                self.transport.close()  # the client has its answer, or a part of it
            else:
                cycle.disconnected = True  # the application has nothing to say any more
                self._refuse(refusal, watch_of(cycle.scope))
            cycle.message_event.set()
            return None
        if not cycle.response_complete:
            cycle.body += piece
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
        if body.whole:
            self._body = None
            cycle.more_body = False
        cycle.message_event.set()
        return body.further if body.whole else None

    def on_response_complete(self) -> None:
        """Called by uvicorn when the application has answered."""
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._body is None:
            self._between = True
            if self._held and not self.flow.write_paused:
                self.loop.call_soon(self._go_on)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._held:
            self.loop.call_soon(self._go_on)

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > MAX_HELD:
            self._flow.full = True
            self._flow.pause_reading()

    def _go_on(self) -> None:
        """Come to what is held, unless a request is under way again."""
        if self._held and self._between and not self.transport.is_closing():
            data, self._held = self._held, b""
            self._flow.full = False
            self._flow.resume_reading()
            self.data_received(data)

    def _refuse(self, refusal: HttpRefusal, watch: Watch | None) -> None:
        """Answer what cannot be read as a request, and hang up: nobody knows where the next one would begin."""
        refuse_watched(self.transport, refusal, watch)

    def _unread(self, head: bytes | bytearray) -> Watch | None:
        return None if self._observer is None else watch_unread(self._observer, head)

    @property
    def idle_since(self) -> float | None:
        """Since when it has waited for the whole head of a request, on the loop's clock; ``None`` while it is busy."""
        busy = self.cycle is not None and not self.cycle.response_complete
        return None if busy or self._held or self.transport.get_write_buffer_size() else self._idle_since

    def close_if_idle(self, before: float) -> None:
        """Close it if it has waited for a request, or for its client to read an answer, since ``before``."""
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent[0]:
            self._unsent = (unsent, self.loop.time())
        elif unsent and self._unsent[1] < before:
            self.transport.abort()  # closing would wait for the client
        idle_since = self.idle_since
        if idle_since is not None and idle_since < before:
            self.transport.close()
