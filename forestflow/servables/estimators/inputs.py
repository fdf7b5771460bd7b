"""What an estimator takes: the columns of a request, by name, as a matrix, a DataFrame or a plain column."""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import InvalidInput, UnknownInputs
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, TensorType
from forestflow.servables.binding import type_of

Array = npt.NDArray[Any]

MATRIX = "X"  # the name of the only input of a model that knows no names
UNUSED = "not used"  # the description of columns that the model drops
TEXTS = frozenset({TensorType.String, TensorType.Bytes})


class Form(enum.Enum):
    """What is handed to the estimator."""

    MATRIX = enum.auto()  # an array, whose first axis is the rows
    FRAME = enum.auto()  # a pandas DataFrame, a column per input
    COLUMN = enum.auto()  # the values of the only input, one a row: texts for a vectorizer
    NAMED = enum.auto()  # arrays by name


class Reader(Protocol):
    """Makes what an estimator takes of the texts of a column: datetimes, lists, objects."""

    @property
    def samples(self) -> tuple[str, str]:
        """Texts to rehearse with, which differ where this is possible."""
        ...

    def read(self, name: str, values: Array) -> Array:
        """``values``, shape (rows,), are texts, or lists and numbers that came as a tensor. Raises InvalidInput."""
        ...


class Options(Protocol):
    """What the configs of a request may say to the model itself."""

    def key(self, configs: Mapping[str, str]) -> Hashable:
        """Equal for configs that say the same."""
        ...

    def read(self, configs: Mapping[str, str]) -> dict[str, Any]:
        """All options by name. Raises InvalidInput."""
        ...


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of an estimator: columns, one value a row each; or tensors, where ``tensors`` says so.

    A request need not have the columns that are ``optional``. Those in ``readers`` come as texts for these.
    """

    each: tuple[IOMetadata, ...]
    tensors: bool = False
    optional: frozenset[str] = frozenset()
    readers: Mapping[str, Reader] = field(default_factory=dict)

    @property
    def text(self) -> bool:
        """Whether one of them holds texts."""
        return any(io.type in TEXTS for io in self.each)

    def forms(self, frames: Literal["never", "maybe", "always"]) -> tuple[Form, ...]:
        """What to try, in this order. ``frames``: whether the estimator takes a DataFrame."""
        if self.tensors:
            return (Form.MATRIX,) if len(self.each) == 1 else (Form.NAMED,)
        if frames == "never":
            return (Form.MATRIX,)
        if frames == "always":
            return (Form.FRAME,)
        if not self.text:
            return (Form.MATRIX, Form.FRAME)
        return (Form.FRAME, Form.COLUMN) if len(self.each) == 1 else (Form.FRAME,)


class NamedColumns:
    """Columns that a request gives by name, in any order and grouping, for an estimator that takes a matrix.

    Booleans are numbers, too, in the columns ``booleans``: a model that keeps no types may have been trained on them.
    """

    def __init__(self, inputs: Inputs, booleans: frozenset[str] = frozenset()) -> None:
        self._booleans = booleans
        self._columns = inputs.each
        self._optional = inputs.optional
        self._names = tuple([io.name for io in inputs.each])
        self._place = {name: i for i, name in enumerate(self._names)}

    def joined(self, batch: Batch) -> Batch:
        """The batch with one column, :data:`MATRIX`, optional columns that it has not as NaN.

        Raises InvalidInput for names and types that do not fit.

        A single tensor (rows, columns), whatever its name, has the columns in the model's order.
        """
        if len(batch.columns) == 1:
            column = batch.columns[0]
            whole = column.data.ndim == 2 and column.data.shape[1] == len(self._names)
            ordered = column.fields == self._names or (batch.layout is Layout.TENSORS and whole)
            if ordered and column.type not in TEXTS and column.type is not TensorType.Bool:
                data = column.data.reshape(batch.rows, len(self._names)) if column.data.ndim == 1 else column.data
                return Batch(batch.rows, (Column(column.type, (MATRIX,), data),), batch.layout)
        return self._gathered(batch)

    def _gathered(self, batch: Batch) -> Batch:
        batch = with_rows(batch, self._place)
        given = dict.fromkeys([field for column in batch.columns for field in column.fields])
        missing = [name for name in self._names if name not in given]
        if required := [name for name in missing if name not in self._optional]:
            unknown = [field for field in given if field not in self._place]
            names = f"; there is no input {', '.join(map(repr, unknown))}" if unknown else ""
            raise InvalidInput(f"input {required[0]!r} is missing; {self._expected()}{names}")
        numbers = [np.float32 if c.data.dtype.kind == "b" else c.data.dtype for c in batch.columns]
        dtype = np.result_type(np.float32, *[n for n in numbers if np.dtype(n).kind in "iuf"])
        matrix = np.empty((batch.rows, len(self._names)), dtype)
        matrix[:, [self._place[name] for name in missing]] = np.nan
        for column in batch.columns:
            places = [self._place_of(field, column, given) for field in column.fields]
            data = column.data.reshape(batch.rows, math.prod(column.data.shape[1:]))  # there may be no rows
            if data.shape[1] != len(places):
                raise InvalidInput(f"input {column.fields[0]!r} takes one value a row, got {data.shape[1]}")
            matrix[:, places] = data
        kind = type_of(matrix.dtype)
        assert kind is not None
        return Batch(batch.rows, (Column(kind, (MATRIX,), matrix),), batch.layout)

    def _place_of(self, name: str, column: Column, given: Iterable[str]) -> int:
        place = self._place.get(name)
        if place is None:
            unknown = [field for field in given if field not in self._place]
            raise UnknownInputs(unknown, f"there is no input {name!r}; {self._expected()}")
        wanted = self._columns[place].type
        boolean = column.type is TensorType.Bool and wanted is not TensorType.Bool and name not in self._booleans
        if column.type in TEXTS or boolean:
            raise InvalidInput(f"input {name!r} takes {wanted.name}, got {column.type.name}")
        return place

    def _expected(self) -> str:
        return f"the model takes {', '.join(map(repr, self._names))}"


def renamed(batch: Batch, name: str) -> Batch:
    """A single tensor, or field, under the name of the only input: a model that knows no names takes any."""
    if batch.layout is Layout.WHOLE or len(batch.columns) != 1:
        return batch
    column = batch.columns[0]
    if len(column.fields) != 1 or column.fields == (name,):
        return batch
    return Batch(batch.rows, (Column(column.type, (name,), column.data),), batch.layout)


def numbered(batch: Batch, names: frozenset[str]) -> Batch:
    """The batch with booleans of these names as 0 and 1, for a DataFrame."""
    if not any(column.type is TensorType.Bool for column in batch.columns):
        return batch
    columns: list[Column] = []
    for column in batch.columns:
        if column.type is not TensorType.Bool or names.isdisjoint(column.fields):
            columns.append(column)
            continue
        data = column.data.reshape(batch.rows, -1)
        parts = [(column.fields, data)]
        if not names.issuperset(column.fields):
            parts = [((field,), data[:, i]) for i, field in enumerate(column.fields)]
        for fields, part in parts:
            kind = TensorType.Float64 if names.issuperset(fields) else TensorType.Bool
            columns.append(Column(kind, fields, part.astype(DTYPES[kind])))
    return Batch(batch.rows, tuple(columns), batch.layout)


def with_rows(batch: Batch, names: Collection[str]) -> Batch:
    """The batch itself. Raises InvalidInput where its tensors have no rows in common, as columns of a table have.

    UnknownInputs, where some are none of ``names``: the others may have.
    """
    if batch.layout is Layout.WHOLE:
        unknown = [field for column in batch.columns for field in column.fields if field and field not in names]
        message = "the inputs have different numbers of rows, or one is a scalar"
        raise UnknownInputs(unknown, message) if unknown else InvalidInput(message)
    return batch


def without(batch: Batch, names: frozenset[str]) -> Batch:
    """The batch less the columns of these names; one without names, or with nothing else, as it is."""
    if not any(field in names for column in batch.columns for field in column.fields):
        return batch
    kept: list[Column] = []
    for column in batch.columns:
        places = [i for i, field in enumerate(column.fields) if field not in names]
        if len(places) == len(column.fields):
            kept.append(column)
        elif places:
            data = column.data.reshape(batch.rows, len(column.fields))[:, places]
            kept.append(Column(column.type, tuple([column.fields[i] for i in places]), data))
    return Batch(batch.rows, tuple(kept), batch.layout) if kept else batch


def in_form(form: Form, inputs: Mapping[str, Array]) -> Any:
    """The arrays of a request as the estimator takes them."""
    match form:
        case Form.FRAME:
            import pandas

            return pandas.DataFrame(dict(inputs), copy=False)
        case Form.NAMED:
            return dict(inputs)
        case _:
            (only,) = inputs.values()
            return only


def spelled(inputs: Inputs, batch: Batch) -> Batch:
    """Numeric tensors of the columns that have readers as columns of lists: the values of each row below it."""
    columns = []
    for place, column in enumerate(batch.columns):
        name = column.fields[0] or inputs.each[min(place, len(inputs.each) - 1)].name
        if name in inputs.readers and len(column.fields) == 1 and column.type not in TEXTS:
            rows = np.empty(len(column.data), object)
            for i, values in enumerate(column.data.tolist()):
                rows[i] = values
            column = Column(TensorType.String, column.fields, rows)
        columns.append(column)
    return Batch(batch.rows, tuple(columns), batch.layout)


class Texts:
    """The columns that come as texts: each is made ``str``, ``bytes``, or what its reader makes of it.

    Protocols differ in what they have for texts (gRPC has bytes), models must not.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._types = {io.name: bytes if io.type is TensorType.Bytes else str for io in inputs.each if io.type in TEXTS}
        self._readers = inputs.readers

    def read(self, given: Mapping[str, Array]) -> Mapping[str, Array]:
        """The arrays of a request with these. Raises InvalidInput."""
        if not self._types:
            return given
        made = dict(given)
        for name, wanted in self._types.items():
            if name in self._readers and name in made:
                made[name] = self._readers[name].read(name, made[name])
            elif name in made and made[name].dtype == object:
                made[name] = _uniform(name, wanted, made[name])
        return made


