"""Typed, column-oriented batches: what codecs produce from bytes and what servables read and return."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


class TensorType(enum.IntEnum):
    """Element types; the numbers are those of the original's ``TensorType`` proto enum."""

    Float16 = 1
    Float32 = 2
    Float64 = 3
    Int8 = 4
    Int16 = 5
    Int32 = 6
    Int64 = 7
    String = 8
    Bool = 9
    Bytes = 10


DTYPES: dict[TensorType, np.dtype[Any]] = {
    TensorType.Float16: np.dtype(np.float16),
    TensorType.Float32: np.dtype(np.float32),
    TensorType.Float64: np.dtype(np.float64),
    TensorType.Int8: np.dtype(np.int8),
    TensorType.Int16: np.dtype(np.int16),
    TensorType.Int32: np.dtype(np.int32),
    TensorType.Int64: np.dtype(np.int64),
    TensorType.String: np.dtype(object),
    TensorType.Bool: np.dtype(np.bool_),
    TensorType.Bytes: np.dtype(object),
}


# Column and Batch are values, too, but not frozen: a few are made for each request, and freezing costs microseconds.
@dataclass(slots=True, eq=False)
class Column:
    """A group of equally typed fields for every row of a batch (one entry of a BASIC schema).

    ``data`` has the rows as its first axis. With several ``fields`` its shape is ``(rows, len(fields))``; with a
    single field it is ``(rows, ...)``: one scalar, or one flattened tensor, per row. The dtype is ``DTYPES[type]``;
    String and Bytes are object arrays of ``str`` and ``bytes``.
    """

    type: TensorType
    fields: tuple[str, ...]
    data: npt.NDArray[Any]


@dataclass(slots=True, eq=False)
class Batch:
    """``rows`` records as columns. ``columns`` all have ``rows`` as the length of their first axis."""

    rows: int
    columns: tuple[Column, ...]

    @property
    def signature(self) -> tuple[tuple[TensorType, tuple[str, ...], tuple[int, ...]], ...]:
        """Equal for batches that may be merged row-wise: types, fields and the shape of one row."""
        return tuple([(c.type, c.fields, c.data.shape[1:]) for c in self.columns])

    def slice(self, start: int, stop: int) -> Batch:
        """Rows ``start`` to ``stop`` as views of the same memory."""
        stop = min(stop, self.rows)
        return Batch(stop - start, tuple([Column(c.type, c.fields, c.data[start:stop]) for c in self.columns]))


def concat(batches: Sequence[Batch]) -> Batch:
    """Join batches of one signature row-wise; a single batch is returned as it is."""
    if len(batches) == 1:
        return batches[0]
    first = batches[0]
    columns = tuple(
        Column(column.type, column.fields, np.concatenate([b.columns[i].data for b in batches]))
        for i, column in enumerate(first.columns)
    )
    return Batch(sum(b.rows for b in batches), columns)


@dataclass(frozen=True, slots=True)
class IOMetadata:
    """One input or output tensor of a model. ``shape`` is of one row; -1 where it is free."""

    name: str
    type: TensorType
    shape: tuple[int, ...] = ()
    description: str | None = None


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a loaded model says of itself."""

    inputs: tuple[IOMetadata, ...]
    outputs: tuple[IOMetadata, ...] = ()
