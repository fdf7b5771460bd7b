"""GraphPipe messages as FlatBuffers (``proto/graphpipe.fbs``), written front to back in one pass.

FlatBuffers' own builder writes back to front, a field and a string at a time, and copies the data of a tensor twice;
here each table is followed by what it refers to, and the data of a tensor is copied once, when the parts are joined.
Vectors are written where they are empty, too: clients read ``shape`` and ``data`` without asking whether they exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct, pack
from typing import Any

import numpy as np

from forestflow.codecs.graphpipe.reader import INFER, TYPES
from forestflow.domain.errors import ModelFailed
from forestflow.domain.tensors import DTYPES, Column, IOMetadata, TensorType

MAX_BYTES = 2**31 - 1  # as FlatBuffers has it

_U32, _I64 = Struct("<I"), Struct("<q")
_NUMBERS: dict[TensorType, int] = {kind: number for number, kind in TYPES.items()} | {
    TensorType.Bool: 1,  # GraphPipe has no bool: 0 and 1
    TensorType.Bytes: 12,
}
_TEXTS = frozenset({TensorType.String, TensorType.Bytes})


def infer_response(columns: Sequence[Column]) -> bytes:
    """An InferResponse of tensors, each with the shape of a column's data, and no errors. Raises ModelFailed."""
    writer = _Writer()
    tensors, errors = writer.table(writer.root, (None, None))
    for slot, column in zip(writer.slots(tensors, len(columns)), columns, strict=True):
        _tensor(writer, slot, column)
    writer.slots(errors, 0)
    return writer.joined()


def infer_request(columns: Sequence[Column]) -> bytes:
    """A Request for the model's default outputs, with a tensor and an input name of each column."""
    writer = _Writer()
    (request,) = writer.table(writer.root, (bytes([INFER]), None))
    config, names, tensors = writer.table(request, (None, None, None))
    writer.text(config, "")
    for slot, column in zip(writer.slots(names, len(columns)), columns, strict=True):
        writer.text(slot, column.fields[0])
    for slot, column in zip(writer.slots(tensors, len(columns)), columns, strict=True):
        _tensor(writer, slot, column)
    return writer.joined()


def error_response(code: int, message: str) -> bytes:
    """An InferResponse with one error, and a vector of no tensors."""
    writer = _Writer()
    tensors, errors = writer.table(writer.root, (None, None))
    writer.slots(tensors, 0)
    (slot,) = writer.slots(errors, 1)
    (text,) = writer.table(slot, (_I64.pack(code), None))
    writer.text(text, message)
    return writer.joined()


def metadata_response(
    name: str,
    version: str,
    server: str,
    description: str,
    inputs: Sequence[IOMetadata],
    outputs: Sequence[IOMetadata],
) -> bytes:
    """A MetadataResponse; the shapes are those of whole tensors."""
    writer = _Writer()
    *texts, ins, outs = writer.table(writer.root, (None,) * 6)
    for slot, text in zip(texts, (name, version, server, description), strict=True):
        writer.text(slot, text)
    for vector, tensors in ((ins, inputs), (outs, outputs)):
        for slot, io in zip(writer.slots(vector, len(tensors)), tensors, strict=True):
            its_name, its_description, shape = writer.table(slot, (None, None, None, bytes([_NUMBERS[io.type]])))
            writer.text(its_name, io.name)
            writer.text(its_description, io.description or "")
            writer.shape(shape, io.shape)
    return writer.joined()


def _tensor(writer: _Writer, slot: _Slot, column: Column) -> None:
    shape, data, *texts = writer.table(
        slot, (bytes([_NUMBERS[column.type]]), None, None, *([None] if column.type in _TEXTS else []))
    )
    writer.shape(shape, column.data.shape)
    if texts:
        writer.slots(data, 0)
        writer.texts(texts[0], column.data.reshape(-1).tolist())
        return
    array = np.asarray(column.data, dtype=DTYPES[column.type], order="C").reshape(-1).view(np.uint8)
    writer.vector(data, array.size, array.data)


@dataclass(slots=True, eq=False)
class _Slot:
    """The four bytes at ``place``, part number ``part``, that will refer to something behind them."""

    part: int
    place: int


