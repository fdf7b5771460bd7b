"""From what a model's class answers to typed columns."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import InvalidInput, ModelFailed, NotImplementedByModel
from forestflow.domain.tensors import DTYPES, Batch, Column, Layout, TensorType
from forestflow.servables.binding import type_of

Array = npt.NDArray[Any]


class NotByRow(ModelFailed):
    """The answer does not have one entry for each record: ``NotByRow(message)``."""


def to_batch(answer: Any, asked: Batch, method: str, *, batched: bool, name: str, wanted: str) -> Batch:
    """The answer to ``asked``. ``name`` is that of an output without one; ``wanted`` lists outputs, "" for all.

    The form of a batched answer varies where its entries are of different types: some alone would be of a narrower one.
    Raises NotImplementedByModel, InvalidInput for an output that is not there, NotByRow, ModelFailed for what is no
    answer.
    """
    if answer is NotImplemented or (isinstance(answer, str) and answer.strip(" .!").lower() == "not implemented"):
        raise NotImplementedByModel(f"the model does not implement {method!r}")
    named = _by_name(answer, name)
    arrays = {key: _typed(key, value) for key, value in named.items()}
    if not arrays:
        raise ModelFailed(f"{method} answered no output")
    if wanted:
        arrays = _chosen(arrays, wanted)
    rows, layout = asked.rows, asked.layout
    lengths = {key: array.shape[0] if array.ndim else None for key, (_, array) in arrays.items()}
    if layout is Layout.WHOLE or (layout is Layout.TENSORS and not batched and set(lengths.values()) != {rows}):
        columns = [Column(kind, (key,), array[None]) for key, (kind, array) in arrays.items()]
        return Batch(1, tuple(columns), Layout.WHOLE)
    for key, length in lengths.items():
        if length != rows:
            came = "a single value" if length is None else f"{length} entries"
            raise NotByRow(
                f"{method} answered {came} for output {key!r}; expected one entry for each of the {rows} records"
            )
    columns = [Column(kind, (key,), array) for key, (kind, array) in arrays.items()]
    varies = batched and any(_is_mixed(named[key], kind) for key, (kind, _) in arrays.items())
    return Batch(rows, tuple(columns), layout, form_varies=varies)


def _by_name(answer: Any, name: str) -> Mapping[str, Any]:
    if isinstance(answer, Mapping):
        return {str(key): value for key, value in answer.items()}
    if isinstance(answer, (list, tuple)) and answer and all(isinstance(entry, Mapping) for entry in answer):
        keys = list(answer[0])
        if any(list(entry) != keys for entry in answer):
            raise ModelFailed(f"the model answered dicts of different keys; the first has {', '.join(map(repr, keys))}")
        return {str(key): [entry[key] for entry in answer] for key in keys}
    return {name: answer}


def _chosen(arrays: Mapping[str, tuple[TensorType, Array]], wanted: str) -> dict[str, tuple[TensorType, Array]]:
    names = [name for part in wanted.split(",") if (name := part.strip())]
    for name in names:
        if name not in arrays:
            raise InvalidInput(f"the model has no output {name!r}; it has {', '.join(map(repr, arrays))}")
    return {name: arrays[name] for name in names}


def _is_mixed(value: Any, kind: TensorType) -> bool:
    """Whether some entries of a list alone would become another type than ``kind``, that of all."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.tolist()
    while isinstance(value, (list, tuple)) and value:
        found = set(map(type, value))
        if len(found) > 1:
            return True
        (only,) = found
        if issubclass(only, np.ndarray):
            return len({array.dtype for array in value}) > 1
        if not issubclass(only, (list, tuple)):
            return only is int and kind is not TensorType.Int64
        value = list(chain.from_iterable(value))
    return False


def _typed(name: str, value: Any) -> tuple[TensorType, Array]:
    """Numbers keep a NumPy dtype that has a TensorType; Python's become Int64, Float64 and Bool."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelFailed(f"output {name!r} is no array: {error}") from None
    if array.dtype.kind in "OUST":
        return _objects(name, value if isinstance(value, (list, tuple)) else array)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    kind = type_of(array.dtype)
    if kind is None:
        raise ModelFailed(f"output {name!r} holds {array.dtype}; expected numbers, booleans, strings or bytes")
    return kind, array


def _objects(name: str, value: Any) -> tuple[TensorType, Array]:
    """Texts, of which NumPy has made nothing yet: among them a number would become a string."""
    array = np.asarray(value, dtype=object)
    flat = array.reshape(-1).tolist()
    kinds = set(map(type, flat))
    for kind, python in ((TensorType.String, str), (TensorType.Bytes, bytes)):
        if all(issubclass(found, python) for found in kinds):
            clean = np.empty(len(flat), DTYPES[kind])
            clean[:] = [found if type(found) is python else python(found) for found in flat]
            return kind, clean.reshape(array.shape)
    if kinds <= {int, float, bool}:  # an object array of numbers
        plain = np.array(array.tolist())
        if plain.dtype != np.dtype(object):
            return _typed(name, plain)
    found = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise ModelFailed(f"output {name!r} holds {found}; expected numbers, booleans, strings or bytes, of one type")
