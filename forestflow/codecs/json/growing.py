"""A column that grows by rows, and by nothing else: at no time is it in memory twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.codecs.json.columns import in_place
from forestflow.codecs.json.nested import input_named
from forestflow.domain.errors import InvalidInput
from forestflow.domain.tensors import DTYPES, Column, TensorType

Array = npt.NDArray[Any]

_STEP = 1 << 14  # numbers converted at a time
_DISTINCT = 4096  # texts of which each is kept once

_NUMBERS = frozenset({TensorType.Int64, TensorType.UInt64, TensorType.Float64})
_TEXTS = frozenset({TensorType.String, TensorType.Bytes})
_OBJECT = np.dtype(object)


class Growing:
    """Rows of one shape, added some at a time. ``kind`` is that of all rows so far: integers become Float64 with the
    first fraction, UInt64 with the first that needs it; texts become Bytes with the first bytes.
    """

    def __init__(self, first: Column) -> None:
        self.kind = first.type
        self.rows = 0
        self._fields = first.fields
        self._name = first.fields[0] if first.fields else ""
        self._inner = first.data.shape[1:]
        self._flat = np.empty(0, _dtype(self.kind))
        self._texts: dict[Any, Any] = {}
        self._first: Column | None = first  # as it is, until more is added

    @property
    def signature(self) -> tuple[TensorType, tuple[str, ...], tuple[int, ...]]:
        """Type, fields, and shape of a row."""
        return self.kind, self._fields, self._inner

    def add(self, column: Column) -> None:
        """Raises InvalidInput for rows of another shape, or of a type that these have nothing in common with."""
        if column.data.shape[1:] != self._inner:  # looked at first: what follows copies the rows that there are
            raise InvalidInput(f"{input_named(self._name)}{_shapes(self._inner, column.data.shape[1:])}")
        if self._first is not None:
            first, self._first = self._first, None
            self.add(first)
        kind = _common(self.kind, column.type)
        if kind is None:
            raise InvalidInput(
                f"{input_named(self._name)} holds {self.kind.name} and {column.type.name} values; "
                "expected numbers, booleans or strings, of one type"
            )
        if kind is TensorType.UInt64 and self.kind is not column.type:
            smallest = (self._flat if self.kind is TensorType.Int64 else column.data).min(initial=0)
            if smallest < 0:
                raise InvalidInput(f"{input_named(self._name)} holds integers of more than 64 bits")
        if kind is not self.kind:
            self._become(kind)
        added = column.data.reshape(-1)
        before = self._flat.size
        self._flat.resize(before + added.size, refcheck=False)
        self._flat[before:] = self._once(added, column.type) if kind in _TEXTS else added
        self.rows += len(column.data)

    def column(self) -> Column:
        """All rows; nothing can be added any more."""
        if self._first is not None:
            data = self._first.data
            return Column(self.kind, self._fields, data if data.flags.writeable else data.copy())
        return Column(self.kind, self._fields, self._flat.reshape(self.rows, *self._inner))

    def _become(self, kind: TensorType) -> None:
        if kind is TensorType.Bytes:
            for i in range(0, self._flat.size, _STEP):
                self._flat[i : i + _STEP] = [text.encode() for text in self._flat[i : i + _STEP].tolist()]
        elif kind is TensorType.Float64:
            in_place(self._flat, lambda some: some.astype(np.float64), DTYPES[kind])
        self._flat.dtype = _dtype(kind)  # type: ignore[misc]  # a view would not own what it grows
        self._texts.clear()
        self.kind = kind

    def _once(self, texts: Array, kind: TensorType) -> list[Any]:
        """Equal texts as the same object, as long as they are few: categories are."""
        values: list[Any] = texts.tolist()
        if self.kind is TensorType.Bytes and kind is TensorType.String:
            values = [text.encode() for text in values]
        if len(self._texts) < _DISTINCT:
            values = list(map(self._texts.setdefault, values, values))
        return values


def _dtype(kind: TensorType) -> np.dtype[Any]:
    return _OBJECT if kind in _TEXTS else DTYPES[kind]


def _common(one: TensorType, other: TensorType) -> TensorType | None:
    if one is other:
        return one
    both = {one, other}
    if both <= _NUMBERS:
        return TensorType.Float64 if TensorType.Float64 in both else TensorType.UInt64
    if both <= _TEXTS:
        return TensorType.Bytes
    return None


def _shapes(one: tuple[int, ...], other: tuple[int, ...]) -> str:
    if len(one) != len(other):
        return f" has values {len(one)} and {len(other)} lists deep; a tensor needs one depth"
    level, (a, b) = next((i, pair) for i, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
    return f": lists of {min(a, b)} and of {max(a, b)} entries at level {level + 1}; a tensor needs lists of one length"
