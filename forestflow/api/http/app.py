"""The HTTP application of a router: the score route as plain ASGI, the control API behind it."""

from __future__ import annotations

from functools import partial

from starlette.types import Receive, Scope, Send

from forestflow.api.http.control import create_control_app
from forestflow.api.http.gate import Gate, is_score_path
from forestflow.api.http.hosts import HostGuard
from forestflow.api.http.score import ScoreRoute
from forestflow.api.http.shortcut import Shortcut, ShortcutProtocol
from forestflow.runtime.config import Endpoint
from forestflow.runtime.control import ControlPlane
from forestflow.runtime.dispatch import Dispatcher
from forestflow.runtime.router import HttpApplication, RouterSettings


def create_app(
    control: ControlPlane, dispatcher: Dispatcher, settings: RouterSettings, endpoint: tuple[str, int]
) -> HttpApplication:
    """Everything a router answers over HTTP. ``endpoint`` is where it listens."""
    guard = HostGuard(loopback=Endpoint(*endpoint).is_loopback, allowed=settings.allowed_hosts)
    gate = Gate(dispatcher, guard, settings.max_body_bytes)
    score = ScoreRoute(dispatcher, gate)
    control_app = create_control_app(
        control, score=score.answer, guard=guard, max_body_bytes=settings.control_max_body_bytes
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and is_score_path(scope["raw_path"]):
            await score(scope, receive, send)
        else:
            await control_app(scope, receive, send)

    return HttpApplication(app, partial(ShortcutProtocol, Shortcut(dispatcher, gate)))
