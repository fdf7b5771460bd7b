"""Clients that ping (RFC 9113, 6.7) on connections that are quiet otherwise, as keepalive of gRPC's clients does.

HTTP/2 is spoken by hand here, for gRPC's own clients send no pings as often as they are asked to.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from forestflow.api.grpc.server import serve_grpc
from forestflow.controlplane.control import ControlPlane
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.settings.config import Settings
from forestflow.settings.sections import DispatchSettings, PingSettings, RouterSettings
from tests.serving import free_port

DATA, HEADERS, SETTINGS, PING, GOAWAY = 0, 1, 4, 6, 7
ACK = END_STREAM = 1
END_HEADERS = 4
ENHANCE_YOUR_CALM = 11

QUIET = 0.4  # seconds between pings, for which the time that the server takes only adds up
ALLOWED = 0.2


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header field without indexing, as RFC 7541 has it in 6.2.2."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Connection:
    """A client's connection; ``goaway`` is the error code and debug data of the server's farewell."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.goaway: tuple[int, bytes] | None = None
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))

    async def until(self, kind: int, flags: int = 0) -> bytes:
        """The payload of the next frame of that kind; empty when the server says farewell first."""
        while True:
            head = await self.reader.readexactly(9)
            payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] == GOAWAY:
                self.goaway = int.from_bytes(payload[4:8], "big"), payload[8:]
                return b""
            if head[3] == SETTINGS and not head[4] & ACK:
                self.writer.write(frame(SETTINGS, ACK, 0))
            if head[3] == kind and head[4] & flags == flags:
                return payload

    async def open_quiet_stream(self) -> None:
        """A call whose first answer comes at once, and then nothing for long."""
        headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"localhost")]
        headers += [(b":path", b"/grpc.health.v1.Health/Watch")]
        headers += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
        self.writer.write(frame(HEADERS, END_HEADERS, 1, b"".join(literal(*header) for header in headers)))
        self.writer.write(frame(DATA, END_STREAM, 1, bytes(5)))
        await self.until(DATA)

    async def ping(self, times: int, pause: float) -> int:
        """How many were answered before the server hung up."""
        for number in range(times):
            self.writer.write(frame(PING, 0, 0, number.to_bytes(8, "big")))
            if not await self.until(PING, ACK):
                return number
            await asyncio.sleep(pause)
        return times


@pytest.fixture
async def connect():
    opened: list[Any] = []

    async def connect(pings: PingSettings | None = None) -> Connection:
        async def command(*_: Any) -> bool:
            return True

        given = {} if pings is None else {"grpc_pings": pings}
        settings = RouterSettings("", 0, DispatchSettings("", b""), **given)
        dispatcher, endpoint = Dispatcher(settings.dispatch), ("127.0.0.1", free_port())
        server = await serve_grpc(ControlPlane(command), dispatcher, settings, endpoint)
        connection = Connection(*await asyncio.open_connection(*endpoint))
        opened.append((server, dispatcher, connection))
        return connection

    yield connect
    for server, dispatcher, connection in opened:
        connection.writer.close()
        await server.stop(0)
        dispatcher.close()


@pytest.mark.parametrize("with_call", [True, False])
async def test_pings_at_the_allowed_interval_go_on_for_ever(connect, with_call):
    connection = await connect(PingSettings(ALLOWED))
    if with_call:
        await connection.open_quiet_stream()
    assert await connection.ping(6, QUIET) == 6
    assert connection.goaway is None


async def test_who_pings_without_a_pause_is_hung_up_on(connect):
    connection = await connect()
    await connection.open_quiet_stream()
    assert await connection.ping(100, 0) < 100
    assert connection.goaway == (ENHANCE_YOUR_CALM, b"too_many_pings")


async def test_strikes_can_be_without_limit(connect):
    connection = await connect(PingSettings(max_strikes=0))
    await connection.open_quiet_stream()
    assert await connection.ping(100, 0) == 100


async def test_without_a_call_pings_can_be_strikes(connect):
    connection = await connect(PingSettings(ALLOWED, without_calls=False))
    assert await connection.ping(6, QUIET) < 6
    assert connection.goaway == (ENHANCE_YOUR_CALM, b"too_many_pings")


def test_the_shortest_keepalive_of_grpcs_clients_is_allowed():
    """grpc-java and grpc-go raise what is shorter to 10 s."""
    settings = Settings()
    assert settings.grpc_min_ping_seconds < 10
    assert settings.grpc_ping_without_calls
    assert PingSettings() == PingSettings(
        settings.grpc_min_ping_seconds, settings.grpc_max_ping_strikes, settings.grpc_ping_without_calls
    )
