"""Nested JSON lists to tensors and back."""

from __future__ import annotations

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forestflow.codecs.json import nested
from forestflow.domain.errors import InvalidInput, Malformed, ModelFailed
from forestflow.domain.tensors import DTYPES, Batch, Column, Layout, TensorType

NUMBERS = [kind for kind in TensorType if DTYPES[kind].kind in "iufb"]


def column(kind: TensorType, data, name="x") -> Column:
    return Column(kind, (name,), np.array(data, DTYPES[kind]))


@pytest.mark.parametrize(
    ("value", "kind", "shape"),
    [
        (3, TensorType.Int64, ()),
        ([1, 2, 3], TensorType.Int64, (3,)),
        ([[1, 2.5]], TensorType.Float64, (1, 2)),
        ([2**63], TensorType.UInt64, (1,)),
        ([[True], [False]], TensorType.Bool, (2, 1)),
        (["a", "b"], TensorType.String, (2,)),
        ([{"b64": "AAE="}, "text"], TensorType.Bytes, (2,)),
        ([], TensorType.Float64, (0,)),
        ([[], []], TensorType.Float64, (2, 0)),
    ],
)
def test_types_and_shapes(value, kind, shape):
    read = nested.tensor("x", value)
    assert (read.type, read.fields, read.data.shape, read.data.dtype) == (kind, ("x",), shape, DTYPES[kind])
    if kind is not TensorType.Bytes:
        assert read.data.tolist() == value
    else:
        assert read.data.tolist() == [b"\x00\x01", b"text"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1], [1, 2]], "lists of 1 and of 2 entries at level 1"),
        ([[1], 2], "mixed at level 1"),
        ([1, True], "holds a boolean, a number"),
        ([1, "1"], "holds a number, a string"),
        ([None], "holds null"),
        ([{"b64": 1}], "holds an object"),
        ([{"b64": "!"}], "Unable to base64 decode"),
        ([2**64], "more than 64 bits"),
        ([2**63, -1], "more than 64 bits"),
        ([10**400, 0.5], "no 64-bit float"),
    ],
)
def test_what_is_no_tensor(value, message):
    with pytest.raises(InvalidInput, match=message):
        nested.tensor("x", value)


def test_lists_too_deep():
    value: list = []
    for _ in range(nested.MAX_AXES):
        value = [value]
    with pytest.raises(InvalidInput, match="levels of lists"):
        nested.tensor("", value)


def test_bare_numbers_that_json_does_not_have():
    assert nested.loads(b'{"a": [NaN, -Infinity, Infinity], "b": "NaN"}')["a"][1:] == [-math.inf, math.inf]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"NaN,", b"\xff", b'["\\ud800"]', b'["\\ud800", NaN]', b"[" * 5000, b"[NaN" + b"[" * 5000, b"\xff NaN"],
)
def test_no_json(body):
    with pytest.raises(Malformed, match="JSON Parse error"):
        nested.loads(body)


@given(
    st.sampled_from(NUMBERS).flatmap(
        lambda kind: st.tuples(st.just(kind), hnp.arrays(DTYPES[kind], hnp.array_shapes(min_dims=0, min_side=0)))
    )
)
def test_numbers_come_back(drawn):
    kind, data = drawn
    printed = nested.dumps(nested.printable(Column(kind, ("x",), data)))
    read = np.array(json.loads(printed), DTYPES[kind])  # the standard library reads bare NaN, too
    if data.size:  # of what is empty JSON has not the whole shape
        assert read.shape == data.shape
    assert np.array_equal(read.reshape(data.shape), data, equal_nan=DTYPES[kind].kind == "f")
    rows = nested.printable_rows(Column(kind, ("x",), data)) if data.ndim else []
    if len(data.shape) and len(data):
        assert nested.dumps(rows) == printed


def test_texts_and_bytes_are_printed():
    texts = column(TensorType.String, [["a", "ü"]])
    assert nested.dumps(nested.printable(texts)) == '[["a","ü"]]'.encode()
    named = column(TensorType.String, ["ü"], "image_bytes")
    assert json.loads(nested.dumps(nested.printable(named))) == [{"b64": "w7w="}]
    raw = column(TensorType.Bytes, [b"\xff\x00"])
    assert json.loads(nested.dumps(nested.printable_rows(raw))) == [{"b64": "/wA="}]
    with pytest.raises(ModelFailed):
        nested.dumps(nested.printable(column(TensorType.String, ["\ud800"])))


def test_rows_are_the_first_axis_where_there_is_one_in_common():
    a, b = column(TensorType.Int64, [1, 2], "a"), column(TensorType.Int64, [[1], [2]], "b")
    rows = nested.batch_of([a, b])
    assert (rows.layout, rows.rows, rows.columns) == (Layout.TENSORS, 2, (a, b))
    for other in (column(TensorType.Int64, [1], "c"), column(TensorType.Int64, 1, "c")):
        whole = nested.batch_of([a, other])
        assert (whole.layout, whole.rows) == (Layout.WHOLE, 1)
        assert [c.data.shape for c in whole.columns] == [(1, 2), (1, *other.data.shape)]
        assert [(name, c.data.tolist()) for name, c in nested.tensors(whole)] == [
            ("a", [1, 2]),
            ("c", other.data.tolist()),
        ]
    with pytest.raises(InvalidInput):
        nested.batch_of([])


def test_a_column_of_several_fields_is_several_tensors():
    pair = Column(TensorType.Float64, ("score", "normalized"), np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert [(name, c.data.tolist()) for name, c in nested.tensors(Batch(2, (pair,)))] == [
        ("score", [1.0, 3.0]),
        ("normalized", [2.0, 4.0]),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just({"b64": "AA=="}),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2),
)


@given(JSON)
def test_any_json_is_a_tensor_or_a_clients_fault(value):
    with contextlib.suppress(InvalidInput):
        read = nested.tensor("x", value)
        assert read.data.dtype == DTYPES[read.type]


@pytest.mark.parametrize(("kind", "value"), [("String", "a"), ("Bytes", b"a"), ("Int64", 5), ("Bool", True)])
def test_a_tensor_without_axes_keeps_its_value(kind, value):
    scalar = np.array(value, DTYPES[TensorType[kind]])
    batch = nested.batch_of([Column(TensorType[kind], ("s",), scalar), Column(TensorType.Float64, ("v",), np.ones(2))])
    assert (batch.rows, batch.layout) == (1, Layout.WHOLE)
    (name, column), (_, vector) = nested.tensors(batch)
    assert (name, column.data.shape, vector.data.tolist()) == ("s", (), [1, 1])
    printed = {"b64": "YQ=="} if kind == "Bytes" else value
    assert json.loads(nested.dumps(nested.printable(column))) == printed