def _uniform(name: str, wanted: type, array: Array) -> Array:
    flat = array.reshape(-1).tolist()
    if {wanted}.issuperset(map(type, flat)):
        return array
    texts = np.empty(len(flat), object)
    try:
        texts[:] = [text if type(text) is wanted else _converted(text) for text in flat]
    except UnicodeDecodeError:
        raise InvalidInput(f"input {name!r} holds a text that is not UTF-8") from None
    return texts.reshape(array.shape)


def _converted(text: Any) -> Any:
    return text.decode() if isinstance(text, bytes) else text.encode() if isinstance(text, str) else text


def completed(inputs: Inputs, given: Mapping[str, Array]) -> Mapping[str, Array]:
    """Arrays of all columns: those that a request has not are NaN, texts, too, as pandas and scikit-learn have it."""
    if len(given) == len(inputs.each):
        return given
    rows = len(next(iter(given.values())))
    return {io.name: given[io.name] if io.name in given else _missing(inputs, io, rows) for io in inputs.each}


def _missing(inputs: Inputs, io: IOMetadata, rows: int) -> Array:
    if io.name in inputs.readers:
        return inputs.readers[io.name].read(io.name, np.full(rows, "", object))
    dtype = DTYPES[io.type]
    return np.full(rows, np.nan, np.float64 if dtype.kind in "iu" else object if dtype.kind == "b" else dtype)


def made_up(
    inputs: tuple[IOMetadata, ...], rows: int, samples: Mapping[str, Any] = MappingProxyType({}), number: float = 0
) -> dict[str, Array]:
    """``samples`` by name, otherwise ``number`` and empty strings; sizes that are free are 1."""
    return {
        io.name: np.full(
            (rows, *[1 if size < 0 else size for size in io.shape]),
            samples.get(io.name, {TensorType.String: "", TensorType.Bytes: b""}.get(io.type, number)),
            DTYPES[io.type],
        )
        for io in inputs
    }
