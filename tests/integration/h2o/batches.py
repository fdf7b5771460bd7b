"""Batches from plain rows, in the form BASIC requests have: one String column, one Float64 column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forestflow.domain.errors import UnknownInputs
from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType
from forestflow.servables.base import Servable


def predicted(model: Servable, batch: Batch) -> Batch:
    """What a replica answers by default: fields that the model does not have are left out, as EasyPredict does."""
    try:
        return model.predict(batch, {})
    except UnknownInputs as unknown:
        return model.predict(batch.without(unknown.names), {})


def column(type_: TensorType, fields: Sequence[str], rows: Sequence[Sequence[Any]]) -> Column:
    """``rows`` has one sequence of values for each row."""
    data = np.empty((len(rows), len(fields)), dtype=DTYPES[type_])
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            data[i, j] = value
    return Column(type_, tuple(fields), data)


def basic(columns: Mapping[str, Sequence[Any]], types: Mapping[str, str]) -> Batch:
    """All categorical columns in one tensor and all numeric ones in another; a missing number is NaN."""
    groups: list[Column] = []
    texts = [name for name in columns if types[name] != "numeric"]
    numbers = [name for name in columns if types[name] == "numeric"]
    if texts:
        groups.append(column(TensorType.String, texts, list(zip(*(columns[n] for n in texts), strict=True))))
    if numbers:
        values = [[np.nan if v is None else v for v in columns[n]] for n in numbers]
        groups.append(column(TensorType.Float64, numbers, list(zip(*values, strict=True))))
    return Batch(len(next(iter(columns.values()))), tuple(groups))
