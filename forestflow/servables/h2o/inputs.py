"""From a Batch's columns to the rows of doubles that a model scores, by EasyPredict's rules.

Those are the rules of ``EasyPredictModelWrapper`` with ``convertUnknownCategoricalLevelsToNa`` and
``convertInvalidNumbersToNa``, which the original ForestFlow used: columns are found by name, what is missing stays NaN,
text for a number is read as Java reads it, a level is looked up as H2O's encoder of that column does (the tables are
filled by asking it, see :mod:`.model`). Where EasyPredict refuses a type this raises ``InvalidInput``, except that any
number may stand for a number, as in the original's GraphPipe. What the model does not know, which EasyPredict ignores,
raises ``UnknownInputs``: the replica has the rule for it.

How one set of columns maps to a row is worked out once and kept as a plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import InvalidInput, UnknownInputs
from forestflow.domain.tensors import Batch, Column, IOMetadata, TensorType
from forestflow.servables.h2o.java_double import parse_java_double

Rows = npt.NDArray[np.float64]
_MAX_PLANS = 256
_FLOATS = frozenset({TensorType.Float16, TensorType.Float32, TensorType.Float64})
_TEXTS = frozenset({TensorType.String, TensorType.Bytes})
_SHORT_FLOATS = frozenset({TensorType.Float16, TensorType.Float32})
_NOT_NUMBERS = frozenset({TensorType.Bool})


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """How one categorical input is written: ``cells[row_of[value]]``, shape (1 + values, width).

    Row 0 is that of an unknown or missing value.
    """

    row_of: dict[str, int]
    cells: Rows


@dataclass(frozen=True, slots=True)
class Feature:
    """One input: its place in a row, its levels when it is categorical, and whether the metadata lists it."""

    name: str
    place: int
    levels: Levels | None = None
    listed: bool = True


_Step = Callable[[tuple[Column, ...], int, int, Rows], None]


@dataclass(frozen=True, slots=True)
class _Plan:
    steps: tuple[_Step, ...]
    covers_all: bool


class InputRows:
    """Writes batches into rows of ``width`` cells: the model's encoded features, then the offset."""

    def __init__(
        self, features: Sequence[Feature], width: int, offset: str | None = None, ignored: Iterable[str] = ()
    ) -> None:
        """``width`` counts encoded cells without the offset; ``offset`` names the column that carries it.

        ``ignored`` are columns that the model was trained with and does not look at when it scores.
        """
        self.ignored = frozenset(ignored)
        self.categorical = tuple(f.name for f in features if f.listed and f.levels is not None)
        self.numeric = tuple(f.name for f in features if f.listed and f.levels is None)
        if offset is not None and offset not in self.numeric:
            self.numeric += (offset,)
        self.expected_columns = bool(self.categorical) + bool(self.numeric)
        self._by_name = {f.name: f for f in features}
        self._width = width
        self.offset = offset
        self._plans: dict[tuple[Any, ...], _Plan] = {}

    def metadata(self) -> tuple[IOMetadata, ...]:
        """The inputs as the original describes them: categorical first, each with its fields by position."""
        inputs = []
        for name, type_, fields in (
            ("categorical", TensorType.String, self.categorical),
            ("numeric", TensorType.Float64, self.numeric),
        ):
            if fields:
                described = ",".join(f"{i}:{field}" for i, field in enumerate(fields))
                inputs.append(IOMetadata(name, type_, (len(fields),), f"[{described}]"))
        return tuple(inputs)

    def knows(self, name: str) -> bool:
        """Whether a field of that name is looked at."""
        return name in self._by_name or name == self.offset

    def check(self, batch: Batch) -> None:
        """Raise :class:`~forestflow.domain.errors.InvalidInput` as the original does: no data, wrong tensor count.

        Where a tensor too many is one of unknown fields, UnknownInputs.
        """
        count = len(batch.columns)
        if count == self.expected_columns and batch.rows:
            return
        if not batch.rows or not count:
            raise InvalidInput("No input data provided")
        self._sources(batch.columns)
        raise InvalidInput(
            f"Number of inputs (Found min: {count} max: {count}) "
            f"does not match expected number for a request {self.expected_columns}"
        )

    def write(self, batch: Batch, start: int, stop: int, rows: Rows) -> None:
        """Encode rows ``start`` to ``stop`` of the batch into ``rows``, shape (stop - start, width + 1).

        Every cell is written, but where the model has no offset its cell may be left alone: it must hold 0 already.
        """
        columns = batch.columns
        key = tuple([(c.type, c.fields, c.data.shape[1:]) for c in columns])
        plan = self._plans.get(key)
        if plan is None:
            plan = self._remember(key, columns)
        if not plan.covers_all:
            rows[:, : self._width] = np.nan
            rows[:, self._width] = 0.0
        for step in plan.steps:
            step(columns, start, stop, rows)

    def for_java(self, batch: Batch, start: int, stop: int) -> tuple[list[str], list[Any]]:
        """The known fields of rows ``start`` to ``stop`` by name, as ``BatchScorer.convert`` takes them.

        A column is a list of strings (``None``: absent) or an array of doubles.
        """
        names: list[str] = []
        values: list[Any] = []
        for name, (index, position) in self._sources(batch.columns).items():
            if name == self.offset and name not in self._by_name:
                continue
            column = batch.columns[index]
            if column.type in _TEXTS:
                values.append(list(_texts(name, column.type, column.data, position, start, stop)))
            else:
                data = _values(column.data, position, start, stop)
                categorical = self._by_name[name].levels is not None
                missing = column.type in _FLOATS and bool(np.isnan(data).all())
                if column.type in _NOT_NUMBERS or (categorical and not missing):
                    raise _unexpected(column.type, name, categorical)
                values.append(shortest_decimal(data) if column.type in _SHORT_FLOATS else data.astype(np.float64))
            names.append(name)
        return names, values

    def offsets(self, batch: Batch, start: int, stop: int) -> Rows | float:
        """The offset of each row, where :meth:`for_java` is used; 0 where the batch has none."""
        if self.offset is None or self.offset not in self._sources(batch.columns):
            return 0.0
        rows = np.zeros((stop - start, self._width + 1))
        index, position = self._sources(batch.columns)[self.offset]
        column = batch.columns[index]
        data = column.data if column.data.ndim == 1 else column.data[:, position]
        InputRows([], self._width, self.offset).write(
            Batch(batch.rows, (Column(column.type, (self.offset,), data),)), start, stop, rows
        )
        return rows[:, self._width]

    def made_up(self, rows: int) -> Batch:
        """Rows of known levels and of numbers from minute to large, the same each time."""
        random = np.random.default_rng(0)
        columns = []
        if self.categorical:
            levels = [self._by_name[name].levels for name in self.categorical]
            texts = [random.choice(list(known.row_of) or [""], rows) for known in levels if known is not None]
            columns.append(Column(TensorType.String, self.categorical, np.array(texts, dtype=object).T))
        if self.numeric:
            shape = (rows, len(self.numeric))
            numbers = random.standard_normal(shape) * 10.0 ** random.integers(-1, 4, shape)
            columns.append(Column(TensorType.Float64, self.numeric, numbers))
        return Batch(rows, tuple(columns))

    def _remember(self, key: tuple[Any, ...], columns: tuple[Column, ...]) -> _Plan:
        if len(self._plans) >= _MAX_PLANS:  # clients may come with any number of them
            self._plans.clear()
        try:
            plan = self._make_plan(columns)
        except UnknownInputs as error:  # clients that send such fields do so again and again
            plan = _Plan((partial(_raise, error.names, error.message),), True)
        self._plans[key] = plan
        return plan

    def unknown(self, names: Sequence[str]) -> UnknownInputs:
        """The error for fields that the model does not have."""
        return UnknownInputs(names, f"there is no input {names[0]!r}; {self.expected()}")

    def expected(self) -> str:
        """What the model takes, for messages of errors."""
        described = (f"{io.name} {io.type.name} {[-1, *io.shape]} {io.description}" for io in self.metadata())
        return f"the model takes {' and '.join(described)}"

    def _fields(self, column: Column) -> tuple[str, ...]:
        """The features a column carries. One named like an input of the metadata carries all of that input."""
        if len(column.fields) == 1 and column.fields[0] not in self._by_name:
            whole = {"categorical": self.categorical, "numeric": self.numeric}.get(column.fields[0], ())
            if whole:
                if column.data.ndim > 2 or (column.data.shape[1] if column.data.ndim == 2 else 1) != len(whole):
                    raise InvalidInput(f"input {column.fields[0]} must have {len(whole)} values in each row")
                return whole
            return column.fields
        if column.data.ndim > 2 or (column.data.ndim == 2 and column.data.shape[1] != len(column.fields)):
            raise InvalidInput(f"field {column.fields[0]!r} must be one value in each row")
        return column.fields

    def _sources(self, columns: tuple[Column, ...]) -> dict[str, tuple[int, int]]:
        """For each field the column and the position it comes from; of two fields of one name the later one.

        Raises UnknownInputs, also where there is nothing to score.
        """
        given = {
            name: (index, position)
            for index, column in enumerate(columns)
            for position, name in enumerate(self._fields(column))
        }
        if not given:
            raise InvalidInput(f"the request has no field; {self.expected()}")
        known = {name: place for name, place in given.items() if self.knows(name)}
        unknown = [name for name in given if name not in known and name not in self.ignored]
        if unknown or not known:
            raise self.unknown(unknown if known else list(given))
        return known

    def _make_plan(self, columns: tuple[Column, ...]) -> _Plan:
        source = self._sources(columns)
        steps: list[_Step] = []
        direct: dict[int, list[tuple[int, int]]] = {}  # column -> (position, place) of numbers for numbers
        for name, (index, position) in source.items():
            type_ = columns[index].type
            feature = self._by_name.get(name)
            place = self._width if feature is None else feature.place
            if feature is not None and feature.levels is not None:
                steps.append(_categorical_step(name, feature.levels, place, type_, index, position))
            elif type_ in _NOT_NUMBERS:
                raise _unexpected(type_, name, categorical=False)
            elif type_ in _TEXTS:
                steps.append(_text_step(name, place, type_, index, position, place == self._width))
            else:
                direct.setdefault(index, []).append((position, place))
        for index, pairs in direct.items():
            steps.append(_number_step(columns[index].type, index, sorted(pairs), len(self._fields(columns[index]))))
        covers_all = self._by_name.keys() <= source.keys() and self.offset in (None, *source)
        return _Plan(tuple(steps), covers_all)


