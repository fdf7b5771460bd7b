"""Unary methods on bytes: what all of them share, whichever service they belong to.

A method's handler takes a message and its call, scores, and returns the answer's bytes or raises a ForestFlowError,
which becomes a status. The answer's metadata say the request's id and who answered.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

import grpc.aio

from forestflow.api.answers import InternalError, fqrv_metadata, payload_of, retry_after
from forestflow.api.grpc.errors import REQUEST_ID, RETRY_AFTER_MS, STATUS, details_of
from forestflow.api.requests import MAX_TIMEOUT_SECONDS, request_id_of
from forestflow.domain.errors import Code, DeadlineExceeded, ForestFlowError, QueueFull
from forestflow.domain.ids import Contract, Fqrv
from forestflow.runtime.dispatch import Dispatcher
from forestflow.runtime.link import Reply

KEY = "x-forestflow-key"

_log = logging.getLogger("forestflow.grpc")


class Call:
    """One call, and how it is scored."""

    def __init__(self, dispatcher: Dispatcher, context: grpc.aio.ServicerContext) -> None:
        own_id = _metadata(context, REQUEST_ID)
        self.request_id = request_id_of(None if own_id is None else own_id.encode(errors="replace"))
        self.reply: Reply | None = None  # of the replica that answered
        self._dispatcher = dispatcher
        self._context = context

    def metadata(self, name: str) -> str | None:
        """The first value that the call's metadata has under that name."""
        return _metadata(self._context, name)

    async def score(self, contract: Contract, codec: int, payload: bytes, only: Fqrv | None = None) -> bytes:
        """The payload that a replica answers, of ``only`` that release if given. Raises whatever it is refused for."""
        seconds = self._context.time_remaining()
        if seconds is not None:
            if seconds <= 0:
                raise DeadlineExceeded("the deadline passed before the request was read")
            seconds = min(seconds, MAX_TIMEOUT_SECONDS)
        route = self._dispatcher.route(contract)
        key = self.metadata(KEY)
        self.reply = await self._dispatcher.score(route, codec, payload, self.request_id, seconds, key, only)
        return payload_of(self.reply)


Handler = Callable[[bytes, Call], Awaitable[bytes]]


def unary(
    handler: Handler, dispatcher: Dispatcher, statuses: Mapping[Code, grpc.StatusCode] = STATUS
) -> grpc.RpcMethodHandler:
    """A method of a generic handler; ``statuses`` is the service's table from the domain's codes to gRPC's."""

    async def answer(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        call = Call(dispatcher, context)
        error: ForestFlowError | None = None
        payload = b""
        try:
            payload = await handler(message, call)
        except ForestFlowError as refused:
            error = refused
        except Exception as failed:
            _log.error("request failed", exc_info=failed, extra={"request_id": call.request_id.decode()})
            error = InternalError()
        metadata: list[tuple[str, str]] = [(REQUEST_ID, call.request_id.decode())]
        if call.reply is not None:
            metadata += fqrv_metadata(call.reply.fqrv)
        if error is not None:
            return await _refuse(context, statuses[error.code], error, metadata)
        context.set_trailing_metadata(tuple(metadata))
        return payload

    return grpc.unary_unary_rpc_method_handler(answer)


async def _refuse(
    context: grpc.aio.ServicerContext,
    status: grpc.StatusCode,
    error: ForestFlowError,
    metadata: list[tuple[str, str]],
) -> NoReturn:
    seconds = error.retry_after_seconds if isinstance(error, QueueFull) else retry_after(error)
    if seconds:
        metadata.append((RETRY_AFTER_MS, str(math.ceil(seconds * 1000))))
    await context.abort(status, details_of(error.message), tuple(metadata))
    raise AssertionError("abort raises")


def _metadata(context: grpc.aio.ServicerContext, name: str) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == name:
            return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    return None
