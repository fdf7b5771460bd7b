"""A router process: owns the public ports of its node and follows the Plan. Knows nothing of Ray.

The HTTP and gRPC applications are given by import string, so that this layer does not know the transports above it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

import uvicorn

from forestflow.controlplane.control import Channel, ControlPlane
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.domain.commands import Command, ListMetrics
from forestflow.domain.errors import ForestFlowError, Unavailable
from forestflow.domain.ids import Fqrv
from forestflow.domain.plan import PlanUpdate
from forestflow.domain.reports import Counts
from forestflow.settings.sections import IDLE_SECONDS, RouterSettings

HTTP_APPLICATION = "forestflow.api.http.app:create_app"
GRPC_APPLICATION = "forestflow.api.grpc.server:serve_grpc"
OBSERVER = "forestflow.api.observer:installed"
PLAN_WAIT_SECONDS = 10.0
RETRY_SECONDS = 0.2
MEET_SECONDS = 0.15  # for connections to new replicas, before requests go there
REPORT_SECONDS = 0.5
SWEEP_SECONDS = 5.0
BACKLOG = 2048  # connections that the kernel holds until they are accepted

_log = logging.getLogger("forestflow.router")


@dataclass(frozen=True, slots=True)
class RegistryClient:
    """How a router reaches the registry. Each call raises Unavailable when the registry is down."""

    command: Callable[[Command[Any]], Awaitable[tuple[Any, int]]]  # -> (value, Plan version)
    plan: Callable[[int, float], Awaitable[PlanUpdate]]
    report: Callable[[str, int, Mapping[Fqrv, Counts]], Awaitable[None]]  # (reporter, number, counts)


class HttpConnection(Protocol):
    """What a router asks of an open connection."""

    def close_if_idle(self, before: float) -> None:
        """Close it if it has waited for its client since before that time of the loop's clock."""
        ...


class HttpApplication(Protocol):
    """What serves HTTP: an ASGI application, and the uvicorn protocol class feeding it. ``tf_infer`` has its port."""

    @property
    def asgi(self) -> Callable[..., Awaitable[None]]: ...

    @property
    def protocol(self) -> Callable[..., asyncio.Protocol]: ...

    @property
    def tf_infer(self) -> HttpApplication | None: ...


class RunningGrpc(Protocol):
    """What a router asks of its gRPC server."""

    async def stop(self, drain_seconds: float) -> None:
        """Take no new calls; end when those under way have, or after that time."""
        ...


