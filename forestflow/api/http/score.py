"""The hot route, POST /{organization}/{project}/{contract_number}/score: reads path and headers, never the payload."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from forestflow.api.http.edge import check_path, clean_request_id, header_of
from forestflow.api.http.errors import STATUS, ErrorAnswer, HttpRefusal, InternalError, error_answer, wants_text
from forestflow.api.http.hosts import HostGuard
from forestflow.codecs.table import BASIC
from forestflow.domain.errors import Code, DeadlineExceeded, ForestFlowError, Malformed, TooLarge
from forestflow.domain.ids import MAX_CONTRACT_NUMBER, Contract
from forestflow.runtime.dispatch import ContractRoute, Dispatcher
from forestflow.runtime.link import Reply

MAX_TIMEOUT_SECONDS = 86_400.0
BODY_SECONDS = 30.0  # for a body that comes in pieces
CACHED_PATHS = 65_536

_CONTENT_TYPE = (b"content-type", b"application/json")
_JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"})

_log = logging.getLogger("forestflow.http")


class ScoreRoute:
    """ASGI application of one route. Measured as the hot path: keep it lean."""

    def __init__(self, dispatcher: Dispatcher, guard: HostGuard, max_body_bytes: int) -> None:
        self._dispatcher = dispatcher
        self._guard = guard
        self._max_body_bytes = max_body_bytes
        self._routes: dict[bytes, ContractRoute] = {}  # by raw path
        self._hosts: set[bytes] = set()  # Host headers that passed the guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = host = origin = timeout = length = content_type = None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"content-length":
                length = value
            elif name == b"content-type":
                content_type = value
            elif name == b"x-request-id":
                request_id = value
            elif name == b"x-request-timeout":
                timeout = value
            elif name == b"origin":
                origin = value
        made_id = clean_request_id(request_id).encode()
        try:
            if host not in self._hosts or origin is not None:
                self._check_site(host, origin)
            if content_type is not None and content_type not in _JSON_TYPES:
                _check_content_type(content_type)
            seconds = None if timeout is None else _timeout(timeout)
            route = self._routes.get(scope["raw_path"])
            if route is None or route.gone:
                route = self._find(scope["raw_path"])
            if length is not None and int(length) > self._max_body_bytes:
                raise TooLarge(f"the body has {length[:18].decode()} bytes; at most {self._max_body_bytes} are allowed")
            message = await receive()
            body = message.get("body", b"")
            if message.get("more_body", False) or message["type"] != "http.request":
                body = await self._rest(message, receive)
            reply: Reply = await self._dispatcher.score(route, BASIC, body, made_id, seconds)
        except Exception as error:
            await self._refuse(error, scope, made_id.decode(), send)
            return
        payload = reply.payload
        headers = [_CONTENT_TYPE, (b"content-length", b"%d" % len(payload)), (b"x-request-id", made_id)]
        if reply.code:
            headers += _retry_after(reply)
            status = STATUS[Code(reply.code)]
        else:
            status = 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    async def answer(self, request: Request) -> Response:
        """The same as a Starlette handler, for the control application's own route."""
        sent: list[Any] = []

        async def collect(message: Any) -> None:
            sent.append(message)

        await self(request.scope, request.receive, collect)
        response = Response(sent[1]["body"], sent[0]["status"])
        response.raw_headers = [header for header in sent[0]["headers"] if header[0] != b"x-request-id"]
        return response

    # --- checks ------------------------------------------------------------------------------------------------------

    def _check_site(self, host: bytes | None, origin: bytes | None) -> None:
        why = self._guard.refusal(host, origin)
        if why is not None:
            raise HttpRefusal(403, Code.INVALID, (), why)
        if host is not None and len(self._hosts) < 1024:
            self._hosts.add(host)

    def _find(self, raw_path: bytes) -> ContractRoute:
        """The route of a path seen for the first time. Raises UnknownContract, Malformed, InvalidIdentifier."""
        check_path(raw_path)
        parts = [unquote(part) for part in raw_path.decode("ascii", "replace").split("/")]
        if len(parts) != 5 or not (parts[3].isascii() and parts[3].isdigit() and len(parts[3]) <= 10):
            raise HttpRefusal(
                404, Code.NOT_FOUND, (), f"no such path: a contract number is an integer in 0..{MAX_CONTRACT_NUMBER}"
            )
        route = self._dispatcher.route(Contract(parts[1], parts[2], int(parts[3])))
        if len(self._routes) >= CACHED_PATHS:
            self._routes.clear()
        self._routes[raw_path] = route
        return route

    async def _rest(self, message: Any, receive: Receive) -> bytes:
        """A body in pieces; stops reading at the limit."""
        chunks, size = [], 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    if message["type"] != "http.request":
                        raise Malformed("the connection closed before the body ended")
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > self._max_body_bytes:
                        raise TooLarge(f"the body is over the {self._max_body_bytes} bytes that are allowed")
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
                    message = await receive()
        except TimeoutError:
            raise DeadlineExceeded(f"the body did not arrive within {BODY_SECONDS:g} s") from None

    async def _refuse(self, error: Exception, scope: Scope, request_id: str, send: Send) -> None:
        accept = header_of(scope["headers"], b"accept")
        answer = _error_answer(error, request_id, accept)
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [*answer.headers, (b"x-request-id", request_id.encode())],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})


def _error_answer(error: Exception, request_id: str, accept: bytes | None) -> ErrorAnswer:
    if not isinstance(error, ForestFlowError):
        _log.error("request failed", exc_info=error, extra={"request_id": request_id})
        error = InternalError()
    as_text = wants_text((accept or b"").decode("latin-1"))
    return error_answer(error, request_id, as_text=as_text)


def _check_content_type(content_type: bytes) -> None:
    if content_type.partition(b";")[0].strip().lower() != b"application/json":
        raise HttpRefusal(415, Code.MALFORMED, (), "the Content-Type is not supported; expected application/json")


def _timeout(header: bytes) -> float:
    try:
        seconds = float(header)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise Malformed(f"X-Request-Timeout must be seconds over 0 and at most {MAX_TIMEOUT_SECONDS:g}")
    return seconds


def _retry_after(reply: Reply) -> list[tuple[bytes, bytes]]:
    if not reply.retry_after_seconds:
        return []
    return [(b"retry-after", b"%d" % max(1, math.ceil(reply.retry_after_seconds)))]