def _raise(names: tuple[str, ...], message: str, *_: object) -> None:
    raise UnknownInputs(names, message)


def _unexpected(type_: TensorType, name: str, categorical: bool) -> InvalidInput:
    return InvalidInput(f"Unexpected type {type_.name} for {'categorical' if categorical else 'numeric'} column {name}")


def _number_step(type_: TensorType, index: int, pairs: list[tuple[int, int]], field_count: int) -> _Step:
    positions, places = [p for p, _ in pairs], [p for _, p in pairs]
    consecutive = places == list(range(places[0], places[0] + len(places)))
    target: Any = slice(places[0], places[-1] + 1) if consecutive else places
    every = positions == list(range(field_count))

    def step(columns: tuple[Column, ...], start: int, stop: int, rows: Rows) -> None:
        data = columns[index].data
        if data.ndim == 1:
            data = data[:, None]
        if start or stop != len(data):
            data = data[start:stop]
        if not every:
            data = data[:, positions]
        rows[:, target] = shortest_decimal(data) if type_ in _SHORT_FLOATS else data

    return step


def _text_step(name: str, place: int, type_: TensorType, index: int, position: int, is_offset: bool) -> _Step:
    absent = 0.0 if is_offset else math.nan

    def step(columns: tuple[Column, ...], start: int, stop: int, rows: Rows) -> None:
        texts = _texts(name, type_, columns[index].data, position, start, stop)
        rows[:, place] = [absent if text is None else parse_java_double(text) for text in texts]

    return step


