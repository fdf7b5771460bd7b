"""grpc.health.v1.Health: Check and Watch, answering what GET /ready answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc.aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from forestflow.controlplane.control import ControlPlane
from forestflow.domain.commands import IsReady
from forestflow.domain.errors import ForestFlowError

SERVICE = "grpc.health.v1.Health"
POLL_SECONDS = 1.0

_Status = HealthCheckResponse.ServingStatus


class Health:
    """``services`` are those whose health it tells, beside that of the server as a whole (the empty name).

    Once ``stopping``, nothing serves; watchers are told, and their calls end.
    """

    def __init__(self, control: ControlPlane, services: tuple[str, ...], stopping: asyncio.Event) -> None:
        self._control = control
        self._known = frozenset({"", *services})
        self._stopping = stopping

    def handler(self) -> grpc.GenericRpcHandler:
        read, write = HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, read, write),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, read, write),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _check(self, request: HealthCheckRequest, context: grpc.aio.ServicerContext) -> HealthCheckResponse:
        if request.service not in self._known:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {request.service[:100]}")
        return HealthCheckResponse(status=await self._status())

    async def _watch(
        self, request: HealthCheckRequest, _context: grpc.aio.ServicerContext
    ) -> AsyncIterator[HealthCheckResponse]:
        told: HealthCheckResponse.ServingStatus | None = None
        while True:
            stopping = self._stopping.is_set()
            status = await self._status() if request.service in self._known else _Status.SERVICE_UNKNOWN
            if status != told:
                told = status
                yield HealthCheckResponse(status=status)
            if stopping:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), POLL_SECONDS)

    async def _status(self) -> HealthCheckResponse.ServingStatus:
        try:
            ready = not self._stopping.is_set() and await self._control.run(IsReady())
        except ForestFlowError:  # nobody to ask is not ready either
            ready = False
        return _Status.SERVING if ready else _Status.NOT_SERVING
