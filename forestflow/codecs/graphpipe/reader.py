"""GraphPipe requests read from FlatBuffers (``proto/graphpipe.fbs``), each offset and length checked before its use.

The Python runtime of FlatBuffers checks none. Whatever the bytes, nothing outside of them is read, and nothing is made
of them that is much larger: numeric tensors are views of the message, and all that is referred to, strings with what
Python adds to each, may together be ``MAX_SHARING`` times the message (writers may share equal parts) and a MiB. Tables
nest as deep as the schema says, which has no loops. What is wrong is refused as
:class:`~forestflow.domain.errors.Malformed`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.codecs.shapes import MAX_AXES, Room
from forestflow.domain.errors import InvalidInput, Malformed
from forestflow.domain.tensors import DTYPES, TensorType

INFER, METADATA = 1, 2  # members of the union Req

TYPES: dict[int, TensorType] = {
    1: TensorType.UInt8,
    2: TensorType.Int8,
    3: TensorType.UInt16,
    4: TensorType.Int16,
    5: TensorType.UInt32,
    6: TensorType.Int32,
    7: TensorType.UInt64,
    8: TensorType.Int64,
    9: TensorType.Float16,
    10: TensorType.Float32,
    11: TensorType.Float64,
    12: TensorType.String,
}

MAX_TENSORS = 4096
MAX_SHARING = 4
_SLACK = 1 << 20
_KNOWN_TEXTS = 1024  # equal strings become one object, up to so many different ones
_OBJECT_BYTES = 60  # what a string takes beside its text
_CHUNK = 1024

_U16, _U32, _I32 = Struct("<H"), Struct("<I"), Struct("<i")


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """``data`` has the client's shape and dtype. Strings that are not all UTF-8 make the type Bytes."""

    type: TensorType
    data: npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class InferRequest:
    """What a client asks: one name or none for each of the tensors, and which outputs."""

    config: str
    input_names: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    output_names: tuple[str, ...]


def read_kind(payload: bytes | memoryview) -> int:
    """``INFER`` or ``METADATA``; raises Malformed. Looks at a few bytes alone."""
    return _request(_Message(payload))[0]


def read_config(payload: bytes | memoryview) -> str:
    """The config string of an InferRequest alone; raises Malformed."""
    message = _Message(payload)
    return message.text(_infer(message).reference(0))


def read_infer(payload: bytes | memoryview) -> InferRequest:
    """Raises Malformed, InvalidInput for a tensor whose shape, type and data disagree."""
    message = _Message(payload)
    table = _infer(message)
    tensors = message.offsets(table.reference(2))
    return InferRequest(
        config=message.text(table.reference(0)),
        input_names=_names(message, table.reference(1)),
        tensors=tuple([_tensor(message, i, message.table(place)) for i, place in enumerate(tensors)]),
        output_names=_names(message, table.reference(3)),
    )


def _request(message: _Message) -> tuple[int, _Table]:
    root = message.table(message.follow(0))
    kind = root.byte(0)
    if kind not in (INFER, METADATA):
        raise Malformed(f"not a GraphPipe Request: its req_type is {kind}, known are {INFER} and {METADATA}")
    place = root.reference(1)
    if place is None:
        raise Malformed("not a GraphPipe Request: it holds no request")
    return kind, message.table(place)


def _infer(message: _Message) -> _Table:
    kind, table = _request(message)
    if kind != INFER:
        raise Malformed("a MetadataRequest where an InferRequest is expected")
    return table


def _names(message: _Message, place: int | None) -> tuple[str, ...]:
    return tuple([message.text(name) for name in message.offsets(place)])


def _tensor(message: _Message, number: int, table: _Table) -> Tensor:
    kind = TYPES.get(table.byte(0))
    if kind is None:
        raise InvalidInput(f"tensor {number} has the type {table.byte(0)}; GraphPipe's are 1 to {max(TYPES)}")
    shape = message.shape(table.reference(1))
    size = math.prod(message.room.check(number, shape))
    if kind is TensorType.String:
        kind, strings = message.texts(table.reference(3))
        if size != len(strings):
            raise InvalidInput(f"tensor {number} has {len(strings)} strings for the shape {shape}")
        return Tensor(kind, strings.reshape(shape))
    dtype = DTYPES[kind]
    start, length = message.vector(table.reference(2), 1)
    if size * dtype.itemsize != length:
        raise InvalidInput(
            f"tensor {number} has {length} bytes of data; "
            f"{kind.name} of the shape {shape} takes {size * dtype.itemsize}"
        )
    return Tensor(kind, np.frombuffer(message.data, dtype, size, start).reshape(shape))


class _Table:
    """One table, its vtable and its inline part inside the message."""

    __slots__ = ("_fields", "_message", "_place", "_size", "_vtable")

    def __init__(self, message: _Message, place: int, vtable: int, fields: int, size: int) -> None:
        self._message = message
        self._place = place
        self._vtable = vtable
        self._fields = fields
        self._size = size

    def _field(self, number: int, width: int) -> int | None:
        """Where a field is, in the message; None where the table has it not."""
        if number >= self._fields:
            return None
        offset: int = _U16.unpack_from(self._message.data, self._vtable + 4 + 2 * number)[0]
        if not offset:
            return None
        if offset < 4 or offset + width > self._size:
            raise Malformed(f"not a GraphPipe Request: field {number} of the table at {self._place} lies outside of it")
        return self._place + offset

    def byte(self, number: int) -> int:
        place = self._field(number, 1)
        return 0 if place is None else self._message.data[place]

    def reference(self, number: int) -> int | None:
        """What the field refers to, as a place in the message; None where the table has it not."""
        place = self._field(number, 4)
        return None if place is None else self._message.follow(place)