def _categorical_step(
    name: str, levels: Levels, place: int, type_: TensorType, index: int, position: int
) -> _Step:  # fmt: skip
    width = levels.cells.shape[1]
    row_of = levels.row_of.get
    if type_ in _FLOATS:

        def missing_step(columns: tuple[Column, ...], start: int, stop: int, rows: Rows) -> None:
            if not np.isnan(_values(columns[index].data, position, start, stop)).all():
                raise _unexpected(type_, name, categorical=True)
            rows[:, place : place + width] = levels.cells[0]

        return missing_step
    if type_ not in _TEXTS:
        raise _unexpected(type_, name, categorical=True)

    def step(columns: tuple[Column, ...], start: int, stop: int, rows: Rows) -> None:
        texts = _texts(name, type_, columns[index].data, position, start, stop)
        rows[:, place : place + width] = levels.cells[[row_of(text, 0) for text in texts]]  # type: ignore[arg-type]  # None is no key

    return step


def _values(data: npt.NDArray[Any], position: int, start: int, stop: int) -> npt.NDArray[Any]:
    one: npt.NDArray[Any] = data[start:stop] if data.ndim == 1 else data[start:stop, position]
    return one


def _texts(
    name: str, type_: TensorType, data: npt.NDArray[Any], position: int, start: int, stop: int
) -> Iterable[str | None]:
    """The strings of one field; ``None`` where the value is absent. Bytes are read as UTF-8."""
    values: list[Any] = _values(data, position, start, stop).tolist()
    if type_ is TensorType.Bytes:
        try:
            return [None if value is None else value.decode() for value in values]
        except UnicodeDecodeError as error:
            raise InvalidInput(f"column {name} holds bytes that are not UTF-8 text") from error
    return values


@np.errstate(invalid="ignore", over="ignore")  # NaNs of any kind, and values that fit no narrower type, may come
def shortest_decimal(data: npt.NDArray[Any]) -> Rows:
    """Float16/32 as the doubles of their shortest decimals, the way the original's GraphPipe and H2O's CSV read them.

    0.1 in Float32 becomes 0.1, not 0.10000000149011612; H2O trained its split points on the former.

    Of a number with p bits the shortest decimal is the nearest one with the fewest places that gives the number back.
    Below 2**p that is ``rint(x * 10**k) / 10**k`` for the first fitting k: the product is exact (24 + 5**12's 28 bits),
    the quotient correctly rounded. All others are printed and read.
    """
    narrow = data.ravel()
    wide = narrow.astype(np.float64)
    result = np.rint(wide)
    fits = result.astype(narrow.dtype) == narrow
    big = np.abs(wide) >= 2.0 ** (np.finfo(narrow.dtype).nmant + 1)
    left = np.flatnonzero(~fits & ~big & ~np.isnan(wide))
    for places in range(1, 13):
        if not left.size:
            break
        tried = np.rint(wide[left] * 10.0**places) / 10.0**places
        fit = tried.astype(narrow.dtype) == narrow[left]
        result[left[fit]] = tried[fit]
        left = left[~fit]
    printed = np.concatenate([left, np.flatnonzero(big)])
    if printed.size:
        result[printed] = narrow[printed].astype("U32").astype(np.float64)
    return result.reshape(data.shape)
