"""The score route, POST /{organization}/{project}/{contract_number}/score, as plain ASGI: never reads the payload.

Most score requests do not come this far: ``shortcut`` answers those that arrive whole. This is the general case.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from forestflow.api.answers import HTTP_STATUS, InternalError, unknown_fields_metadata
from forestflow.api.http.admission import header_of
from forestflow.api.http.edge import collect_body, while_connected
from forestflow.api.http.errors import Header, error_answer, wants_text
from forestflow.api.http.gate import Gate
from forestflow.api.http.observing import watch_of
from forestflow.api.requests import request_id_of
from forestflow.codecs.table import BASIC
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.dataplane.link import Outcome
from forestflow.domain.errors import Code, ForestFlowError

_JSON: Header = (b"content-type", b"application/json")

_log = logging.getLogger("forestflow.http")


class ScoreRoute:
    """ASGI application of one route."""

    def __init__(self, dispatcher: Dispatcher, gate: Gate) -> None:
        self._dispatcher = dispatcher
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["headers"]
        request_id = request_id_of(header_of(headers, b"x-request-id"))
        watch = watch_of(scope)
        if watch is not None:
            watch.protocol = "basic"
        try:
            self._gate.check(scope["raw_path"], headers)
            admitted = self._gate.admit(scope["raw_path"], headers)
            if watch is not None:
                watch.contract = admitted.route.contract
            body = await collect_body(receive, self._gate.max_body_bytes)
            scoring = self._dispatcher.score(admitted.route, BASIC, body, request_id, admitted.seconds, admitted.key)
            outcome: Outcome = await while_connected(receive, scoring)
        except ForestFlowError as error:
            outcome = error
        except Exception as error:
            _log.error("request failed", exc_info=error, extra={"request_id": request_id.decode()})
            outcome = InternalError()
        if watch is not None:
            watch.came_of_it(outcome)
        as_text = wants_text((header_of(headers, b"accept") or b"").decode("latin-1"))
        status, answer_headers, payload = answer_of(outcome, request_id, as_text=as_text)
        await send({"type": "http.response.start", "status": status, "headers": answer_headers})
        await send({"type": "http.response.body", "body": payload})

    async def answer(self, request: Request) -> Response:
        """The same as a Starlette handler, for the control application's own route."""
        sent: list[Any] = []

        async def collect(message: Any) -> None:
            sent.append(message)

        await self(request.scope, request.receive, collect)
        response = Response(status_code=sent[0]["status"])
        response.body = sent[1]["body"]
        response.raw_headers = [header for header in sent[0]["headers"] if header[0] != b"x-request-id"]
        return response


def answer_of(outcome: Outcome, request_id: bytes, *, as_text: bool = False) -> tuple[int, list[Header], bytes]:
    """Status, headers and body of what came of a score request."""
    if isinstance(outcome, ForestFlowError):
        error = error_answer(outcome, request_id.decode(), as_text=as_text)
        return error.status, [*error.headers, (b"x-request-id", request_id)], error.body
    payload = outcome.payload
    headers = [_JSON, (b"content-length", b"%d" % len(payload)), (b"x-request-id", request_id)]
    if outcome.retry_after_seconds:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(outcome.retry_after_seconds))))
    headers += [(name.encode(), value.encode()) for name, value in unknown_fields_metadata(outcome)]
    return HTTP_STATUS[Code(outcome.code)], headers, payload
