"""Typed, column-oriented batches: what codecs produce from bytes and what servables read and return."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import ModelFailed
from forestflow.domain.independence import Independence


class TensorType(enum.IntEnum):
    """Element types; the numbers are those of the original's ``TensorType`` proto enum, from 100 on ours."""

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
    UInt8 = 100
    UInt16 = 101
    UInt32 = 102
    UInt64 = 103


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
    TensorType.UInt8: np.dtype(np.uint8),
    TensorType.UInt16: np.dtype(np.uint16),
    TensorType.UInt32: np.dtype(np.uint32),
    TensorType.UInt64: np.dtype(np.uint64),
}


class Layout(enum.Enum):
    """How a client gave the values of a batch, and how it reads them."""

    RECORDS = "RECORDS"  # record by record, each tensor flattened (BASIC): the model's metadata says the shape
    TENSORS = "TENSORS"  # tensors of the shape that the client gave them, alike in their first axis: the rows
    WHOLE = "WHOLE"  # the same without a first axis in common: each lies below one more axis, of length 1


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
    """``rows`` records as columns. ``columns`` all have ``rows`` as the length of their first axis.

    In the layouts TENSORS and WHOLE each column has one field, the tensor's name ("" where the client gave none), and
    its data the shape of that tensor (WHOLE: below a first axis of length 1, and ``rows`` is 1).
    """

    rows: int
    columns: tuple[Column, ...]
    layout: Layout = Layout.RECORDS
    form_varies: bool = False  # of an answer: some of its rows alone might have other types or outputs

    @classmethod
    def of_tensors(cls, columns: Sequence[Column]) -> Batch:
        """Tensors of one name each, of any shapes: TENSORS where all have a first axis in common, else WHOLE."""
        lengths = {column.data.shape[:1] for column in columns}
        if len(lengths) == 1 and (length := lengths.pop()):
            return cls(length[0], tuple(columns), Layout.TENSORS)
        return cls(1, tuple([Column(c.type, c.fields, c.data[None]) for c in columns]), Layout.WHOLE)

    def tensors(self) -> tuple[Column, ...]:
        """The columns, ``data`` in the tensor's own shape in the layout WHOLE, too; no copies."""
        if self.layout is not Layout.WHOLE:
            return self.columns
        return tuple([Column(c.type, c.fields, c.data[0, ...]) for c in self.columns])

    @property
    def signature(self) -> tuple[object, ...]:
        """Equal for batches that may be merged row-wise: layout, and types, fields and the shape of one row."""
        return self.layout, *[(c.type, c.fields, c.data.shape[1:]) for c in self.columns]

    def without(self, names: Collection[str]) -> Batch:
        """The batch less the fields of those names. Whole tensors that are left may have rows in common then."""
        columns = []
        dropped = frozenset(names)
        for column in self.tensors():
            kept = [place for place, name in enumerate(column.fields) if name not in dropped]
            if len(kept) == len(column.fields):
                columns.append(column)
            elif kept:
                data = column.data[:, kept[0] if len(kept) == 1 else kept]
                columns.append(Column(column.type, tuple([column.fields[place] for place in kept]), data))
        return Batch.of_tensors(columns) if self.layout is Layout.WHOLE else replace(self, columns=tuple(columns))

    def slice(self, start: int, stop: int) -> Batch:
        """Rows ``start`` to ``stop`` as views of the same memory."""
        stop = min(stop, self.rows)
        columns = tuple([Column(c.type, c.fields, c.data[start:stop]) for c in self.columns])
        return Batch(stop - start, columns, self.layout)


def concat(batches: Sequence[Batch]) -> Batch:
    """Join batches of one signature row-wise; a single batch is returned as it is."""
    if len(batches) == 1:
        return batches[0]
    first = batches[0]
    columns = tuple(
        Column(column.type, column.fields, np.concatenate([b.columns[i].data for b in batches]))
        for i, column in enumerate(first.columns)
    )
    return Batch(sum(b.rows for b in batches), columns, first.layout)


