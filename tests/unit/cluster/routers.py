"""A real Router on a free port, a registry that the test plays, and clients that write what they like to its socket."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass

from forestflow.cluster.router import RegistryClient, Router
from forestflow.domain.commands import IsReady
from forestflow.domain.plan import PlanUpdate
from forestflow.domain.reports import Counts
from forestflow.settings.sections import DispatchSettings, RouterSettings
from tests.unit.dataplane.test_dispatch import SECRET, A, Node, plan, release


class PlayedRegistry:
    """Answers a router from another thread. ``down``: what every call raises."""

    def __init__(self) -> None:
        self.update = plan(version=1)
        self.down: Exception | None = None
        self.answers: dict[type, object] = {IsReady: True}
        self.reports: list[tuple[str, int, dict[object, Counts]]] = []

    def client(self) -> RegistryClient:
        return RegistryClient(self.command, self.plan, self.report)

    async def command(self, command):
        self._check()
        answer = self.answers[type(command)]
        return (answer(command) if callable(answer) else answer), self.update.version

    async def plan(self, since, wait_seconds):
        while since == self.update.version:
            self._check()
            await asyncio.sleep(0.005)
        self._check()
        return self.update

    async def report(self, reporter, number, counts):
        self.reports.append((reporter, number, dict(counts)))
        self._check()

    def _check(self) -> None:
        if self.down is not None:
            raise self.down


@dataclass
class Answer:
    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            _, status, reason = lines[0].split(" ", 2)
            headers = {}
            for line in filter(None, lines[1:]):
                name, _, value = line.partition(": ")
                assert name not in headers, f"{name} twice"
                headers[name.lower()] = value
            if headers.get("transfer-encoding") == "chunked":
                body = b""
                while size := int(await self.reader.readline(), 16):
                    body += await self.reader.readexactly(size)
                    await self.reader.readline()
                await self.reader.readline()
            else:
                body = await self.reader.readexactly(int(headers.get("content-length", 0)))
            return Answer(int(status), reason, headers, body)

    async def ask(self, data: bytes) -> Answer:
        self.write(data)
        return await self.answer()

    async def closed(self, seconds: float = 5) -> bool:
        """Whether the server closes the connection without another byte."""
        try:
            async with asyncio.timeout(seconds):
                return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


class Site:
    """A router with one replica behind it, on this loop; the router runs on its own thread."""

    def __init__(self, router: Router, registry: PlayedRegistry, node: Node) -> None:
        self.router, self.registry, self.node = router, registry, node
        self.host, self.port = router.endpoint
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        self._writers.append(writer)
        return Client(reader, writer)

    async def ask(self, data: bytes) -> Answer:
        return await (await self.connect()).ask(data)

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        if self.router._thread.is_alive():
            await asyncio.to_thread(self.router.stop)
        await self.node.die()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@asynccontextmanager
async def site(directory, *, registry=None, swallow=False, dispatch=None, **settings):
    registry = registry or PlayedRegistry()
    node = Node(directory, A, "1")
    node.swallow = swallow
    await node.start()
    registry.update = PlanUpdate(1, plan(release(A, node)).contracts, full=True)
    options = RouterSettings("127.0.0.1", 0, DispatchSettings("here", SECRET, **(dispatch or {})), **settings)
    router = Router(options, registry.client())
    await asyncio.to_thread(router.start)
    running = Site(router, registry, node)
    try:
        yield running
    finally:
        await running.close()
