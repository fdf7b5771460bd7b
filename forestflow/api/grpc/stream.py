"""The method forestflow.v1.ForestFlow/ScoreStream: items are read as long as there is room for them, and answered as
their replicas answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from functools import partial
from urllib.parse import unquote

import grpc.aio

from forestflow.api.answers import payload_of, unknown_fields_metadata
from forestflow.api.grpc.envelope import Item, close_item, open_envelope, open_item
from forestflow.api.grpc.errors import STATUS, status_of
from forestflow.api.grpc.methods import Call, StreamHandler, told_of
from forestflow.api.grpc.observing import CANCELLED_STATUS
from forestflow.api.observer import CANCELLED, Watch
from forestflow.api.requests import MAX_REQUEST_ID_LENGTH, MAX_TIMEOUT_SECONDS, clean_request_id
from forestflow.codecs.table import PROTOBUF
from forestflow.dataplane.link import Outcome, Sent
from forestflow.domain.errors import ForestFlowError, Malformed, Unavailable
from forestflow.domain.ids import Fqrv

MAX_UNDER_WAY = 128


def score_stream(stopping: asyncio.Event, max_bytes: int) -> StreamHandler:
    """The handler. At most ``max_bytes`` of requests are under way in one stream, or one that is longer."""

    async def answer(context: grpc.aio.ServicerContext, call: Call) -> None:
        stream = ScoreStream(context, call, max_bytes)
        reading = asyncio.create_task(stream.read())
        stop = asyncio.create_task(stopping.wait())
        stop.add_done_callback(lambda _: reading.cancel())
        try:
            await stream.write()
            if not stream.complete:
                raise Unavailable("the server stops: items that were not answered were not looked at")
        finally:
            stream.close()
            stop.cancel()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    return answer


class ScoreStream:
    """One stream. An item has its place until its answer is written: who does not read is not read from."""

    def __init__(self, context: grpc.aio.ServicerContext, call: Call, max_bytes: int) -> None:
        self._context = context
        self._call = call
        self._max_bytes = max_bytes
        self._items = 0  # that have a place, and the bytes of their requests
        self._bytes = 0
        self._sent: dict[int, Sent] = {}  # items that are out
        self._numbers = 0
        self._answers: deque[tuple[bytes, int]] = deque()  # with the bytes of the request
        self._changed = asyncio.Event()  # there is something to write, or nothing will come any more
        self._room = asyncio.Event()
        self.complete = False  # whether the client's last item was read
        self._ended = False
        self._closed = False
        self._watched: set[Watch] = set()  # of items that are out, if anybody observes

    async def read(self) -> None:
        """Until the client has sent its last item, or this is cancelled."""
        try:
            while True:
                while self._items >= MAX_UNDER_WAY or self._bytes >= self._max_bytes:
                    self._room.clear()
                    await self._room.wait()
                message = await self._context.read()
                if message is grpc.aio.EOF:
                    self.complete = True
                    return
                self._start(message)
        finally:
            self._ended = True
            self._changed.set()

    async def write(self) -> None:
        """Until all that was read is answered, and nothing more will be."""
        while True:
            while self._answers:
                answer, size = self._answers.popleft()
                await self._context.write(answer)
                self._items -= 1
                self._bytes -= size
                self._room.set()
            if self._ended and not self._items:
                return
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """Answers that are still to come are for nobody: give up what is out."""
        self._closed = True
        for watch in self._watched:
            watch.finish(CANCELLED_STATUS, CANCELLED)
        self._watched.clear()
        for sent in self._sent.values():
            sent.cancel()
        self._sent.clear()
        self._answers.clear()

    def _start(self, message: bytes) -> None:
        self._items += 1
        self._bytes += len(message)
        item = Item("", b"", None, None)
        request_id = self._call.request_id
        watch = self._watch(message)
        try:
            item = open_item(message)
            request_id = self._request_id(item.id)
            contract, payload = open_envelope(item.score)
            if watch is not None:
                watch.contract = contract
                watch.request_id = request_id.decode()
            route = self._call.dispatcher.route(contract)
            seconds = self._seconds(item)
            self._numbers = number = self._numbers + 1
            resolve = partial(self._resolve, number, item.id, request_id, len(message), watch)
            sent = self._call.dispatcher.send(route, PROTOBUF, payload, request_id, seconds, resolve, item.key)
            if sent is not None and not sent.over:
                self._sent[number] = sent
        except Exception as failed:
            self._answer(item.id, told_of(failed, request_id), request_id, len(message), watch)

    def _watch(self, message: bytes) -> Watch | None:
        if self._call.watch is None:
            return None
        watch = self._call.watch.part(len(message))
        watch.request_id = self._call.request_id.decode()
        self._watched.add(watch)
        return watch

    def _seconds(self, item: Item) -> float | None:
        left = self._call.seconds()
        if item.seconds is None:
            return left
        if not 0 < item.seconds <= MAX_TIMEOUT_SECONDS:
            raise Malformed(f"timeout_seconds must be over 0 and at most {MAX_TIMEOUT_SECONDS:g}")
        return item.seconds if left is None else min(left, item.seconds)

    def _request_id(self, item_id: str) -> bytes:
        """Make an item's id: the stream's, followed by as much of the item's own as there is room for."""
        head = self._call.request_id[: MAX_REQUEST_ID_LENGTH // 2]
        return clean_request_id(b"%b-%b" % (head, item_id[:MAX_REQUEST_ID_LENGTH].encode())).encode()

    def _resolve(
        self, number: int, item_id: str, request_id: bytes, size: int, watch: Watch | None, outcome: Outcome
    ) -> None:
        self._sent.pop(number, None)
        if watch is not None:
            watch.came_of_it(outcome)
        if isinstance(outcome, ForestFlowError):
            self._answer(item_id, outcome, request_id, size, watch)
            return
        unknown = [unquote(name) for _, names in unknown_fields_metadata(outcome) for name in names.split(",")]
        try:
            payload = payload_of(outcome)
        except ForestFlowError as refused:
            self._answer(item_id, refused, request_id, size, watch, outcome.fqrv, unknown)
        else:
            self._answer(item_id, payload, request_id, size, watch, None, unknown)

    def _answer(
        self,
        item_id: str,
        result: bytes | ForestFlowError,
        request_id: bytes,
        size: int,
        watch: Watch | None,
        fqrv: Fqrv | None = None,
        unknown_fields: Sequence[str] = (),
    ) -> None:
        if self._closed:
            return
        told = result if isinstance(result, bytes) else status_of(result, request_id, fqrv)
        answer = close_item(item_id, told, unknown_fields)
        self._answers.append((answer, size))
        if watch is not None:
            self._watched.discard(watch)
            watch.answer_bytes = len(answer)
            if isinstance(result, ForestFlowError):
                watch.code = result.code
                watch.finish(STATUS[result.code].value[0])
            else:
                watch.finish(0)
        self._changed.set()
