"""Signature and input example of an MLmodel file as metadata and arrays.

The format is MLflow's: https://mlflow.org/docs/latest/ml/model/signatures/
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import ArtifactRejected
from forestflow.domain.tensors import DTYPES, IOMetadata, TensorType
from forestflow.servables.binding import type_of
from forestflow.servables.estimators.inputs import MATRIX, Inputs, Reader
from forestflow.servables.mlmodel.columns import Datetimes, Json
from forestflow.servables.mlmodel.types import NESTED, parse

Array = npt.NDArray[Any]

OPTIONAL = "optional"  # in the description of columns that a request need not have

# What flavors take beside numbers and texts; those that are not here read their inputs themselves.
DATETIME = "datetime"
TAKEN = {
    "python_function": NESTED | {DATETIME},
    "sklearn": frozenset({DATETIME}),
    "xgboost": frozenset[str](),
    "lightgbm": frozenset[str](),
}

_COLUMNS = {
    "boolean": TensorType.Bool,
    "integer": TensorType.Int32,
    "long": TensorType.Int64,
    "float": TensorType.Float32,
    "double": TensorType.Float64,
    "string": TensorType.String,
    "binary": TensorType.Bytes,
    "datetime": TensorType.String,
}


def inputs_of(signature: Mapping[str, Any], flavor: str) -> Inputs | None:
    """The inputs that a signature declares; ``None`` without one.

    Raises ArtifactRejected for what is no signature, and for types of columns that the flavor does not take.
    """
    text = signature.get("inputs")
    if text is None:
        return None
    try:
        entries = json.loads(text) if isinstance(text, str) else text
        tensors = [entry["type"] == "tensor" for entry in entries]
        if not entries or any(tensors) != all(tensors):
            raise ValueError("neither columns nor tensors")
        if all(tensors):
            return Inputs(tuple([_tensor(entry, i) for i, entry in enumerate(entries)]), tensors=True)
        if all("name" not in entry for entry in entries) and len(entries) > 1:
            return _unnamed(entries)
        entries = [{"name": MATRIX, **entry} for entry in entries] if len(entries) == 1 else entries
        readers = {str(entry["name"]): reader for entry in entries if (reader := _reader(entry, flavor)) is not None}
        optional = frozenset(str(entry["name"]) for entry in entries if _is_optional(entry))
        return Inputs(tuple([_named(entry, readers) for entry in entries]), optional=optional, readers=readers)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ArtifactRejected(f"the signature of the MLmodel file cannot be read: {error}") from None


def example_of(example: Any, inputs: Inputs | None) -> tuple[Inputs | None, dict[str, Array] | None]:
    """An input example as arrays by input name, and the inputs that it shows where there is no signature.

    Nothing where the example has another form than the inputs.
    """
    try:
        if isinstance(example, dict) and {"inputs"} <= set(example) <= {"inputs", "params"}:
            example = example["inputs"]  # as TensorFlow Serving has it, or beside params
        columns = _example_columns(example)
        if columns is not None:
            if inputs is None:
                inputs = Inputs(tuple([IOMetadata(name, _seen(values)) for name, values in columns.items()]))
            return inputs, _arrays(inputs, columns)
        if inputs is None or not inputs.tensors:
            return inputs, None
        given = example if isinstance(example, dict) else {inputs.each[0].name: example}
        return inputs, _arrays(inputs, given)
    except (ValueError, KeyError, TypeError, OverflowError):
        return inputs, None  # it only rehearses: the model serves without it


def _example_columns(example: Any) -> dict[str, list[Any]] | None:
    """The columns of a DataFrame (pandas' orient "split") or of a list of objects; ``None`` of anything else."""
    if isinstance(example, dict) and "columns" in example:
        lanes = list(zip(*example["data"], strict=True))
        return {str(name): list(values) for name, values in zip(example["columns"], lanes, strict=True)}
    if isinstance(example, list) and example and all(isinstance(row, dict) for row in example):
        return {str(name): [row[name] for row in example] for name in example[0]}
    return None


def _arrays(inputs: Inputs, given: Mapping[str, Any]) -> dict[str, Array] | None:
    arrays = {
        io.name: _texts(given[io.name]) if io.name in inputs.readers else np.array(given[io.name], DTYPES[io.type])
        for io in inputs.each
        if io.name in given or io.name not in inputs.optional
    }
    return arrays if arrays and all(array.ndim and array.shape[0] for array in arrays.values()) else None


def _texts(values: Sequence[Any]) -> Array:
    """Values of an example as the JSON that a reader takes."""
    texts = np.empty(len(values), object)
    texts[:] = [json.dumps(value) for value in values]
    return texts


def _seen(values: Sequence[Any]) -> TensorType:
    if any(isinstance(value, str) for value in values):
        return TensorType.String
    return TensorType.Bool if all(isinstance(value, bool) for value in values) else TensorType.Float64


def _is_optional(entry: Mapping[str, Any]) -> bool:
    """Files of MLflow before 2.9 say ``"optional": true``, later ones ``"required": false``."""
    return not entry.get("required", True) or entry.get("optional") is True


def _reader(entry: Mapping[str, Any], flavor: str) -> Reader | None:
    """What reads a column that no tensor holds."""
    kind, taken = str(entry["type"]), TAKEN.get(flavor, frozenset())
    if kind == DATETIME and kind in taken:
        return Datetimes()
    if kind in NESTED and kind in taken:
        return Json(parse(entry), required=not _is_optional(entry))
    if kind in NESTED or (kind == DATETIME and flavor in TAKEN):
        able = " and ".join(name for name, kinds in TAKEN.items() if kind in kinds)
        raise ValueError(
            f"column {entry['name']!r} is of the type {kind!r}, which the flavor {flavor} does not take; {able} can"
        )
    return None


def _named(entry: Mapping[str, Any], readers: Mapping[str, Reader]) -> IOMetadata:
    name = str(entry["name"])
    reader = readers.get(name)
    words = [str(reader)] if reader is not None else []
    description = ", ".join([*words, OPTIONAL] if _is_optional(entry) else words) or None
    kind = TensorType.String if reader is not None else _column(entry)
    return IOMetadata(name, kind, description=description, json=reader is not None)


def _column(entry: Mapping[str, Any]) -> TensorType:
    kind = _COLUMNS.get(str(entry["type"]))
    if kind is None:
        raise ValueError(f"the type {str(entry['type'])!r} of column {entry.get('name')!r} is not supported")
    return kind


def _unnamed(entries: Sequence[Mapping[str, Any]]) -> Inputs:
    """Columns known by position alone: one tensor."""
    kinds = {_column(entry) for entry in entries}
    if kinds & {TensorType.String, TensorType.Bytes}:
        raise ValueError("columns of texts have no names")
    kind = type_of(np.result_type(*[DTYPES[kind] for kind in kinds])) or TensorType.Float64
    return Inputs((IOMetadata(MATRIX, kind, (len(entries),)),), tensors=True)


def _tensor(entry: Mapping[str, Any], place: int) -> IOMetadata:
    """Without its first axis, the rows."""
    spec = entry["tensor-spec"]
    dtype = np.dtype(spec["dtype"])
    kind = type_of(dtype) or (TensorType.String if dtype.kind in "OUS" else None)
    if kind is None:
        raise ValueError(f"tensors of {dtype} are not supported")
    name = str(entry.get("name") or (MATRIX if place == 0 else f"{MATRIX}{place}"))
    return IOMetadata(name, kind, tuple([int(size) for size in spec["shape"][1:]]))