class _Writer:
    def __init__(self) -> None:
        self._parts: list[bytes | memoryview] = []
        self._size = 0
        self._vtables: dict[bytes, int] = {}
        (self.root,) = self._slots(1)

    def joined(self) -> bytes:
        if self._size > MAX_BYTES:
            raise ModelFailed(f"the answer has {self._size} bytes; a FlatBuffers message has {MAX_BYTES} at most")
        return b"".join(self._parts)

    def table(self, slot: _Slot, fields: Sequence[bytes | None]) -> list[_Slot]:
        """A table for ``slot``. Its fields are scalars, or None: slots for references, which are returned."""
        vtable, order = _layout(tuple([4 if field is None else len(field) for field in fields]))
        if vtable not in self._vtables:
            self._align(2)
            self._vtables[vtable] = self._size
            self._put(vtable)
        self._align(8, 4)
        start = self._size
        self._fill(slot)
        self._put(pack("<i", start - self._vtables[vtable]))
        slots = []
        for number in order:
            field = fields[number]
            if field is None:
                slots += self._slots(1)
            else:
                self._put(field)
        return slots

    def vector(self, slot: _Slot, count: int, data: bytes | memoryview) -> None:
        self._align(8, 4)
        self._fill(slot)
        self._put(_U32.pack(count))
        self._put(data)

    def slots(self, slot: _Slot, count: int) -> list[_Slot]:
        """A vector of references."""
        self.vector(slot, count, b"")
        return self._slots(count)

    def shape(self, slot: _Slot, shape: Sequence[int]) -> None:
        self.vector(slot, len(shape), pack(f"<{len(shape)}q", *shape))

    def text(self, slot: _Slot, text: str) -> None:
        self._align(4)
        self._fill(slot)
        self._put(_string(text.encode(errors="replace")))

    def texts(self, slot: _Slot, texts: Sequence[Any]) -> None:
        """A vector of strings, equal ones written once. Raises ModelFailed for what is no ``str`` or ``bytes``."""
        self.vector(slot, len(texts), b"")
        place = self._size  # of the offset to the next string
        end = place + 4 * len(texts)
        known: dict[Any, int] = {}
        offsets = np.empty(len(texts), np.uint32)
        strings = []
        for i, text in enumerate(texts):
            start = known.get(text) if type(text) in (str, bytes) else None
            if start is None:
                string = _string(_encoded(text))
                strings.append(string)
                known[text] = start = end
                end += len(string)
            offsets[i] = start - place
            place += 4
        self._put(offsets.data.cast("B") if len(texts) else b"")
        self._put(b"".join(strings))

    def _slots(self, count: int) -> list[_Slot]:
        slots = [_Slot(len(self._parts) + i, self._size + 4 * i) for i in range(count)]
        for _ in slots:
            self._put(b"\0\0\0\0")
        return slots

    def _fill(self, slot: _Slot) -> None:
        """Let ``slot`` refer to what is written next."""
        self._parts[slot.part] = _U32.pack((self._size - slot.place) & 0xFFFFFFFF)  # joined() refuses what is longer

    def _align(self, to: int, ahead: int = 0) -> None:
        """Pad, so that what follows the next ``ahead`` bytes begins at a multiple of ``to``."""
        if padding := -(self._size + ahead) % to:
            self._put(bytes(padding))

    def _put(self, data: bytes | memoryview) -> None:
        self._parts.append(data)
        self._size += len(data)


@lru_cache(maxsize=64)
def _layout(widths: tuple[int, ...]) -> tuple[bytes, tuple[int, ...]]:
    """The vtable of a table whose fields have these widths, and the order in which they lie in it."""
    order = [number for width in (8, 4, 1) for number, its in enumerate(widths) if its == width]
    offsets, end = [0] * len(widths), 4  # at 4 of a table that begins 4 before a multiple of 8 all are aligned
    for number in order:
        offsets[number] = end
        end += widths[number]
    return pack(f"<HH{len(widths)}H", 4 + 2 * len(widths), end, *offsets), tuple(order)


def _string(text: bytes) -> bytes:
    """Length, text, NUL, and what makes the next one begin at a multiple of four."""
    return _U32.pack(len(text)) + text + bytes(4 - len(text) % 4)


def _encoded(text: Any) -> bytes:
    if type(text) is bytes:
        return text
    if type(text) is not str:
        raise ModelFailed(f"the model's String output holds a {type(text).__name__}")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ModelFailed(f"the model's String output is not Unicode: {error}") from None
