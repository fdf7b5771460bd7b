"""From batches of any layout to a model that takes and gives named arrays, and back: what such servables share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import InvalidInput, ModelFailed, UnknownInputs
from forestflow.domain.independence import Independence
from forestflow.domain.requests import OUTPUTS_KEY, SIGNATURE_KEY
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, ModelMetadata, Signature, TensorType
from forestflow.servables.independence import MAX_ROWS, NO_ROWS, SECONDS, probe

Array = npt.NDArray[Any]
Call = Callable[..., Mapping[str, Array]]

_TEXTS = frozenset({TensorType.String, TensorType.Bytes})
_FLOATS = frozenset({TensorType.Float16, TensorType.Float32, TensorType.Float64})
_TYPES: dict[np.dtype[Any], TensorType] = {dtype: kind for kind, dtype in DTYPES.items() if kind not in _TEXTS}
_MAX_CHOICES = 64


class Bindings:
    """Every signature of a model. ``call(signature, inputs, outputs)`` runs one: arrays by name in, arrays by name out.

    What ``predict`` is given beside, ``call`` gets behind these.

    Inputs have the declared dtype (String and Bytes: object arrays of ``str`` or ``bytes``) and a shape that fits the
    declared one; where the signature is batched, below a leading axis of the rows. Those of ``optional`` are left out
    where a request has them not.
    """

    def __init__(self, metadata: ModelMetadata, call: Call, optional: Collection[str] = ()) -> None:
        self._default = metadata.default
        self._bound = {
            name: _Bound(name, signature, call, optional) for name, signature in metadata.every_signature().items()
        }

    def merge_key(self, configs: Mapping[str, str]) -> Hashable | None:
        """As :class:`~forestflow.servables.base.Servable` has it; an unknown signature runs alone, into its error."""
        name = configs.get(SIGNATURE_KEY) or self._default
        bound = self._bound.get(name)
        return (name, configs.get(OUTPUTS_KEY, "")) if bound is not None and bound.signature.batched else None

    def independence(
        self, examples: Mapping[str, Sequence[Batch]], most_rows: int = MAX_ROWS
    ) -> dict[str, Independence]:
        """Try the rows of each signature, the default one first; ``examples`` are inputs of some."""
        end = time.perf_counter() + SECONDS
        names = sorted(self._bound, key=lambda name: name != self._default)
        return {name: self._bound[name].independence(examples.get(name, ()), most_rows, end) for name in names}

    def predict(self, batch: Batch, configs: Mapping[str, str], *beside: Any) -> Batch:
        """Raises InvalidInput for an unknown signature or output and for inputs that do not fit, ModelFailed."""
        name = configs.get(SIGNATURE_KEY) or self._default
        bound = self._bound.get(name)
        if bound is None:
            raise InvalidInput(f"the model has no signature {name!r}; it has {', '.join(map(repr, self._bound))}")
        return bound.predict(batch, configs.get(OUTPUTS_KEY, ""), *beside)


class _Bound:
    def __init__(self, name: str, signature: Signature, call: Call, optional: Collection[str]) -> None:
        self.signature = signature
        self._name = name
        self._call = call
        self._inputs = {io.name: io for io in signature.inputs}
        self._required = [name for name in self._inputs if name not in optional]
        self._outputs = tuple(io.name for io in signature.outputs)
        self._choices: dict[str, tuple[str, ...]] = {"": self._outputs}

    def predict(self, batch: Batch, outputs: str, *beside: Any) -> Batch:
        wanted = self._choices.get(outputs) or self._choose(outputs)
        if self.signature.batched:
            return self._answered(batch, self._call(self._name, self._arrays(batch), wanted, *beside), wanted)
        if batch.layout is Layout.RECORDS:
            each = [self._arrays(batch.slice(i, i + 1)) for i in range(batch.rows)]
            rows = [self._call(self._name, arrays, wanted, *beside) for arrays in each]
            columns = [_column(name, _stacked(name, [row[name] for row in rows])) for name in wanted]
            return Batch(batch.rows, tuple(columns))
        answers = self._call(self._name, self._arrays(batch), wanted, *beside)
        return Batch(1, tuple([_column(name, answers[name][None]) for name in wanted]), Layout.WHOLE)

    def _answered(self, batch: Batch, answers: Mapping[str, Array], wanted: tuple[str, ...]) -> Batch:
        """A row for each of the batch's; tensors of other lengths as they are, where these were asked for."""
        columns = [_column(name, answers[name]) for name in wanted]
        for column in columns:
            if column.data.shape[:1] != (batch.rows,) or batch.layout is Layout.WHOLE:
                break
        else:
            return Batch(batch.rows, tuple(columns), batch.layout)
        if batch.layout is not Layout.RECORDS:
            return Batch.of_tensors(columns)
        raise InvalidInput(
            f"output {column.fields[0]!r} has the shape {list(column.data.shape)} for {batch.rows} records, not a row "
            "for each; ask for it by a protocol of tensors"
        )

    def independence(self, examples: Sequence[Batch], most_rows: int, end: float) -> Independence:
        if not self.signature.batched:
            return NO_ROWS
        return probe(
            lambda inputs: self._call(self._name, inputs, self._outputs),
            self.signature.inputs,
            list(self._examples(examples)),
            most_rows=most_rows,
            end=end,
        )

    def _examples(self, batches: Sequence[Batch]) -> Iterator[dict[str, Array]]:
        for batch in batches:
            with contextlib.suppress(InvalidInput):  # an example that does not fit the model shows nothing
                yield self._arrays(batch)

    def _choose(self, outputs: str) -> tuple[str, ...]:
        wanted = tuple(name for part in outputs.split(",") if (name := part.strip())) or self._outputs
        for name in wanted:
            if name not in self._outputs:
                raise InvalidInput(
                    f"signature {self._name!r} has no output {name!r}; it has {', '.join(map(repr, self._outputs))}"
                )
        if len(self._choices) < _MAX_CHOICES:
            self._choices[outputs] = wanted
        return wanted

    # --- inputs ------------------------------------------------------------------------------------------------------

    def _arrays(self, batch: Batch) -> dict[str, Array]:
        given = self._records(batch) if batch.layout is Layout.RECORDS else self._tensors(batch)
        if missing := [name for name in self._required if name not in given]:
            raise InvalidInput(
                f"input {missing[0]!r} is missing; {self._expected()}, the request has {_names(given) or 'nothing'}"
            )
        return {name: given[name] for name in self._inputs if name in given}

    def _expected(self) -> str:
        return f"signature {self._name!r} takes {_names(self._inputs) or 'no inputs'}"

    def _unknown(self, batch: Batch) -> InvalidInput:
        """The error for a batch with names that are none of an input; one of the required may be meant by them."""
        given = dict.fromkeys([field for column in batch.columns for field in column.fields])
        unknown = [field for field in given if field not in self._inputs]
        message = f"there is no input {unknown[0]!r}; {self._expected()}"
        lacking = any(name not in given for name in self._required)
        return InvalidInput(message) if lacking else UnknownInputs(unknown, message)

    def _tensors(self, batch: Batch) -> dict[str, Array]:
        """Tensors as the client shaped them, matched by name, or by position where none has a name."""
        named = any(column.fields[0] for column in batch.columns)
        if not named and len(batch.columns) != len(self._inputs):
            raise InvalidInput(f"{self._expected()}; the request has {len(batch.columns)} tensors without names")
        names = [column.fields[0] for column in batch.columns] if named else list(self._inputs)
        given = {}
        for name, column in zip(names, batch.tensors(), strict=True):
            io = self._inputs.get(name)
            if io is None:
                raise self._unknown(batch)
            data = column.data
            expected = (-1, *io.shape) if self.signature.batched else io.shape
            if not io.any_rank and not _fits(data.shape, expected):
                raise _misfit(io, column.type, data.shape, expected)
            given[name] = _cast(io, column.type, data)
        return given

    def _records(self, batch: Batch) -> dict[str, Array]:
        """Values of records: a column of one field is an input, flattened; one of several, a scalar input per field.

        Where no field is an input's name and there is one input of several values, it takes those of all columns, in
        order: the fields are names of its elements, which no model knows.
        """
        if len(self._inputs) == 1 and not any(field in self._inputs for c in batch.columns for field in c.fields):
            (only,) = self._inputs.values()
            if not only.shape and not only.any_rank and batch.columns:
                raise self._unknown(batch)
            return {only.name: self._shaped(only, *_joined(only, batch))}
        given = {}
        for column in batch.columns:
            data = column.data.reshape(batch.rows, -1)
            for i, field in enumerate(column.fields):
                io = self._inputs.get(field)
                if io is None:
                    raise self._unknown(batch)
                values = data if len(column.fields) == 1 else data[:, i : i + 1]
                given[field] = self._shaped(io, column.type, values)
        return given

    def _shaped(self, io: IOMetadata, kind: TensorType, data: Array) -> Array:
        """Flattened rows, shape (rows, k), in the shape that the input declares; in their own where it declares none.

        A signature without rows gets one record: a leading axis of free length is 1 where another one is free, too.
        """
        rows, width = data.shape
        if io.any_rank:
            return _cast(io, kind, data)
        shape, batched = io.shape, self.signature.batched
        if not batched and shape.count(-1) > 1 and shape[0] < 0:
            shape = (1, *shape[1:])
        known = int(np.prod([size for size in shape if size >= 0], dtype=np.int64))
        free = shape.count(-1)
        if free == 1 and known and width % known == 0:
            shape = tuple(width // known if size < 0 else size for size in shape)
        elif free or width != known:
            raise _misfit(io, kind, data.shape if batched else (width,), (-1, *io.shape) if batched else io.shape)
        return _cast(io, kind, data).reshape((rows, *shape) if batched else shape)


# --- outputs ---------------------------------------------------------------------------------------------------------


def _column(name: str, data: Array) -> Column:
    kind = _TYPES.get(data.dtype)
    if kind is None:
        kind, data = _texts(name, data)
    return Column(kind, (name,), data)


def type_of(dtype: np.dtype[Any]) -> TensorType | None:
    """The TensorType of a numeric or boolean dtype; None for any other."""
    return _TYPES.get(dtype)


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return len(shape) == len(expected) and all(
        want < 0 or size == want for size, want in zip(shape, expected, strict=True)
    )


def _misfit(io: IOMetadata, kind: TensorType, shape: tuple[int, ...], expected: tuple[int, ...]) -> InvalidInput:
    return InvalidInput(
        f"input {io.name!r} takes {io.type.name} of shape {list(expected)}, got {kind.name} of shape {list(shape)}"
    )


def _joined(io: IOMetadata, batch: Batch) -> tuple[TensorType, Array]:
    """All columns side by side, shape (rows, k)."""
    if len(batch.columns) == 1:
        (column,) = batch.columns
        return column.type, column.data.reshape(batch.rows, -1)
    for column in batch.columns:
        if (column.type in _TEXTS) != (io.type in _TEXTS):
            raise InvalidInput(
                f"input {io.name!r} takes {io.type.name}, got {column.type.name} for {list(column.fields)}"
            )
    parts = [_cast(io, column.type, column.data.reshape(batch.rows, -1)) for column in batch.columns]
    return io.type, np.concatenate(parts, axis=1)


def _cast(io: IOMetadata, kind: TensorType, data: Array) -> Array:
    """``data`` in the dtype of the input: integers widen, narrow within range and become floats; floats stay floats."""
    wanted = DTYPES[io.type]
    if data.dtype == wanted and (kind in _TEXTS) == (io.type in _TEXTS):
        return data
    if io.type in _FLOATS and data.dtype.kind in "iuf":
        with np.errstate(over="ignore"):
            cast = data.astype(wanted)
        if data.dtype.kind == "f" and wanted.itemsize < data.dtype.itemsize and not np.isfinite(cast).all():
            _refuse(io, data, np.isinf(cast) & np.isfinite(data), float(np.finfo(wanted).max))
        return cast
    if wanted.kind in "iu" and data.dtype.kind in "iu":
        cast = data.astype(wanted)
        _refuse(io, data, (cast != data) | ((cast < 0) != (data < 0)), int(np.iinfo(wanted).max))
        return cast
    if io.type is TensorType.Bool and kind is TensorType.UInt8:  # what protocols without booleans have for them
        _refuse(io, data, data > 1, 1)
        return data.astype(wanted)
    raise InvalidInput(f"input {io.name!r} takes {io.type.name}, got {kind.name}")


def _refuse(io: IOMetadata, data: Array, outside: npt.NDArray[np.bool_], top: float) -> None:
    if outside.any():
        value = data.reshape(-1)[int(outside.reshape(-1).argmax())]
        raise InvalidInput(f"input {io.name!r} takes {io.type.name}, up to {top:g}; got {value}")


def _stacked(name: str, arrays: list[Array]) -> Array:
    if len({array.shape for array in arrays}) > 1:
        raise ModelFailed(f"output {name!r} has another shape for each record; ask for one record at a time")
    return np.stack(arrays)


def _texts(name: str, data: Array) -> tuple[TensorType, Array]:
    """Strings of a model: Bytes where the output's name ends in ``_bytes`` or they are not UTF-8, else String."""
    if data.dtype.kind == "U":
        return TensorType.String, data.astype(object)
    if data.dtype.kind not in "SO":
        raise ModelFailed(f"output {name!r} is of the type {data.dtype}, which no protocol has")
    flat = data.reshape(-1).tolist()
    if not {str, bytes}.issuperset(map(type, flat)):
        raise ModelFailed(f"output {name!r} holds something else than strings")
    kind = TensorType.Bytes
    if name.endswith("_bytes"):
        flat = [value.encode() if isinstance(value, str) else value for value in flat]
    else:
        try:
            flat = [value.decode() if isinstance(value, bytes) else value for value in flat]
            kind = TensorType.String
        except UnicodeDecodeError:
            flat = [value.encode() if isinstance(value, str) else value for value in flat]
    texts = np.empty(len(flat), dtype=object)
    texts[:] = flat
    return kind, texts.reshape(data.shape)
