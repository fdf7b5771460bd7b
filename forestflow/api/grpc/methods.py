"""Methods on bytes: what all of them share, whichever service they belong to.

A handler takes a message and its call, scores or asks, and gives the answer's bytes, one or many, or raises a
ForestFlowError, which becomes a status. The answer's metadata say the request's id and who answered.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import NoReturn

import grpc.aio

from forestflow.api.answers import InternalError, metadata_of, payload_of, unknown_fields_metadata
from forestflow.api.grpc.errors import REQUEST_ID, STATUS, status_of, trailers_of
from forestflow.api.grpc.observing import WATCH
from forestflow.api.requests import MAX_TIMEOUT_SECONDS, request_id_of
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.dataplane.link import Reply
from forestflow.domain.errors import Code, DeadlineExceeded, ForestFlowError
from forestflow.domain.ids import Contract, Fqrv

KEY = "x-forestflow-key"

Metadata = Sequence[tuple[str, str | bytes]]

_log = logging.getLogger("forestflow.grpc")


class Call:
    """One call, and how it is scored."""

    def __init__(self, dispatcher: Dispatcher, context: grpc.aio.ServicerContext) -> None:
        self._metadata: Metadata = context.invocation_metadata() or ()
        own_id = self.metadata(REQUEST_ID)
        self.request_id = request_id_of(None if own_id is None else own_id.encode(errors="replace"))
        self.reply: Reply | None = None  # of the replica that answered
        self.dispatcher = dispatcher
        self._context = context
        self.watch = WATCH.get()
        if self.watch is not None:
            self.watch.request_id = self.request_id.decode()

    def metadata(self, name: str) -> str | None:
        """The first value that the call's metadata has under that name."""
        for key, value in self._metadata:
            if key == name:
                return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
        return None

    def seconds(self) -> float | None:
        """What is left of the call's deadline, if it has one. Raises DeadlineExceeded."""
        seconds: float | None = self._context.time_remaining()
        if seconds is None:
            return None
        if seconds <= 0:
            raise DeadlineExceeded("the deadline passed before the request was read")
        return min(seconds, MAX_TIMEOUT_SECONDS)

    async def score(self, contract: Contract, codec: int, payload: bytes, only: Fqrv | None = None) -> bytes:
        """The payload that a replica answers, of ``only`` that release if given. Raises whatever it is refused for."""
        if self.watch is not None:
            self.watch.contract = contract
        seconds = self.seconds()
        route = self.dispatcher.route(contract)
        key = self.metadata(KEY)
        self.reply = await self.dispatcher.score(route, codec, payload, self.request_id, seconds, key, only)
        if self.watch is not None:
            self.watch.came_of_it(self.reply)
        return payload_of(self.reply)


Handler = Callable[[bytes, Call], Awaitable[bytes]]
ManyHandler = Callable[[bytes, Call], AsyncIterator[bytes]]
StreamHandler = Callable[[grpc.aio.ServicerContext, Call], Awaitable[None]]
Statuses = Mapping[Code, grpc.StatusCode]  # a service's table from the domain's codes to gRPC's


def unary(handler: Handler, dispatcher: Dispatcher, statuses: Statuses = STATUS) -> grpc.RpcMethodHandler:
    """A method of a generic handler: one message, one answer."""

    async def answer(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        call = Call(dispatcher, context)
        try:
            payload = await handler(message, call)
        except Exception as failed:
            error = told_of(failed, call.request_id)
        else:
            _finish(call, context)
            return payload
        return await _refuse(call, context, error, statuses)

    return grpc.unary_unary_rpc_method_handler(answer)


def many(handler: ManyHandler, dispatcher: Dispatcher) -> grpc.RpcMethodHandler:
    """One message, a stream of answers."""

    async def answer(message: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        call = Call(dispatcher, context)
        try:
            async for payload in handler(message, call):
                yield payload
        except Exception as failed:
            error = told_of(failed, call.request_id)
        else:
            _finish(call, context)
            return
        await _refuse(call, context, error, STATUS)

    return grpc.unary_stream_rpc_method_handler(answer)


def stream(handler: StreamHandler, dispatcher: Dispatcher) -> grpc.RpcMethodHandler:
    """Streams both ways, which the handler reads and writes itself."""

    async def answer(_messages: object, context: grpc.aio.ServicerContext) -> None:
        call = Call(dispatcher, context)
        try:
            await handler(context, call)
        except Exception as failed:
            error = told_of(failed, call.request_id)
        else:
            _finish(call, context)
            return
        await _refuse(call, context, error, STATUS)

    return grpc.stream_stream_rpc_method_handler(answer)


def told_of(failed: Exception, request_id: bytes) -> ForestFlowError:
    """What a client is told of it: a fault of ours is for the log alone."""
    if isinstance(failed, ForestFlowError):
        return failed
    _log.error("request failed", exc_info=failed, extra={"request_id": request_id.decode()})
    return InternalError()


def _finish(call: Call, context: grpc.aio.ServicerContext) -> None:
    metadata: list[tuple[str, str]] = [(REQUEST_ID, call.request_id.decode())]
    if call.reply is not None:
        metadata += metadata_of(call.reply)
    context.set_trailing_metadata(tuple(metadata))


async def _refuse(
    call: Call, context: grpc.aio.ServicerContext, error: ForestFlowError, statuses: Statuses
) -> NoReturn:
    if call.watch is not None:
        call.watch.code = error.code
    fqrv = call.reply.fqrv if call.reply is not None else None
    status = status_of(error, call.request_id, fqrv, statuses)
    trailers = trailers_of(error, status, call.request_id, fqrv, unknown_fields_metadata(call.reply))
    await context.abort(statuses[error.code], status.message, trailers)
    raise AssertionError("abort raises")
