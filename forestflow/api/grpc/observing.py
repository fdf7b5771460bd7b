"""What gRPC reports to the observer: every call, health and reflection among them, by one interceptor.

Without an observer there is no interceptor. What gRPC itself refuses before a method is known (too many connections or
calls, messages over the limit) never comes this far.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import grpc.aio

from forestflow.api.observer import CANCELLED, Observer, Watch
from forestflow.domain.errors import Code

CANCELLED_STATUS: int = grpc.StatusCode.CANCELLED.value[0]

WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)  # of the call, if anybody observes

_PROTOCOLS = {"tensorflow": "tfserving", "inference": "openinference", "graphpipe": "graphpipe"}  # by package
_OWN = {"forestflow.v1.ForestFlow": "basic", "forestflow.v1.Control": "control"}


class ObservedCalls(grpc.aio.ServerInterceptor):  # type: ignore[misc, unused-ignore]
    """Keeps a watch of each call, under which its handler finds it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        path = handler_call_details.method
        service = path.strip("/").partition("/")[0]
        protocol = _OWN.get(service) or _PROTOCOLS.get(service.partition(".")[0], service)
        handler = await continuation(handler_call_details)
        if handler is None:
            watch = Watch(self._observer, "gRPC", path, protocol)
            watch.code = Code.UNIMPLEMENTED
            watch.finish(grpc.StatusCode.UNIMPLEMENTED.value[0])
            return handler
        return _watched(handler, lambda: Watch(self._observer, "gRPC", path, protocol))


def _watched(handler: Any, begin: Callable[[], Watch]) -> grpc.RpcMethodHandler:
    given = {"request_deserializer": handler.request_deserializer, "response_serializer": handler.response_serializer}
    if not handler.response_streaming and not handler.request_streaming:
        return grpc.unary_unary_rpc_method_handler(_one(handler.unary_unary, begin), **given)
    kind = "stream_stream" if handler.request_streaming else "unary_stream"
    behaviour = getattr(handler, kind)
    wrap = _many if inspect.isasyncgenfunction(behaviour) else _by_hand
    made: grpc.RpcMethodHandler = getattr(grpc, f"{kind}_rpc_method_handler")(wrap(behaviour, begin), **given)
    return made


def _one(behaviour: Callable[..., Awaitable[Any]], begin: Callable[[], Watch]) -> Callable[..., Awaitable[Any]]:
    """Watch a method that returns its only answer."""

    async def answer(message: Any, context: grpc.aio.ServicerContext) -> Any:
        with _Watching(begin, context) as watch:
            watch.request_bytes = _size(message)
            reply = await behaviour(message, context)
            watch.answer_bytes = _size(reply)
            return reply

    return answer


def _many(
    behaviour: Callable[..., AsyncIterator[Any]], begin: Callable[[], Watch]
) -> Callable[..., AsyncIterator[Any]]:
    """Watch a method that yields its answers."""

    async def answer(message: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        with _Watching(begin, context) as watch:
            watch.request_bytes = _size(message)
            async for reply in behaviour(message, context):
                watch.answer_bytes += _size(reply)
                yield reply

    return answer


def _by_hand(behaviour: Callable[..., Awaitable[None]], begin: Callable[[], Watch]) -> Callable[..., Awaitable[None]]:
    """Watch a method that reads and writes its messages itself, and counts their bytes."""

    async def answer(messages: Any, context: grpc.aio.ServicerContext) -> None:
        with _Watching(begin, context):
            await behaviour(messages, context)

    return answer


class _Watching:
    """The time of one call: its watch is set for the handler, and reports how the call ended."""

    def __init__(self, begin: Callable[[], Watch], context: Any) -> None:
        self._watch = begin()
        self._context = context

    def __enter__(self) -> Watch:
        WATCH.set(self._watch)  # each call has a task, and so a context, of its own
        return self._watch

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        watch = self._watch
        if error is None:
            watch.finish(0)
        elif isinstance(error, grpc.aio.AbortError):
            watch.finish(_number(self._context.code()), None if watch.code else _name(self._context.code()))
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._finish_given_up()
        else:
            watch.code = Code.INTERNAL
            watch.finish(grpc.StatusCode.UNKNOWN.value[0])

    def _finish_given_up(self) -> None:
        left = self._context.time_remaining()
        if left is not None and left <= 0:
            self._watch.code = Code.DEADLINE
            self._watch.finish(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
        else:
            self._watch.finish(CANCELLED_STATUS, CANCELLED)


def _number(code: Any) -> int:
    return code.value[0] if isinstance(code, grpc.StatusCode) else int(code)


def _name(code: Any) -> str:
    return next((known.name for known in grpc.StatusCode if known.value[0] == _number(code)), "")


def _size(message: Any) -> int:
    """The bytes of a message; 0 for an iterator of messages."""
    if isinstance(message, bytes):
        return len(message)
    return int(message.ByteSize()) if hasattr(message, "ByteSize") else 0
