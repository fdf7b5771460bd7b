"""An open-loop load: requests leave on schedule, whatever the answers do, and their latency counts from the schedule.

A closed loop (wrk) sends less when the server stalls and so hides the stall; this one does not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop


@dataclass(slots=True)
class Latencies:
    """Seconds from schedule to answer, by the release that answered; and what was not a 200."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failures: list[bytes] = field(default_factory=list)

    def all(self) -> list[float]:
        return [value for values in self.seconds.values() for value in values]

    def quantile(self, q: float, release: str | None = None) -> float:
        values = sorted(self.all() if release is None else self.seconds.get(release, []))
        return values[min(len(values) - 1, int(q * len(values)))]


class _Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request out."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    @property
    def closed(self) -> bool:
        return self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        marker = self._buffer.lower().find(b"content-length:", 0, head)
        length = int(self._buffer[marker + 15 : self._buffer.find(b"\r", marker)])
        if len(self._buffer) >= head + 4 + length:
            answer, self._buffer = self._buffer, b""
            self._answer.set_result(answer)

    async def post(self, request: bytes) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


def run(
    url: str,
    body: bytes,
    *,
    per_second: float,
    seconds: float,
    connections: int = 64,
    key: str | None = None,
    over: Callable[[], bool] = lambda: False,
    answered: Callable[[str], None] = lambda release: None,
) -> Latencies:
    """Offer ``per_second`` requests for ``seconds``, or until it is ``over``, each with that ``key``; answers are BASIC
    predictions. ``answered`` is told of each release when it first answers.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(url, body, per_second, seconds, connections, key, over, answered))


async def _run(
    url: str,
    body: bytes,
    per_second: float,
    seconds: float,
    connections: int,
    key: str | None,
    over: Callable[[], bool],
    answered: Callable[[str], None],
) -> Latencies:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    if key is not None:
        head += f"X-ForestFlow-Key: {key}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    loop = asyncio.get_running_loop()
    free: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()
    for _ in range(connections):
        _, connection = await loop.create_connection(_Connection, parts.hostname, parts.port)
        free.put_nowait(connection)
    found = Latencies()

    async def one(due: float) -> None:
        connection = await free.get()
        if connection.closed:  # by the server, which does not keep idle ones for ever
            _, connection = await loop.create_connection(_Connection, parts.hostname, parts.port)
        answer = await connection.post(request)
        took = time.perf_counter() - due
        free.put_nowait(connection)
        if answer.startswith(b"HTTP/1.1 200"):
            start = answer.find(b'"releaseVersion":"') + 18
            release = answer[start : answer.find(b'"', start)].decode()
            if release not in found.seconds:
                found.seconds[release] = []
                answered(release)
            found.seconds[release].append(took)
        else:
            found.failures.append(answer[:200])

    began = time.perf_counter()
    async with asyncio.TaskGroup() as out:  # keeps no ended ones: to collect 100,000 would stall this loop for 0.2 s
        for number in range(int(per_second * seconds)):
            if over():
                break
            due = began + number / per_second
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            out.create_task(one(due))
    return found