class _Message:
    """The bytes, and how much more of them may be referred to."""

    def __init__(self, payload: bytes | memoryview) -> None:
        self.data = payload
        self.size = len(payload)
        self.room = Room(self.size)
        self._left = MAX_SHARING * self.size + _SLACK

    def _inside(self, start: int, length: int) -> None:
        if start < 0 or start + length > self.size:
            raise Malformed(
                f"not a GraphPipe Request: {length} bytes at {start} are referred to, the message has {self.size}"
            )

    def _spend(self, length: int) -> None:
        self._left -= length
        if self._left < 0:
            raise Malformed("not a GraphPipe Request: it refers to the same parts too many times")

    def follow(self, place: int) -> int:
        """The place that the offset at ``place`` refers to."""
        self._inside(place, 4)
        target: int = place + _U32.unpack_from(self.data, place)[0]
        self._inside(target, 4)
        return target

    def table(self, place: int) -> _Table:
        self._inside(place, 4)
        vtable = place - _I32.unpack_from(self.data, place)[0]
        self._inside(vtable, 4)
        vtable_size, size = _U16.unpack_from(self.data, vtable)[0], _U16.unpack_from(self.data, vtable + 2)[0]
        if vtable_size < 4 or vtable_size % 2 or size < 4:
            raise Malformed(f"not a GraphPipe Request: there is no table at {place}")
        self._inside(vtable, vtable_size)
        self._inside(place, size)
        self._spend(size)
        return _Table(self, place, vtable, (vtable_size - 4) // 2, size)

    def vector(self, place: int | None, width: int) -> tuple[int, int]:
        """Where its elements start, and how many of ``width`` bytes there are; none where it is absent."""
        if place is None:
            return 0, 0
        count: int = _U32.unpack_from(self.data, place)[0]  # follow() saw that these four bytes are there
        self._inside(place + 4, count * width)
        self._spend(4 + count * width)
        return place + 4, count

    def shape(self, place: int | None) -> list[int]:
        start, count = self.vector(place, 8)
        if count > MAX_AXES:
            raise InvalidInput(f"a tensor has {count} dimensions; at most {MAX_AXES} are taken")
        sizes: list[int] = np.frombuffer(self.data, "<i8", count, start).tolist()
        return sizes

    def offsets(self, place: int | None) -> list[int]:
        """The places that a short vector refers to."""
        start, count = self.vector(place, 4)
        if count > MAX_TENSORS:
            raise InvalidInput(f"the request has {count} tensors or names; at most {MAX_TENSORS} are taken")
        return [self.follow(place) for place in range(start, start + 4 * count, 4)]

    def text(self, place: int | None) -> str:
        """One string; empty where it is absent. Its final NUL is not insisted on: Go's writer has none."""
        start, count = self.vector(place, 1)
        try:
            return str(self.data[start : start + count], "utf-8")
        except UnicodeDecodeError:
            raise Malformed(f"not a GraphPipe Request: the string at {place} is not UTF-8") from None

    def texts(self, place: int | None) -> tuple[TensorType, npt.NDArray[Any]]:
        """A vector of strings: String and ``str``, or Bytes and ``bytes`` where one of them is not UTF-8."""
        start, count = self.vector(place, 4)
        texts = np.empty(count, dtype=object)
        left = self._left
        try:
            self._fill(texts, start, str)
        except UnicodeDecodeError:
            self._left = left
            self._fill(texts, start, bytes)
            return TensorType.Bytes, texts
        return TensorType.String, texts

    def _fill(self, texts: npt.NDArray[Any], start: int, kind: type) -> None:
        """The strings whose offsets begin at ``start``, a chunk at a time, to have few numbers as objects at once."""
        known: dict[bytes, Any] = {}
        for first in range(0, len(texts), _CHUNK):
            count = min(_CHUNK, len(texts) - first)
            begins, ends = self._spans(start + 4 * first, count)
            for i, (begin, end) in enumerate(zip(begins, ends, strict=True), first):
                raw = bytes(self.data[begin:end])
                text = known.get(raw)
                if text is None:
                    text = raw.decode() if kind is str else raw
                    if len(known) < _KNOWN_TEXTS:
                        known[raw] = text
                    else:
                        self._spend(_OBJECT_BYTES)
                texts[i] = text

    def _spans(self, start: int, count: int) -> tuple[list[int], list[int]]:
        """Where each string of a vector begins and ends."""
        places = np.frombuffer(self.data, "<u4", count, start) + np.arange(start, start + 4 * count, 4)
        self._inside(int(places.max()), 4)
        octets = np.frombuffer(self.data, np.uint8)
        # A string need not be aligned in the payload, so its length is put together.
        parts = [octets[places + i].astype(np.int64) << (8 * i) for i in range(4)]
        lengths = parts[0] | parts[1] | parts[2] | parts[3]
        ends = places + 4 + lengths
        self._inside(int(ends.max()), 0)
        self._spend(int(lengths.sum()))
        return (places + 4).tolist(), ends.tolist()