class Router:
    """Runs the HTTP and gRPC servers and the plan follower on one event loop of its own thread."""

    def __init__(self, settings: RouterSettings, registry: RegistryClient) -> None:
        self._settings = settings
        self._registry = registry
        self._thread = threading.Thread(target=self._main, name="router", daemon=True)
        self._up = threading.Event()
        self._stopping: asyncio.Event
        self._reporting: asyncio.Lock
        self._loop: asyncio.AbstractEventLoop
        self._failure: BaseException | None = None
        self._reporter = uuid.uuid4().hex  # reports are numbered, so that none is counted twice
        self._reports = 0
        self._unsent: Mapping[Fqrv, Counts] | None = None
        self.endpoint = ("", 0)

    def start(self) -> tuple[str, int]:
        """Bind, serve, and return where; raises OSError when the port is taken."""
        self._thread.start()
        self._up.wait()
        if self._failure is not None:
            raise self._failure
        return self.endpoint

    def stop(self) -> None:
        """Stop accepting, answer what is under way for at most ``drain_seconds``, report counts, end the thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._failure = error
            _log.error("the router ended", exc_info=error)
        finally:
            self._up.set()

    async def _serve(self) -> None:
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._reporting = asyncio.Lock()
        listener = _listen(settings.host, settings.port)
        self.endpoint = listener.getsockname()[:2]
        dispatcher = Dispatcher(settings.dispatch)
        control = ControlPlane(self._channel(dispatcher))
        observer = _load(OBSERVER)(settings.observers) if settings.observers else None
        application: HttpApplication = _load(HTTP_APPLICATION)(control, dispatcher, settings, self.endpoint, observer)
        servers = [(self._server(application), listener)]
        if settings.tf_infer.endpoint is not None and application.tf_infer is not None:
            root = _listen(*settings.tf_infer.endpoint)
            servers.append((self._server(application.tf_infer), root))
        follower = self._loop.create_task(self._follow(dispatcher))
        reporter = self._loop.create_task(self._report_regularly(dispatcher))
        serve_grpc = self._loop.run_in_executor(None, _load, GRPC_APPLICATION) if settings.grpc else None
        await self._first_plan(dispatcher)
        grpc: RunningGrpc | None = None
        if serve_grpc is not None:  # its modules were loaded while the Plan was on its way
            grpc = await (await serve_grpc)(control, dispatcher, settings, settings.grpc, observer)
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        for _, bound in servers:
            bound.listen(BACKLOG)  # now, and not when uvicorn comes to it: whoever started us may connect
        serving = [self._loop.create_task(server.serve(sockets=[bound])) for server, bound in servers]
        self._up.set()
        sweeper = self._loop.create_task(self._close_idle([server for server, _ in servers]))
        stopping = self._loop.create_task(self._stopping.wait())
        await asyncio.wait([*serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        control.stopping = True
        for server, _ in servers:
            server.should_exit = True
        await asyncio.gather(*serving, *([grpc.stop(settings.drain_seconds)] if grpc else []))
        stopping.cancel()
        sweeper.cancel()
        follower.cancel()
        reporter.cancel()
        await self._report(dispatcher)
        dispatcher.close()
        if observer is not None:
            observer.close()

    def _server(self, application: HttpApplication) -> uvicorn.Server:
        return uvicorn.Server(
            uvicorn.Config(
                application.asgi,
                loop="none",
                http=cast(Any, application.protocol),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=max(1, int(self._settings.drain_seconds)),
            )
        )

    def _channel(self, dispatcher: Dispatcher) -> Channel:
        async def call(command: Command[Any]) -> Any:
            if isinstance(command, ListMetrics):  # users see their own requests counted
                await self._report(dispatcher)
            value, version = await self._registry.command(command)
            await dispatcher.reached(version)
            return value

        return call

    async def _first_plan(self, dispatcher: Dispatcher) -> None:
        """A router without a Plan would refuse everything: wait for the first one."""
        await dispatcher.reached(1)

    async def _follow(self, dispatcher: Dispatcher) -> None:
        logged = ""
        while True:
            try:
                update = await self._registry.plan(dispatcher.version, PLAN_WAIT_SECONDS)
            except Exception as error:  # whatever it is, scoring goes on with the last Plan
                if not isinstance(error, Unavailable) and str(error) != logged:
                    logged = str(error)  # once, however often it is asked
                    _log.error("the registry gave no Plan", exc_info=error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            logged = ""
            if update.version != dispatcher.version:
                await dispatcher.meet(update, MEET_SECONDS)
                dispatcher.apply(update)

    async def _close_idle(self, servers: list[uvicorn.Server]) -> None:
        """Close connections that wait, dawdle over the head of a request, or do not read their answers."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            before = self._loop.time() - IDLE_SECONDS
            for connection in [one for server in servers for one in server.server_state.connections]:
                cast(HttpConnection, connection).close_if_idle(before)

    async def _report_regularly(self, dispatcher: Dispatcher) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            await self._report(dispatcher)

    async def _report(self, dispatcher: Dispatcher) -> None:
        """Send what was counted; a report that was not acknowledged is sent again, the same, before the next."""
        async with self._reporting:
            if self._unsent is not None and not await self._send_report(self._unsent):
                return
            counts = dispatcher.take_counts()
            if counts:
                self._reports += 1
                self._unsent = counts
                await self._send_report(counts)

    async def _send_report(self, counts: Mapping[Fqrv, Counts]) -> bool:
        """Whether the registry took it; if not, it stays unsent."""
        try:
            await self._registry.report(self._reporter, self._reports, counts)
        except Exception as error:  # the registry is down, or cannot write: again at the next turn
            if not isinstance(error, ForestFlowError):
                _log.error("the registry took no counts", exc_info=error)
            return False
        self._unsent = None
        return True


def _load(application: str) -> Callable[..., Any]:
    module, _, name = application.partition(":")
    return cast(Callable[..., Any], getattr(import_module(module), name))


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # more routers of this node share the port
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on Windows
        return None
    return cast(Callable[[], asyncio.AbstractEventLoop], uvloop.new_event_loop)
