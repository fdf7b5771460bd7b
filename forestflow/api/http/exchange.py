"""The way in of every further protocol over HTTP: what all share, as plain ASGI; the rest is the protocol's own.

All share the guard of Host and Origin, the limit of bodies, request id, deadline and routing key, and that nothing is
answered but in the protocol's own form, errors that never reached a replica among them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send

from forestflow.api.answers import InternalError, metadata_of, payload_of
from forestflow.api.http.admission import KEY_HEADER, Admission, check_length, header_of, key_of, seconds_of
from forestflow.api.http.edge import collect_body, while_connected
from forestflow.api.http.errors import Header, error_headers
from forestflow.api.http.observing import watch_of
from forestflow.api.requests import request_id_of
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.dataplane.link import Outcome, Reply
from forestflow.domain.errors import ForestFlowError
from forestflow.domain.ids import Contract, Fqrv

JSON: Header = (b"content-type", b"application/json")

_log = logging.getLogger("forestflow.http")


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` hold the content type; length, request id and the like are added."""

    body: bytes
    status: int = 200
    headers: tuple[Header, ...] = (JSON,)


class HttpProtocol(Protocol):
    """One protocol. ``name`` is for observers; ``any_origin``: web pages of every site may call it."""

    name: str
    any_origin: bool

    def claims(self, raw_path: bytes) -> bool:
        """Whether a path, percent-encoded and without its query, is this protocol's."""
        ...

    async def answer(self, exchange: Exchange) -> Answer:
        """May raise any ForestFlowError."""
        ...

    def refuse(self, error: ForestFlowError, exchange: Exchange) -> Answer:
        """The protocol's own form of an error."""
        ...


class Exchange:
    """One request, and how it is scored. ``segments`` are those of the path, decoded, without the empty first one."""

    def __init__(self, dispatcher: Dispatcher, max_body_bytes: int, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.headers: list[Header] = scope["headers"]
        self.request_id = request_id_of(self.header(b"x-request-id"))
        self.reply: Reply | None = None  # of the replica that answered
        self.watch = watch_of(scope)
        self._dispatcher = dispatcher
        self._limit = max_body_bytes
        self._receive = receive

    def header(self, name: bytes) -> bytes | None:
        """The first header of that (lower-case) name."""
        return header_of(self.headers, name)

    @property
    def segments(self) -> list[str]:
        return [unquote(part) for part in self.raw_path.decode("ascii", "replace").split("/")[1:]]

    async def body(self, limit: int | None = None) -> bytes:
        """Once, whatever its type. Raises TooLarge, over ``limit`` if that is the smaller one, Malformed, HttpRefusal
        (408)."""
        limit = self._limit if limit is None else min(limit, self._limit)
        check_length(self.header(b"content-length"), limit)
        return await collect_body(self._receive, limit)

    async def score(self, contract: Contract, codec: int, payload: bytes, only: Fqrv | None = None) -> bytes:
        """The payload that a replica answers, of ``only`` that release if given. Raises whatever it is refused for."""
        if self.watch is not None:
            self.watch.contract = contract
        timeout = self.header(b"x-request-timeout")
        key = self.header(KEY_HEADER)
        scoring = self._dispatcher.score(
            self._dispatcher.route(contract),
            codec,
            payload,
            self.request_id,
            None if timeout is None else seconds_of(timeout),
            None if key is None else key_of(key),
            only,
        )
        reply = self.reply = await while_connected(self._receive, scoring)
        if self.watch is not None:
            self.watch.came_of_it(reply)
        return payload_of(reply)


def told(
    answer: Answer, request_id: bytes, error: ForestFlowError | None, reply: Reply | None
) -> tuple[int, list[Header], bytes]:
    """Status, headers and body of an answer: that of an error, or of what a replica replied."""
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body)), (b"x-request-id", request_id)]
    if error is not None:
        headers += error_headers(error)
    if reply is not None:
        headers += [(name.encode(), value.encode()) for name, value in metadata_of(reply)]
    return answer.status, headers, answer.body


def render(
    answer: Callable[[Reply], Answer],
    refusal: Callable[[ForestFlowError], Answer],
    outcome: Outcome,
    request_id: bytes,
    *,
    reword: Callable[[ForestFlowError], ForestFlowError] | None = None,
) -> tuple[int, list[Header], bytes]:
    """Status, headers and body of what came of a request that took the shortcut, in its protocol's form.

    ``answer`` may raise what the replica refused. ``reword`` says an error in the protocol's own words.
    """
    reply = None if isinstance(outcome, ForestFlowError) else outcome
    try:
        if isinstance(outcome, ForestFlowError):
            raise outcome
        return told(answer(outcome), request_id, None, reply)
    except ForestFlowError as refused:
        error = refused if reword is None else reword(refused)
        return told(refusal(error), request_id, error, reply)


class ProtocolRoute:
    """ASGI application of one protocol."""

    def __init__(
        self, protocol: HttpProtocol, dispatcher: Dispatcher, admission: Admission, max_body_bytes: int
    ) -> None:
        self.claims = protocol.claims
        self._protocol = protocol
        self._dispatcher = dispatcher
        self._admission = admission
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(self._dispatcher, self._max_body_bytes, scope, receive)
        error: ForestFlowError | None = None
        watch = exchange.watch
        if watch is not None:
            watch.protocol = self._protocol.name
        try:
            self._check(exchange)
            answer = await self._protocol.answer(exchange)
        except ForestFlowError as refused:
            error = refused
        except Exception as failed:
            _log.error("request failed", exc_info=failed, extra={"request_id": exchange.request_id.decode()})
            error = InternalError()
        if error is not None:
            answer = self._protocol.refuse(error, exchange)
            if watch is not None:
                watch.code = error.code
        status, headers, body = told(answer, exchange.request_id, error, exchange.reply)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _check(self, exchange: Exchange) -> None:
        any_origin = self._protocol.any_origin
        self._admission.check(exchange.method, exchange.raw_path, exchange.headers, any_origin=any_origin)
