"""The gRPC server in this process over a registry of dicts, and a dispatcher whose answers a test gives by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc.aio

from forestflow.api.grpc.server import GrpcServer, serve_grpc
from forestflow.api.observer import Observer
from forestflow.controlplane.control import ControlPlane
from forestflow.dataplane.link import Outcome
from forestflow.domain.ids import Contract
from forestflow.domain.refusals import UnknownContract
from forestflow.settings.sections import DispatchSettings, RouterSettings
from tests.serving import free_port


@dataclass
class Sent:
    """A request that the dispatcher was given."""

    codec: int
    payload: bytes
    request_id: bytes
    seconds: float | None
    resolve: Callable[[Outcome], None]
    key: str | None


class Dispatcher:
    """Knows ``contracts`` and keeps what it is given; ``moved`` is a new version of the Plan."""

    def __init__(self, *contracts: Contract) -> None:
        self.contracts = set(contracts)
        self.sent: list[Sent] = []
        self.version = 1
        self._reached = asyncio.Event()

    def route(self, contract: Contract) -> Contract:
        if contract not in self.contracts:
            raise UnknownContract(contract)
        return contract

    def send(self, route, codec, payload, request_id, seconds, resolve, key=None) -> None:
        self.sent.append(Sent(codec, payload, request_id, seconds, resolve, key))

    def moved(self) -> None:
        self.version += 1
        self._reached.set()
        self._reached = asyncio.Event()

    async def reached(self, version: int) -> None:
        while self.version < version:
            await self._reached.wait()


@dataclass
class World:
    server: GrpcServer
    channel: grpc.aio.Channel
    dispatcher: Dispatcher


@asynccontextmanager
async def world(
    registry: Any, *contracts: Contract, observer: Observer | None = None, **settings: Any
) -> AsyncIterator[World]:
    """A server that answers, until the end of the block."""
    dispatcher = Dispatcher(*contracts)
    router = RouterSettings("", 0, DispatchSettings("", b""), **settings)
    endpoint = ("127.0.0.1", free_port())
    server = await serve_grpc(ControlPlane(registry), dispatcher, router, endpoint, observer)
    try:
        async with grpc.aio.insecure_channel("{}:{}".format(*endpoint)) as channel:
            yield World(server, channel, dispatcher)
    finally:
        await server.stop(0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other tasks bring about."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
