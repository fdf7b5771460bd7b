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
from forestflow.servables.estimators.inputs import MATRIX, Inputs

Array = npt.NDArray[Any]

OPTIONAL = "optional"  # the description of columns that a request need not have

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


def inputs_of(signature: Mapping[str, Any]) -> Inputs | None:
    """The inputs that a signature declares; ``None`` without one. Raises ArtifactRejected for what is no signature."""
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
        if all("name" not in entry for entry in entries):
            return _unnamed(entries)
        optional = frozenset(str(entry["name"]) for entry in entries if entry.get("required") is False)
        return Inputs(tuple([_named_column(entry) for entry in entries]), optional=optional)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ArtifactRejected(f"the signature of the MLmodel file cannot be read: {error}") from None


def example_of(example: Any, inputs: Inputs | None) -> tuple[Inputs | None, dict[str, Array] | None]:
    """An input example as arrays by input name, and the inputs that it shows where there is no signature.

    Nothing where the example has another form than the inputs.
    """
    try:
        if isinstance(example, dict) and "columns" in example:  # pandas, split
            rows = list(zip(*example["data"], strict=True))
            columns = {str(name): list(values) for name, values in zip(example["columns"], rows, strict=True)}
            if inputs is None:
                inputs = Inputs(tuple([IOMetadata(name, _seen(values)) for name, values in columns.items()]))
            return inputs, _arrays(inputs, columns)
        if isinstance(example, dict) and set(example) == {
            "inputs"
        }:  # older files wrap tensors as TensorFlow Serving does
            example = example["inputs"]
        if inputs is None or not inputs.tensors:
            return inputs, None
        given = example if isinstance(example, dict) else {inputs.each[0].name: example}
        return inputs, _arrays(inputs, given)
    except (ValueError, KeyError, TypeError, OverflowError):
        return inputs, None  # it only rehearses: the model serves without it


def _arrays(inputs: Inputs, given: Mapping[str, Any]) -> dict[str, Array] | None:
    arrays = {
        io.name: np.array(given[io.name], DTYPES[io.type])
        for io in inputs.each
        if io.name in given or io.name not in inputs.optional
    }
    return arrays if arrays and all(array.ndim and array.shape[0] for array in arrays.values()) else None


def _seen(values: Sequence[Any]) -> TensorType:
    if any(isinstance(value, str) for value in values):
        return TensorType.String
    return TensorType.Bool if all(isinstance(value, bool) for value in values) else TensorType.Float64


def _named_column(entry: Mapping[str, Any]) -> IOMetadata:
    description = OPTIONAL if entry.get("required") is False else None
    return IOMetadata(str(entry["name"]), _column(entry), description=description)


def _column(entry: Mapping[str, Any]) -> TensorType:
    kind = _COLUMNS.get(str(entry["type"]))
    if kind is None:
        raise ValueError(f"the type {str(entry['type'])!r} of column {entry.get('name')!r} is not supported")
    return kind


def _unnamed(entries: Sequence[Mapping[str, Any]]) -> Inputs:
    """Columns known by position alone: one tensor."""
    kinds = {_column(entry) for entry in entries}
    if len(entries) == 1:
        return Inputs((IOMetadata(MATRIX, kinds.pop()),))
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