def joined(parts: Sequence[Batch]) -> Batch:
    """Join the answers to the slices of one batch, columns by their fields; a single one is returned as it is.

    Numbers and booleans of different types become one type that holds them all. Raises ModelFailed for parts of
    other layouts, fields, or shapes of a row, and for types that have none in common.
    """
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    for part in parts:
        if part.layout is not first.layout or len(part.columns) != len(first.columns):
            raise ModelFailed("the parts of the answer have different outputs")
    columns = tuple([_joined([_like(column, part, i) for part in parts]) for i, column in enumerate(first.columns)])
    return Batch(sum(part.rows for part in parts), columns, first.layout)


def _like(wanted: Column, part: Batch, place: int) -> Column:
    """The part's column of those fields, which is nearly always at that place."""
    column = part.columns[place]
    if column.fields != wanted.fields:
        found = [column for column in part.columns if column.fields == wanted.fields]
        if not found:
            raise ModelFailed(f"output {','.join(wanted.fields)!r} is only in some parts of the answer")
        column = found[0]
    if column.data.shape[1:] != wanted.data.shape[1:]:
        raise ModelFailed(
            f"output {','.join(wanted.fields)!r} has rows of the shapes {list(wanted.data.shape[1:])} and "
            f"{list(column.data.shape[1:])}"
        )
    return column


def _joined(columns: Sequence[Column]) -> Column:
    first = columns[0]
    kinds = {column.type for column in columns}
    if len(kinds) == 1:
        return Column(first.type, first.fields, np.concatenate([column.data for column in columns]))
    kind = _common(first.fields, columns, kinds)
    data = [column.data.astype(DTYPES[kind]) for column in columns]
    return Column(kind, first.fields, np.concatenate(data))


def _common(fields: tuple[str, ...], columns: Sequence[Column], kinds: set[TensorType]) -> TensorType:
    """The type that NumPy gives to such numbers together; integers that no such type holds exactly have none."""
    dtypes = [DTYPES[kind] for kind in kinds]
    if all(dtype.kind != "O" for dtype in dtypes):
        common = np.result_type(*dtypes)
        if common.kind != "f" or any(dtype.kind == "f" for dtype in dtypes):
            return next(kind for kind, dtype in DTYPES.items() if dtype == common)
        if all(column.data.size == 0 or column.data.min() >= 0 for column in columns):  # signed ones beside UInt64
            return TensorType.UInt64
    names = ", ".join(sorted(kind.name for kind in kinds))
    raise ModelFailed(f"output {','.join(fields)!r} has rows of the types {names}, which no type holds together")


@dataclass(frozen=True, slots=True)
class IOMetadata:
    """One input or output tensor of a model. ``shape`` is of one row; -1 where it is free.

    With ``any_rank`` the model does not say how many dimensions there are, and ``shape`` is empty. ``json`` says that a
    String holds JSON: a protocol whose values are JSON carries them as they are.
    """

    name: str
    type: TensorType
    shape: tuple[int, ...] = ()
    description: str | None = None
    any_rank: bool = False
    json: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a model. Where it is ``batched``, every tensor has the rows as one more, leading axis.

    ``method`` is what the model calls it: "predict", "classify", "regress", or a name of the framework's own.
    """

    inputs: tuple[IOMetadata, ...]
    outputs: tuple[IOMetadata, ...] = ()
    batched: bool = True
    method: str = "predict"


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a loaded model says of itself: the inputs and outputs of its default signature, and all its signatures.

    Models with one way to be called name no ``signatures``; ``every_signature`` gives it all the same.
    ``independence`` has what was found of each signature's rows when the model was loaded. ``warnings`` say what of a
    request the model takes and does not use.
    """

    inputs: tuple[IOMetadata, ...]
    outputs: tuple[IOMetadata, ...] = ()
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    default: str = "serving_default"
    independence: Mapping[str, Independence] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def every_signature(self) -> Mapping[str, Signature]:
        """All signatures by name, at least the default one."""
        return self.signatures or {self.default: Signature(self.inputs, self.outputs)}
