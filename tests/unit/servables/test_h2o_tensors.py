"""Tensors as fields of an H2O model, with literal levels and no JVM."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forestflow.domain.errors import InvalidInput
from forestflow.domain.tensors import DTYPES, Batch, Column, Layout, TensorType
from forestflow.servables.h2o.inputs import Feature, InputRows, Levels
from forestflow.servables.h2o.tensors import records_of

COLOUR = Levels({"red": 1, "blue": 2}, np.array([[np.nan], [0.0], [1.0]]))
INPUTS = InputRows([Feature("x", 0), Feature("colour", 1, COLOUR), Feature("y", 2)], 3, offset="w")
MODEL = "the model takes categorical String [-1, 1] [0:colour] and numeric Float64 [-1, 3] [0:x,1:y,2:w]"

F64, STRING = TensorType.Float64, TensorType.String


def tensor(name: str, data: Any, kind: TensorType = F64) -> Column:
    return Column(kind, (name,), np.array(data, dtype=DTYPES[kind]))


def batch(*columns: Column, layout: Layout = Layout.TENSORS) -> Batch:
    return Batch(len(columns[0].data) if columns else 0, columns, layout)


def cells(*columns: Column) -> list[list[float]]:
    records = records_of(INPUTS, batch(*columns))
    rows = np.zeros((records.rows, 4))
    INPUTS.write(records, 0, records.rows, rows)
    return rows.tolist()


ROWS = [[1.0, 1.0, 2.0, 3.0], [4.0, 0.0, 5.0, 6.0]]
NUMBERS = [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "columns",
    [
        (tensor("", [["blue"], ["red"]], STRING), tensor("", NUMBERS)),
        (tensor("", NUMBERS, TensorType.UInt8), tensor("", ["blue", "red"], STRING)),
        (tensor("numeric", NUMBERS, TensorType.Int16), tensor("categorical", [b"blue", b"red"], TensorType.Bytes)),
        (
            tensor("w", [3, 6], TensorType.UInt64),
            tensor("y", [[2], [5]], TensorType.Float32),
            tensor("colour", [["blue"], ["red"]], STRING),
            tensor("x", [1, 4]),
        ),
    ],
)
def test_tensors_by_type_by_name_and_by_field(columns: tuple[Column, ...]) -> None:
    assert cells(*columns) == ROWS


def test_numbers_are_not_copied() -> None:
    numbers = tensor("numeric", NUMBERS)
    records = records_of(INPUTS, batch(tensor("", ["blue", "red"], STRING), numbers))
    assert records.columns[1].data is numbers.data
    assert records.layout is Layout.RECORDS


def test_a_field_that_no_tensor_has_is_missing() -> None:
    ((x, colour, y, w),) = cells(tensor("x", [1.0]), tensor("colour", ["?"], STRING))
    assert (x, w) == (1.0, 0.0)
    assert np.isnan([colour, y]).all()


TEXTS = tensor("", ["blue", "red"], STRING)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((), "No input data provided"),
        ((tensor("", np.zeros((0, 3))),), "No input data provided"),
        (
            (TEXTS, tensor("", [[1, 2], [4, 5]])),
            "input 'numeric' takes the shape [-1, 3], 3 values in each row, got Float64 of shape [2, 2]; " + MODEL,
        ),
        (
            (TEXTS, tensor("", [1, 2], TensorType.Int8)),
            "input 'numeric' takes the shape [-1, 3], 3 values in each row, got Int8 of shape [2]; " + MODEL,
        ),
        (
            (TEXTS, tensor("x", np.zeros((2, 1, 1)))),
            "input 'x' takes the shape [-1, 1], 1 values in each row, got Float64 of shape [2, 1, 1]; " + MODEL,
        ),
        ((TEXTS, tensor("z", [1, 2])), "there is no input 'z'; " + MODEL),
        ((TEXTS, tensor("", NUMBERS), tensor("numeric", NUMBERS)), "two tensors have values of 'w'"),
        ((TEXTS, tensor("x", [1, 2]), tensor("x", [1, 2])), "two tensors have values of 'x'"),
        ((TEXTS,), "input 'numeric' is missing; " + MODEL),
        ((tensor("y", [1, 2]),), "input 'categorical' is missing; " + MODEL),
    ],
)
def test_refusals(columns: tuple[Column, ...], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        records_of(INPUTS, batch(*columns))
    assert caught.value.message == message


def test_tensors_without_common_rows_are_refused() -> None:
    whole = Batch(1, (tensor("", [[1.0, 2.0]]), tensor("", [["blue"]], STRING)), Layout.WHOLE)
    with pytest.raises(InvalidInput, match="different numbers of rows, or one is a scalar"):
        records_of(INPUTS, whole)


def test_a_model_without_text_takes_none() -> None:
    numbers = InputRows([Feature("x", 0)], 1)
    with pytest.raises(InvalidInput, match="there is no input 'categorical'; the model takes numeric Float64"):
        records_of(numbers, batch(TEXTS))
