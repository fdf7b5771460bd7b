"""What every request of the control API passes: request id, Host and Origin, the path's encoding, the last catch.

Plain ASGI around FastAPI, so that refusals and faults before any route look like those of a route. No exception
leaves here with its text: a client gets the request id, the log the traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forestflow.api.answers import InternalError
from forestflow.api.http.admission import Admission, check_content_type, check_length, check_path, header_of
from forestflow.api.http.errors import HttpRefusal, error_answer, wants_text
from forestflow.api.http.observing import note_error, watch_of
from forestflow.api.observer import Watch
from forestflow.api.requests import clean_request_id, contract_number_of
from forestflow.domain.errors import Code, ForestFlowError, Malformed, TooLarge
from forestflow.domain.ids import Contract

BODY_SECONDS = 30.0
SMALL_PIECE = 4096  # bytes; smaller pieces of a body are put together as they come
# Load balancers ask these with the address of a pod as Host; they tell nothing and change nothing.
PROBES = frozenset({"/alive", "/ready"})

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview

_log = logging.getLogger("forestflow.http")


def contract_of(organization: str, project: str, number: str) -> Contract:
    """The contract that a path names. Raises HttpRefusal (404) for a number that is none, InvalidIdentifier."""
    try:
        return Contract(organization, project, contract_number_of(number))
    except Malformed as error:
        raise HttpRefusal(404, Code.NOT_FOUND, (), f"no such path: {error.message}") from None


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body, as UTF-8.

    Raises TooLarge before reading past ``limit`` bytes, Malformed, HttpRefusal (408, 415).
    """
    headers = scope["headers"]
    check_content_type(header_of(headers, b"content-type"))
    check_length(header_of(headers, b"content-length"), limit, " here")
    body = await collect_body(receive, limit)
    try:
        body.decode()
    except UnicodeDecodeError as bad:
        raise Malformed(f"the body is not UTF-8: byte {bad.start} does not fit") from None
    return body


async def collect_body(receive: Receive, limit: int) -> bytes:
    """The body, whatever it says. Raises TooLarge as soon as it is over ``limit``, Malformed, HttpRefusal (408)."""
    pieces: list[Buffer] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Malformed("the connection closed before the body ended")
                piece = message.get("body", b"")
                add_piece(pieces, piece)
                size += len(piece)
                if size > limit:
                    raise TooLarge(f"the body is over the {limit} bytes that are allowed here")
                more = message.get("more_body", False)
    except TimeoutError:
        raise body_is_late() from None
    return b"".join(pieces)


def add_piece(pieces: list[Buffer], piece: bytes) -> None:
    """Keep a piece of a body; small ones are put together, for a list of single bytes would be fifty times their size.

    The list's last bytearray grows, so it must be nobody else's.
    """
    if len(piece) >= SMALL_PIECE:
        pieces.append(piece)
    elif pieces and isinstance(last := pieces[-1], bytearray):
        last += piece
    else:
        pieces.append(bytearray(piece))


async def while_connected(receive: Receive, scoring: Awaitable[T]) -> T:
    """Score once the body was received; raises Malformed, and cancels the scoring, when the client goes meanwhile."""
    waiting = asyncio.current_task()
    assert waiting is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        if (await receive())["type"] == "http.disconnect":
            gone = True
            waiting.cancel()

    watching = asyncio.get_running_loop().create_task(watch())
    try:
        return await scoring
    except asyncio.CancelledError:
        if not gone or waiting.uncancel():  # somebody else cancels, too
            raise
        raise Malformed("the client has closed the connection") from None
    finally:
        watching.cancel()


def body_is_late() -> HttpRefusal:
    """For a client that takes longer than ``BODY_SECONDS`` over a body."""
    close = ((b"connection", b"close"),)
    return HttpRefusal(408, Code.DEADLINE, close, f"the body did not arrive within {BODY_SECONDS:g} s")


class Edge:
    """ASGI middleware of the control API."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        request_id = clean_request_id(header_of(headers, b"x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        watch = watch_of(scope)
        started = time.monotonic()
        try:
            self._check(scope)
            await self._app(scope, receive, answer.send)
        except ForestFlowError as refused:
            note_error(scope, refused)
            await answer.send_error(refused, headers)
        except Exception:
            _log.exception("request failed", extra=_fields(scope, request_id))
            if answer.status:
                raise  # half an answer is out: only closing the connection tells the client
            note_error(scope, InternalError())
            await answer.send_error(InternalError(), headers)
        finally:
            if watch is not None:
                _note_address(watch, scope)
            if _log.isEnabledFor(logging.INFO):
                took_ms = round((time.monotonic() - started) * 1000, 3)
                _log.info("request", extra=_fields(scope, request_id) | {"status": answer.status, "took_ms": took_ms})

    def _check(self, scope: Scope) -> None:
        raw_path = scope.get("raw_path") or b""
        if scope["path"] in PROBES:
            check_path(raw_path)
        else:
            self._admission.check(scope["method"], raw_path, scope["headers"])


class _Answer:
    """Passes an answer on, with the request id in its headers."""

    def __init__(self, send: Send, request_id: str) -> None:
        self.status = 0
        self._send = send
        self._request_id = request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._request_id.encode())]
        await self._send(message)

    async def send_error(self, error: ForestFlowError, headers: Iterable[tuple[bytes, bytes]]) -> None:
        accept = (header_of(headers, b"accept") or b"").decode("latin-1")
        answer = error_answer(error, self._request_id, as_text=wants_text(accept))
        await self.send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await self.send({"type": "http.response.body", "body": answer.body})


def _fields(scope: Scope, request_id: str) -> dict[str, Any]:
    path = (scope.get("raw_path") or b"").decode("latin-1")
    return {"request_id": request_id, "method": scope["method"], "path": path[:1024]}


def _note_address(watch: Watch, scope: Scope) -> None:
    """Note which contract and release the path of a control request names, as its route found them."""
    watch.protocol = watch.protocol or "control"
    named = scope.get("path_params") or {}
    with contextlib.suppress(ForestFlowError, KeyError):
        watch.contract = contract_of(named["organization"], named["project"], named["contract_number"])
        watch.release = watch.release or named.get("release_version")
