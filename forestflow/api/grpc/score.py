"""The method forestflow.v1.ForestFlow/Score, bytes to bytes: never reads the payload."""

from __future__ import annotations

import logging
import math
from typing import NoReturn

import grpc.aio

from forestflow.api.grpc.envelope import open_envelope
from forestflow.api.grpc.errors import REQUEST_ID, RETRY_AFTER_MS, STATUS, details_of, fqrv_metadata
from forestflow.api.http.errors import InternalError, retry_after
from forestflow.api.http.gate import MAX_TIMEOUT_SECONDS, request_id_of
from forestflow.codecs.table import PROTOBUF
from forestflow.domain.errors import Code, DeadlineExceeded, ForestFlowError
from forestflow.runtime.dispatch import Dispatcher
from forestflow.runtime.link import Outcome

KEY = "x-forestflow-key"

_log = logging.getLogger("forestflow.grpc")


class ScoreMethod:
    """Its handler is ``answer``: what it takes and returns is serialized."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def answer(self, message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        own_id = _metadata(context, REQUEST_ID)
        request_id = request_id_of(None if own_id is None else own_id.encode(errors="replace"))
        try:
            outcome = await self._score(message, context, request_id)
        except ForestFlowError as error:
            outcome = error
        except Exception as error:
            _log.error("request failed", exc_info=error, extra={"request_id": request_id.decode()})
            outcome = InternalError()
        metadata: list[tuple[str, str]] = [(REQUEST_ID, request_id.decode())]
        if isinstance(outcome, ForestFlowError):
            return await _refuse(context, outcome.code, outcome.message, metadata, retry_after(outcome))
        metadata += fqrv_metadata(outcome.fqrv)
        if outcome.code != Code.OK:
            details = outcome.payload.decode(errors="replace")
            return await _refuse(context, Code(outcome.code), details, metadata, outcome.retry_after_seconds)
        context.set_trailing_metadata(tuple(metadata))
        return outcome.payload

    async def _score(self, message: bytes, context: grpc.aio.ServicerContext, request_id: bytes) -> Outcome:
        contract, payload = open_envelope(message)
        seconds = context.time_remaining()
        if seconds is not None:
            if seconds <= 0:
                raise DeadlineExceeded("the deadline passed before the request was read")
            seconds = min(seconds, MAX_TIMEOUT_SECONDS)
        route = self._dispatcher.route(contract)
        key = _metadata(context, KEY)
        return await self._dispatcher.score(route, PROTOBUF, payload, request_id, seconds, key)


async def _refuse(
    context: grpc.aio.ServicerContext,
    code: Code,
    message: str,
    metadata: list[tuple[str, str]],
    retry_seconds: float | None,
) -> NoReturn:
    if retry_seconds:
        metadata.append((RETRY_AFTER_MS, str(math.ceil(retry_seconds * 1000))))
    await context.abort(STATUS[code], details_of(message), tuple(metadata))
    raise AssertionError("abort raises")


def _metadata(context: grpc.aio.ServicerContext, name: str) -> str | None:
    """The first value that the call's metadata has under that name."""
    for key, value in context.invocation_metadata() or ():
        if key == name:
            return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    return None
