"""From batches to what a model's class takes, as its attribute ``inputs`` asks.

Of records (layout RECORDS):

- "list": a list with one entry per record: its value where a record has one, else the list of its values in the order
  of the schema, where a flattened tensor is a list again;
- "numpy": an array of shape (records, values) where all values are of one numeric type, else as "columns";
- "columns": a dict from field name to an array of shape (records,), or (records, k) for a flattened tensor.

Of tensors, as the client shaped them: one alone, or a dict of several by name; as nested lists for "list", as arrays
for "numpy"; always as a dict for "columns".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import InvalidInput
from forestflow.domain.tensors import DTYPES, Batch, Column, Layout

Array = npt.NDArray[Any]


def reader(form: str) -> Callable[[Batch], Any]:
    """The function that makes a model's inputs of a batch; it raises InvalidInput for a name that comes twice."""
    return {"list": _lists, "numpy": _numpy, "columns": _named}[form]


def _lists(batch: Batch) -> Any:
    if batch.layout is not Layout.RECORDS:
        return _one_or_named(batch, lambda column: _typed(column).tolist())
    if len(batch.columns) == 1:
        data = _flat(batch.columns[0])
        return (data[:, 0] if data.shape[1] == 1 else data).tolist()
    lanes = [values.tolist() for column in batch.columns for values in _fields(column).values()]
    return list(map(list, zip(*lanes, strict=True)))


def _numpy(batch: Batch) -> Any:
    if batch.layout is not Layout.RECORDS:
        return _one_or_named(batch, _typed)
    kinds = {column.type for column in batch.columns}
    if len(kinds) == 1 and DTYPES[min(kinds)] != np.dtype(object):
        parts = [_flat(column) for column in batch.columns]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    return _named(batch)


def _named(batch: Batch) -> dict[str, Array]:
    named: dict[str, Array] = {}
    for column in batch.tensors():
        records = batch.layout is Layout.RECORDS
        for name, values in (_fields(column) if records else {column.fields[0]: _typed(column)}).items():
            if name in named:
                raise InvalidInput(f"input {name!r} comes twice")
            named[name] = values
    return named


def _flat(column: Column) -> Array:
    """Shape (rows, values)."""
    data = column.data
    return data.reshape(len(data), math.prod(data.shape[1:]))


def _fields(column: Column) -> dict[str, Array]:
    """The column's fields, each of shape (rows,), or (rows, k) for a tensor."""
    data = _flat(column)
    if len(column.fields) != 1:
        if len(set(column.fields)) < len(column.fields):
            raise InvalidInput(f"a schema entry names a field twice: {', '.join(column.fields)}")
        return {name: data[:, i] for i, name in enumerate(column.fields)}
    return {column.fields[0]: data[:, 0] if data.shape[1] == 1 else data}


def _typed(column: Column) -> Array:
    return np.asarray(column.data, DTYPES[column.type])


def _one_or_named(batch: Batch, value: Callable[[Column], Any]) -> Any:
    columns = batch.tensors()
    if len(columns) == 1:
        return value(columns[0])
    if len({column.fields for column in columns}) < len(columns):
        raise InvalidInput("several tensors come without a name, or two with the same")
    return {column.fields[0]: value(column) for column in columns}
