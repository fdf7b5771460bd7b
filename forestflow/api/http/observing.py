"""What HTTP reports to the observer: ASGI requests by a wrapper around their application, all else by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from starlette.types import Message, Receive, Scope, Send

from forestflow.api.observer import CANCELLED, Observer, Watch
from forestflow.domain.errors import Code, ForestFlowError

NO_ANSWER = 499  # the client left, or the server gave the request up

_WATCH = "forestflow.watch"


class Cycle(Protocol):
    """What is asked of uvicorn's cycle: its scope, and whether the client left before the end of the answer."""

    scope: Any
    disconnected: bool


def watch_of(scope: Any) -> Watch | None:
    """The watch of an ASGI request, if anybody observes."""
    watch: Watch | None = scope.get(_WATCH)
    return watch


def note_error(scope: Scope, error: ForestFlowError) -> None:
    """Note what an ASGI request is refused for."""
    watch = watch_of(scope)
    if watch is not None:
        watch.code = error.code


def watch_unread(observer: Observer, head: bytes | bytearray) -> Watch:
    """Watch what cannot be read as a request, or was not: by its first line as far as there is one."""
    line = bytes(head[:4096]).partition(b"\r\n")[0].decode("latin-1").split(" ")
    return Watch(observer, line[0], path_of(line[1]) if len(line) > 1 else "")


def path_of(target: str) -> str:
    """The target of a request without its query, which may hold secrets."""
    return target.partition("?")[0].partition("#")[0]


def watched(
    app: Callable[[Scope, Receive, Send], Awaitable[None]], watch: Watch, cycle: Cycle
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The application for one request, which is reported when the application is through with it."""

    cast(Scope, cycle.scope)[_WATCH] = watch  # before the application runs: the body may be refused before that

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def reading() -> Message:
            message = await receive()
            watch.request_bytes += len(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                watch.request_id = _request_id(message.get("headers", ()))
            elif watch.method != "HEAD":
                watch.answer_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await app(scope, reading, sending)
        except Exception:
            watch.code = Code.INTERNAL
            status = status or 500  # uvicorn answers
            raise
        finally:
            if status == 0 or cycle.disconnected:
                watch.finish(NO_ANSWER, CANCELLED)
            else:
                watch.finish(status)

    return run


def _request_id(headers: Any) -> str:
    return next((value.decode("latin-1") for name, value in headers if name == b"x-request-id"), "")
