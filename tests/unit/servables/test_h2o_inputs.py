"""The plan from columns to cells, with literal levels and no JVM."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from forestflow.domain.errors import InvalidInput, UnknownInputs
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, TensorType
from forestflow.servables.h2o.inputs import Feature, InputRows, Levels, shortest_decimal

COLOUR = Levels({"red": 1, "blue": 2}, np.array([[math.nan], [0.0], [1.0]]))
HOT = Levels({"a": 1, "b": 2}, np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
FEATURES = [Feature("x", 0), Feature("colour", 1, COLOUR), Feature("hot", 2, HOT), Feature("z", 5)]


def col(type_: TensorType, fields: str, *rows: list[object]) -> Column:
    data = np.empty((len(rows), len(rows[0])), dtype=DTYPES[type_])
    for i, row in enumerate(rows):
        data[i] = row
    return Column(type_, tuple(fields.split()), data)


def cells(*columns: Column, offset: str | None = None) -> list[list[float | None]]:
    """The rows as written into a buffer full of rubbish; ``None`` stands for NaN."""
    rows = len(columns[0].data)
    buffer = np.full((rows, 7), 77.0)
    buffer[:, 6] = 0.0 if offset is None else 77.0
    InputRows(FEATURES, 6, offset).write(Batch(rows, columns), 0, rows, buffer)
    return [[None if math.isnan(v) else v for v in row] for row in buffer.tolist()]


def test_a_whole_row() -> None:
    texts = col(TensorType.String, "hot colour", ["b", "red"], ["?", "?"])
    numbers = col(TensorType.Float64, "z x", [5.0, 1.0], [math.nan, 2.0])
    assert cells(texts, numbers) == [[1, 0, 0, 1, 0, 5, 0], [2, None, 0, 0, 1, None, 0]]


def test_what_is_missing_is_nan() -> None:
    assert cells(col(TensorType.Float64, "x", [1.0])) == [[1, None, None, None, None, None, 0]]


def test_what_is_unknown_is_named_each_time_it_comes() -> None:
    inputs = InputRows(FEATURES, 6)
    odd = Batch(1, (col(TensorType.Float64, "x Z other", [1.0, 2.0, 3.0]), col(TensorType.String, "color", ["red"])))
    for _ in range(2):
        with pytest.raises(UnknownInputs, match=r"there is no input 'Z'; the model takes .*\[0:x,1:z\]") as caught:
            inputs.write(odd, 0, 1, np.zeros((1, 7)))
        assert caught.value.names == ("Z", "other", "color")
    left = odd.without(caught.value.names)
    assert [(c.fields, c.data.tolist()) for c in left.columns] == [(("x",), [1.0])]


def test_a_tensor_too_many_is_named_by_its_unknown_fields() -> None:
    inputs = InputRows(FEATURES, 6)
    surplus = col(TensorType.Int8, "surplus", [1])
    with pytest.raises(UnknownInputs) as caught:
        inputs.check(Batch(1, (col(TensorType.String, "hot", ["a"]), col(TensorType.Float64, "x", [1.0]), surplus)))
    assert caught.value.names == ("surplus",)


def test_text_for_numbers_and_absent_values() -> None:
    texts = col(TensorType.String, "x z colour", [" 1.5d ", "one", None], [None, "0x1p2", "blue"])
    assert cells(texts) == [[1.5, None, None, None, None, None, 0], [None, 1, None, None, None, 4, 0]]


def test_a_missing_double_is_a_missing_level() -> None:
    assert cells(col(TensorType.Float64, "colour hot", [math.nan, math.nan])) == [[None, None, 0, 0, 1, None, 0]]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (col(TensorType.Float64, "colour", [1.0]), "Unexpected type Float64 for categorical column colour"),
        (col(TensorType.Int32, "colour", [1]), "Unexpected type Int32 for categorical column colour"),
        (col(TensorType.Bool, "x", [True]), "Unexpected type Bool for numeric column x"),
        (col(TensorType.Bytes, "x", [b"\xff"]), "column x holds bytes that are not UTF-8 text"),
        (Column(TensorType.Float64, ("x",), np.zeros((1, 2))), "field 'x' must be one value in each row"),
        (Column(TensorType.Float64, ("x",), np.zeros((1, 1, 1))), "field 'x' must be one value in each row"),
        (Column(TensorType.Float64, ("numeric",), np.zeros((1, 3))), "input numeric must have 2 values in each row"),
    ],
)
def test_refusals(column: Column, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        cells(column)
    assert caught.value.message == message


def test_inputs_by_the_names_of_the_metadata() -> None:
    texts = col(TensorType.String, "categorical", ["blue", "a"])
    numbers = col(TensorType.Int64, "numeric", [3, 4])
    assert cells(texts, numbers) == [[3, 1, 1, 0, 0, 4, 0]]


def test_the_later_of_two_equal_fields_counts() -> None:
    assert cells(col(TensorType.Float64, "x z x", [1.0, 2.0, 3.0]), col(TensorType.String, "z", ["8"]))[0][0] == 3
    assert cells(col(TensorType.Float64, "x z", [1.0, 2.0]), col(TensorType.String, "z", ["8"]))[0][5] == 8


def test_one_dimensional_columns() -> None:
    x = Column(TensorType.Float64, ("x",), np.array([1.0, 2.0]))
    colour = Column(TensorType.String, ("colour",), np.array(["red", "blue"], dtype=object))
    assert [row[:2] for row in cells(x, colour)] == [[1, 0], [2, 1]]


def test_offset() -> None:
    given = col(TensorType.Float64, "x off", [1.0, 0.25])
    assert cells(given, offset="off")[0][6] == 0.25
    with pytest.raises(UnknownInputs, match="'off'"):
        cells(given)
    assert cells(col(TensorType.Float64, "x", [1.0]), offset="off")[0][6] == 0
    assert cells(col(TensorType.String, "off", ["0.5"], [None]), offset="off")[0][6] == 0.5
    assert cells(col(TensorType.String, "off", ["0.5"], [None]), offset="off")[1][6] == 0


def test_a_slice_of_a_batch() -> None:
    inputs = InputRows(FEATURES, 6)
    batch = Batch(3, (col(TensorType.String, "colour", ["red"], ["blue"], ["red"]),
                      col(TensorType.Float64, "x z", [1.0, 2.0], [3.0, 4.0], [5.0, 6.0])))  # fmt: skip
    buffer = np.zeros((2, 7))
    inputs.write(batch, 1, 3, buffer)
    assert buffer[:, [0, 1, 5]].tolist() == [[3, 1, 4], [5, 0, 6]]


def test_metadata_and_the_number_of_inputs() -> None:
    inputs = InputRows(FEATURES, 6, "off")
    assert inputs.metadata() == (
        IOMetadata("categorical", TensorType.String, (2,), "[0:colour,1:hot]"),
        IOMetadata("numeric", TensorType.Float64, (3,), "[0:x,1:z,2:off]"),
    )
    assert inputs.expected_columns == 2
    assert InputRows(FEATURES[:1], 1).expected_columns == 1


def test_plans_do_not_pile_up() -> None:
    inputs = InputRows(FEATURES, 6)
    for i in range(1000):
        with pytest.raises(UnknownInputs):
            inputs.write(Batch(1, (col(TensorType.Float64, f"x u{i}", [1.0, 2.0]),)), 0, 1, np.zeros((1, 7)))
    assert len(inputs._plans) <= 256


def test_shortest_decimals() -> None:
    values = [0.1, 33.2, 1e-30, 3.4028235e38, 16777217.0, -0.0, math.inf, 1010.7]
    narrow = np.array(values, dtype=np.float32)
    assert shortest_decimal(narrow).tolist() == [0.1, 33.2, 1e-30, 3.4028235e38, 16777216.0, -0.0, math.inf, 1010.7]
    assert math.isnan(shortest_decimal(np.array([math.nan], dtype=np.float16))[0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_shortest_decimals_are_those_printed(dtype: type[np.floating[Any]]) -> None:
    random = np.random.default_rng(5)
    bits = random.integers(0, 2 ** (8 * np.dtype(dtype).itemsize), 20_000, dtype=np.uint64)
    anything = bits.astype(np.dtype(dtype).str.replace("f", "u")).view(dtype)
    likely = np.round(random.uniform(-2000, 2000, 20_000), 2).astype(dtype)
    small = (10.0 ** random.uniform(-12, 2, 20_000)).astype(dtype)
    for values in (anything, likely, small):
        with np.errstate(invalid="ignore"):
            printed = values.astype("U32").astype(np.float64)
        assert np.array_equal(shortest_decimal(values), printed, equal_nan=True)
