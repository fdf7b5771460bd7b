"""The HTTP application of a router: the score route as plain ASGI, the control API behind it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from forestflow.api.http.control import create_control_app
from forestflow.api.http.hosts import HostGuard
from forestflow.api.http.score import ScoreRoute
from forestflow.runtime.config import Endpoint
from forestflow.runtime.control import ControlPlane
from forestflow.runtime.dispatch import Dispatcher
from forestflow.runtime.router import RouterSettings


def create_app(
    control: ControlPlane, dispatcher: Dispatcher, settings: RouterSettings, endpoint: tuple[str, int]
) -> ASGIApp:
    """Everything a router answers over HTTP. ``endpoint`` is where it listens."""
    guard = HostGuard(loopback=Endpoint(*endpoint).is_loopback, allowed=settings.allowed_hosts)
    score = ScoreRoute(dispatcher, guard, settings.max_body_bytes)
    control_app = create_control_app(
        control, score=score.answer, guard=guard, max_body_bytes=settings.control_max_body_bytes
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["raw_path"].endswith(b"/score"):
            await score(scope, receive, send)
        else:
            await control_app(scope, receive, send)

    return app
