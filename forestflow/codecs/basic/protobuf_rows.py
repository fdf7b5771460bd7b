"""Records of floats in protobuf's wire format, read and written all at once.

Records of one shape differ in their numbers alone, and these stand at the same places in each of them. So the places
are learned from one record, all numbers are read through one strided view, and what is around them is compared by
writing the records anew: they are the same bytes, or they are left to the general reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow._gen.inference_pb2 import Datum
from forestflow.codecs.json.inference_json import TENSOR_KEYS
from forestflow.domain.tensors import TensorType

_DTYPES: dict[TensorType, np.dtype[Any]] = {TensorType.Float64: np.dtype("<f8"), TensorType.Float32: np.dtype("<f4")}
_MARKS = {TensorType.Float64: 0x7FE0F0F000000000, TensorType.Float32: 0x7EF00000}  # patterns of finite numbers
_MAX_FLOATS = 4096  # in a record, so that the marks differ


@dataclass(frozen=True, slots=True)
class Lane:
    """Where a tensor's numbers stand in a record: ``count`` of them, ``stride`` bytes apart from ``offset`` on."""

    kind: TensorType
    count: int
    offset: int
    stride: int

    def view(self, records: bytes | bytearray, rows: int, length: int) -> npt.NDArray[Any]:
        """The numbers of all records in place, ``(rows, count)``."""
        return np.ndarray((rows, self.count), _DTYPES[self.kind], records, self.offset, (length, self.stride))


class RowLayout:
    """One shape of records: ``length`` bytes each, ``around`` them what is no number."""

    def __init__(self, lanes: Sequence[Lane], around: bytes) -> None:
        self.lanes = tuple(lanes)
        self.length = len(around)
        self._around = around

    def read(self, records: Sequence[bytes]) -> list[npt.NDArray[Any]] | None:
        """Values by lane, ``(rows, count)`` each; ``None`` if a record has another shape."""
        rows, length = len(records), self.length
        joined = b"".join(records)
        if len(joined) != rows * length:
            return None
        values = [lane.view(joined, rows, length).copy() for lane in self.lanes]
        return values if self.write(values, rows) == joined and set(map(len, records)) == {length} else None

    def write(self, values: Sequence[npt.NDArray[Any]], rows: int) -> bytearray:
        """The records of such values, one after another."""
        records = bytearray(self._around * rows)
        for lane, numbers in zip(self.lanes, values, strict=True):
            lane.view(records, rows, self.length)[...] = numbers
        return records


def learn(sample: Datum, prefix: Callable[[int], bytes] = lambda length: b"") -> RowLayout | None:
    """The layout of records like ``sample``, as protobuf writes them; ``None`` where they hold anything but floats.

    ``prefix`` of its length stands before each record. The places of numbers are found by writing marks there.
    """
    marked, lanes, used = Datum(), [], 0
    marked.CopyFrom(sample)
    marked.DiscardUnknownFields()  # nothing of a client's may look like a mark
    for tensor in marked.tensors:
        key = tensor.WhichOneof("sealed_value")
        kind = TENSOR_KEYS[key] if key else None
        if kind is None or kind not in _DTYPES:
            return None
        data = getattr(tensor, str(key)).data
        marks = _marks(kind, used, len(data))
        used += len(data)
        if not data or used > _MAX_FLOATS:
            return None
        data[:] = marks.tolist()
        lanes.append((kind, marks))
    record = marked.SerializeToString()
    record = prefix(len(record)) + record
    around, found = bytearray(record), []
    for kind, marks in lanes:
        places, last = [], 0
        for mark in marks:
            last = record.find(mark.tobytes(), max(last, 0))
            places.append(last)
        steps = set(np.diff(places).tolist())
        if -1 in places or len(steps) > 1:
            return None
        lane = Lane(kind, len(places), places[0], steps.pop() if steps else 0)
        lane.view(around, 1, len(around))[...] = 0
        found.append(lane)
    return RowLayout(found, bytes(around))


def _marks(kind: TensorType, first: int, count: int) -> npt.NDArray[Any]:
    dtype = _DTYPES[kind]
    return (_MARKS[kind] + np.arange(first, first + count)).astype(f"<u{dtype.itemsize}").view(dtype)
