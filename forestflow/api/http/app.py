"""The HTTP application of a router: scoring, by whichever protocol, as plain ASGI; the control API behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from starlette.types import Receive, Scope, Send

from forestflow.api.http.admission import Admission, Judge
from forestflow.api.http.connection import Http1Connection
from forestflow.api.http.connection_limit import ConnectionLimit
from forestflow.api.http.control import create_control_app
from forestflow.api.http.exchange import HttpProtocol, ProtocolRoute
from forestflow.api.http.gate import Gate, is_score_path
from forestflow.api.http.graphpipe import GraphPipeHttp
from forestflow.api.http.hopsworks import HopsworksHttp
from forestflow.api.http.hosts import HostGuard
from forestflow.api.http.openinference import OpenInferenceHttp
from forestflow.api.http.score import ScoreRoute
from forestflow.api.http.shortcut import Shortcut, ShortcutProtocol
from forestflow.api.http.tfinfer import TfInferHttp, mounted
from forestflow.api.http.tfserving import TfServingHttp
from forestflow.api.models import Models
from forestflow.api.observer import Observer
from forestflow.api.openinference import OpenInference
from forestflow.api.tfserving import TfServing
from forestflow.controlplane.control import ControlPlane
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.settings.config import Endpoint
from forestflow.settings.sections import RouterSettings


@dataclass(frozen=True, slots=True)
class HttpSite:
    """What serves HTTP: an ASGI application, and the uvicorn protocol class feeding it. ``tf_infer`` has its port."""

    asgi: Callable[..., Awaitable[None]]
    protocol: Callable[..., asyncio.Protocol]
    tf_infer: HttpSite | None = None


def create_app(
    control: ControlPlane,
    dispatcher: Dispatcher,
    settings: RouterSettings,
    endpoint: tuple[str, int],
    observer: Observer | None = None,
) -> HttpSite:
    """Everything a router answers over HTTP. ``endpoint`` is where it listens; ``observer`` is told of each request."""
    guard = HostGuard(loopback=Endpoint(*endpoint).is_loopback, allowed=settings.allowed_hosts)
    judges = judges_of(settings)
    admission = Admission(guard, judges)
    gate = Gate(dispatcher, admission, settings.max_body_bytes)
    score = ScoreRoute(dispatcher, gate)
    control_app = create_control_app(
        control, score=score.answer, admission=admission, max_body_bytes=settings.control_max_body_bytes
    )
    models = Models(control, dispatcher, settings.model_aliases)
    tf_serving = TfServing(models)
    tf_serving_http = TfServingHttp(tf_serving)
    graphpipe = GraphPipeHttp(models)
    tf_infer = TfInferHttp(models, settings.tf_infer)
    open_inference = OpenInferenceHttp(OpenInference(models))
    further: tuple[HttpProtocol, ...] = (
        graphpipe,
        open_inference,
        tf_serving_http,
        HopsworksHttp(tf_serving),
        tf_infer,
    )
    routes = [ProtocolRoute(protocol, dispatcher, admission, settings.max_body_bytes) for protocol in further]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raw_path = scope["raw_path"]
            if scope["method"] == "POST" and is_score_path(raw_path):
                await score(scope, receive, send)
                return
            for route in routes:
                if route.claims(raw_path):
                    await route(scope, receive, send)
                    return
        await control_app(scope, receive, send)

    direct = (tf_serving_http.direct, graphpipe.direct, open_inference.direct)
    limit = ConnectionLimit(settings.max_connections, observer=observer)
    protocol = partial(ShortcutProtocol, Shortcut(dispatcher, gate, direct), limit)
    root, at = settings.tf_infer.root, settings.tf_infer.endpoint
    if root is None or at is None:
        return HttpSite(app, protocol)
    root_guard = HostGuard(loopback=Endpoint(*at).is_loopback, allowed=settings.allowed_hosts)
    route = ProtocolRoute(tf_infer, dispatcher, Admission(root_guard, judges), settings.max_body_bytes)
    general = partial(Http1Connection, limit)  # none of its requests would take the shortcut
    return HttpSite(app, protocol, HttpSite(mounted(route, root), general))


def judges_of(settings: RouterSettings) -> tuple[Judge, ...]:
    """Who is asked for each request whether it may go on: nobody yet."""
    return ()
