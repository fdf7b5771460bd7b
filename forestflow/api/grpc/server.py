"""The gRPC server of a router: ForestFlow's own services, health and reflection, on the router's event loop.

Methods take and give bytes, by generic handlers: what a score carries is for the replica to read. Reflection
describes ForestFlow's services from the generated descriptors all the same.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import grpc.aio
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped, unused-ignore]

from forestflow._gen import control_pb2, service_pb2
from forestflow.api.grpc import control as control_methods
from forestflow.api.grpc import graphpipe, health, openinference, tfserving
from forestflow.api.grpc.methods import stream, unary
from forestflow.api.grpc.observing import ObservedCalls
from forestflow.api.grpc.score import queries, score
from forestflow.api.grpc.stream import score_stream
from forestflow.api.models import Models
from forestflow.api.observer import Observer
from forestflow.api.openinference import OpenInference
from forestflow.api.tfserving import TfServing
from forestflow.controlplane.control import ControlPlane
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.settings.config import Endpoint
from forestflow.settings.sections import IDLE_SECONDS, RouterSettings

SERVICE: str = service_pb2.DESCRIPTOR.services_by_name["ForestFlow"].full_name
CONTROL: str = control_pb2.DESCRIPTOR.services_by_name["Control"].full_name
MAX_MESSAGE_BYTES = 2**31 - 1  # an int of gRPC's
HANDSHAKE_SECONDS = 20.0  # for a connection to show that it speaks HTTP/2


class GrpcServer:
    """A server that answers (:class:`forestflow.cluster.router.RunningGrpc`)."""

    def __init__(self, server: grpc.aio.Server, stopping: asyncio.Event) -> None:
        self._server = server
        self._stopping = stopping

    async def stop(self, drain_seconds: float) -> None:
        """Take no new calls, and end when those under way have, or after ``drain_seconds``."""
        self._stopping.set()  # calls without an end of their own come to it
        await self._server.stop(drain_seconds)


async def serve_grpc(
    control: ControlPlane,
    dispatcher: Dispatcher,
    settings: RouterSettings,
    endpoint: tuple[str, int],
    observer: Observer | None = None,
) -> GrpcServer:
    """Bind and serve; ``observer`` is told of each call. Raises OSError when the port is taken."""
    with unhurried_threads():
        return await _serve(control, dispatcher, settings, endpoint, observer)


@contextmanager
def unhurried_threads() -> Iterator[None]:
    """Threads started meanwhile do not interrupt those that run when they are woken (SCHED_BATCH, on Linux).

    gRPC wakes a thread of its own for each of the four or five events of a call, only to say so to the event loop,
    which it interrupts for that where no other core is free. Measured on two cores, an echo by ``grpc.aio``: 177 µs of
    the processor a call, 117 with this.
    """
    if not hasattr(os, "SCHED_BATCH"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(OSError):  # not allowed here: then they do interrupt
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, policy, parameters)


async def _serve(
    control: ControlPlane,
    dispatcher: Dispatcher,
    settings: RouterSettings,
    endpoint: tuple[str, int],
    observer: Observer | None,
) -> GrpcServer:
    stopping = asyncio.Event()
    max_bytes = settings.max_body_bytes
    server = grpc.aio.server(
        interceptors=() if observer is None else (ObservedCalls(observer),),
        maximum_concurrent_rpcs=settings.max_connections,
        options=[
            ("grpc.so_reuseport", 1),  # more routers of this node share the port
            ("grpc.max_receive_message_length", min(max_bytes, MAX_MESSAGE_BYTES)),
            ("grpc.max_send_message_length", -1),
            # Over the cap gRPC closes the new connection, busy or not; idle ones it closes by time alone.
            ("grpc.max_allowed_incoming_connections", settings.max_connections),
            ("grpc.max_connection_idle_ms", int(IDLE_SECONDS * 1000)),
            ("grpc.server_handshake_timeout_ms", int(HANDSHAKE_SECONDS * 1000)),
            # By default gRPC takes a ping in five minutes, and hangs up on quiet streams of clients that ping oftener.
            ("grpc.http2.min_ping_interval_without_data_ms", round(settings.grpc_pings.min_seconds * 1000)),
            ("grpc.http2.max_ping_strikes", settings.grpc_pings.max_strikes),
            ("grpc.keepalive_permit_without_calls", int(settings.grpc_pings.without_calls)),
        ],
    )
    models = Models(control, dispatcher, settings.model_aliases)
    gp = graphpipe.GraphPipeMethods(models)
    services = {
        SERVICE: {
            "Score": unary(score, dispatcher),
            "ScoreStream": stream(score_stream(stopping, max_bytes), dispatcher),
            **{name: unary(handler, dispatcher) for name, handler in queries(control).items()},
        },
        CONTROL: control_methods.methods(control, dispatcher, stopping, settings.control_max_body_bytes),
        graphpipe.SERVICE: {"Infer": unary(gp.infer, dispatcher), "Metadata": unary(gp.metadata, dispatcher)},
        openinference.SERVICE: openinference.methods(OpenInference(models), dispatcher),
        **tfserving.services(TfServing(models), dispatcher),
    }
    watched = health.Health(control, tuple(services), stopping)
    handlers = [grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items()]
    server.add_generic_rpc_handlers((*handlers, watched.handler()))
    reflection.enable_server_reflection((SERVICE, CONTROL, health.SERVICE, reflection.SERVICE_NAME), server)
    address = str(Endpoint(*endpoint))
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: {error}") from error
    if not bound:
        raise OSError(f"cannot listen on {address}")
    await server.start()
    return GrpcServer(server, stopping)
