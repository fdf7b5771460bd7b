"""Categories that a model was trained with: what requests say becomes the code that the model splits by.

pandas numbers the categories of a column by their place in a list. A model that was trained on these numbers must get
the same ones for the same values, so the list has to be known: a value says nothing of its code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import InvalidInput, LoadFailed
from forestflow.domain.tensors import Batch, Column, IOMetadata, Layout, TensorType
from forestflow.servables import labels

Array = npt.NDArray[Any]

_TEXTS = frozenset({TensorType.String, TensorType.Bytes})
_LISTED = 100  # categories that the metadata of a column lists


class Levels:
    """The categories of one column, in the order of their codes: all texts, all booleans or all numbers.

    ``closed`` says that the framework refuses values that are none of them; otherwise these count as missing.
    ``dtype`` is what the framework compares numbers in, where that matters.
    """

    def __init__(self, values: Sequence[Any], *, closed: bool = False, dtype: np.dtype[Any] | None = None) -> None:
        self.values = [value.item() if isinstance(value, np.generic) else value for value in values]
        self.type = _type_of(self.values)
        self._closed = closed
        self._dtype = dtype
        self._codes: dict[Any, float] = {value: float(code) for code, value in enumerate(self.values)}
        if self.type is not TensorType.String:
            numbers = np.array(self.values, np.float64 if self.type is TensorType.Float64 else np.int64)
            self._order = np.argsort(numbers, kind="stable")
            self._sorted = numbers[self._order]

    @property
    def described(self) -> str:
        """What the metadata says of such a column: the categories with their codes, if these are not too many."""
        if len(self.values) > _LISTED:
            return f"{len(self.values)} categories"
        return labels.described(self.values)

    def fits(self, kind: TensorType) -> bool:
        """Whether values of ``kind`` may be categories of this column."""
        if self.type is TensorType.String:
            return kind in _TEXTS
        return kind not in _TEXTS and (self.type is TensorType.Bool or kind is not TensorType.Bool)

    def codes(self, name: str, kind: TensorType, data: Array) -> Array:
        """The codes of ``data``, shape (rows,), as Float64; NaN for what is missing.

        Raises InvalidInput for another type, and for values that are no category where the framework refuses them.
        """
        if not self.fits(kind):
            raise InvalidInput(f"input {name!r} takes {self.type.name}, got {kind.name}")
        codes, missing = self._of_texts(data) if self.type is TensorType.String else self._of_numbers(name, kind, data)
        if self._closed and (unseen := np.isnan(codes) & ~missing).any():
            value = data[int(unseen.argmax())]
            raise InvalidInput(
                f"input {name!r}: {value!s:.200} is none of the {len(self.values)} categories of the model"
            )
        return codes

    def categorical(self, codes: Array) -> Any:
        """A column of a pandas DataFrame with these codes."""
        import pandas

        values = self.values if self._dtype is None else np.array(self.values, self._dtype)
        places = np.where(np.isnan(codes), -1, codes).astype(np.int64)
        return pandas.Categorical.from_codes(places, categories=pandas.Index(values))

    def _of_texts(self, data: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Protocols have no other text for what is missing than the empty one."""
        values = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in data.tolist()]
        codes = np.fromiter(map(self._codes.get, values, repeat(np.nan)), np.float64, len(values))
        return codes, np.array([not isinstance(value, str) or not value for value in values], np.bool_)

    def _of_numbers(self, name: str, kind: TensorType, data: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        missing = np.isnan(data) if data.dtype.kind == "f" else np.zeros(len(data), np.bool_)
        if not self.values:
            return np.full(len(data), np.nan), missing
        both = data.dtype if data.dtype.kind == "f" else self._sorted.dtype
        given, known = data.astype(both), self._sorted.astype(both)
        places = np.minimum(np.searchsorted(known, given), len(known) - 1)
        found = known[places] == given
        if data.dtype.kind == "f" and self.type is TensorType.Int64:
            exact = 2.0 ** (np.finfo(data.dtype).nmant + 1)  # the first whole number that a neighbour may be rounded to
            if (found & (np.abs(data) >= exact)).any():
                raise InvalidInput(
                    f"input {name!r}: {kind.name} does not tell whole numbers from {exact:.0f} on apart, which are "
                    "categories of the model; send them as whole numbers, and missing ones (NaN) in another request"
                )
        if data.dtype == np.uint64:
            found &= data <= np.uint64(np.iinfo(np.int64).max)
        return np.where(found, self._order[places].astype(np.float64), np.nan), missing


class Coding:
    """The columns of requests that hold categories, as columns of codes; all others as they are."""

    def __init__(self, inputs: tuple[IOMetadata, ...], levels: Mapping[str, Levels]) -> None:
        self._names = tuple([io.name for io in inputs])
        self._levels = levels
        self.coded = tuple(
            [IOMetadata(io.name, TensorType.Float64) if io.name in levels else io for io in inputs]
        )  # what the columns are afterwards

    def encoded(self, batch: Batch) -> Batch:
        """A batch with rows. Raises InvalidInput for what can be none of the categories."""
        if len(batch.columns) == 1 and self._whole(batch.columns[0], batch.layout):
            column = batch.columns[0]
            data = column.data.reshape(batch.rows, len(self._names))
            columns = [Column(column.type, (name,), data[:, i]) for i, name in enumerate(self._names)]
        else:
            columns = [part for column in batch.columns for part in self._parted(column, batch.rows)]
        return Batch(batch.rows, tuple([self._coded(column) for column in columns]), batch.layout)

    def framed(self, arrays: Mapping[str, Array]) -> dict[str, Any]:
        """Columns of a DataFrame: codes as categories again."""
        return {
            name: self._levels[name].categorical(array) if name in self._levels else array
            for name, array in arrays.items()
        }

    def _whole(self, column: Column, layout: Layout) -> bool:
        """Whether it holds all columns, in the order of the inputs."""
        whole = column.data.ndim == 2 and column.data.shape[1] == len(self._names)
        return whole and layout is Layout.TENSORS and (len(self._names) > 1 or column.fields != self._names)

    def _parted(self, column: Column, rows: int) -> list[Column]:
        if len(column.fields) == 1 or not any(field in self._levels for field in column.fields):
            return [column]
        data = column.data.reshape(rows, len(column.fields))
        return [Column(column.type, (field,), data[:, i]) for i, field in enumerate(column.fields)]

    def _coded(self, column: Column) -> Column:
        levels = self._levels.get(column.fields[0]) if len(column.fields) == 1 else None
        if levels is None:
            return column
        name, data = column.fields[0], column.data
        if data.size != len(data):
            raise InvalidInput(f"input {name!r} takes one value a row, got {data.size // max(1, len(data))}")
        return Column(TensorType.Float64, column.fields, levels.codes(name, column.type, data.reshape(-1)))


def _type_of(values: Sequence[Any]) -> TensorType:
    kinds = set(map(type, values))
    if kinds == {str}:
        return TensorType.String
    if kinds == {bool}:
        return TensorType.Bool
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in values):
        return TensorType.Int64
    if kinds <= {int, float}:
        return TensorType.Float64
    raise LoadFailed(
        "categories must be all texts, all booleans or all numbers, "
        f"not of the types {', '.join(sorted(kind.__name__ for kind in kinds))}"
    )
