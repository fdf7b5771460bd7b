"""Classes as users write them: what they are given, and what their answers become."""

from __future__ import annotations

import asyncio
import pickle
import time
from decimal import Decimal

import numpy as np
import pytest

from forestflow.domain.errors import Code, InvalidInput, LoadFailed, ModelFailed, NotImplementedByModel
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, TensorType
from forestflow.servables.python import BadInput
from forestflow.servables.python.servable import PythonServable

F, L, S, B = TensorType.Float64, TensorType.Int64, TensorType.String, TensorType.Bytes


def col(kind, fields, rows):
    data = np.empty(np.shape(rows) if kind not in (S, B) else np.array(rows, dtype=object).shape, DTYPES[kind])
    data[...] = np.array(rows, dtype=object) if kind in (S, B) else rows
    return Column(kind, tuple(fields.split()), data)


def records(*columns):
    return Batch(len(columns[0].data), columns)


TWO = records(col(F, "a b", [[1.5, 2.5], [3.5, 4.5]]))
MIXED = records(col(F, "a b", [[1.5, 2.5], [3.5, 4.5]]), col(S, "s", [["x"], ["y"]]), col(L, "img", [[1, 2], [3, 4]]))


class Keeps:
    """Remembers what it was given and answers what it is told to."""

    answer = staticmethod(lambda inputs: list(range(len(inputs))))

    def predict(self, inputs):
        self.given = inputs
        return type(self).answer(inputs)


def given(batch, **attributes):
    model = type("Predict", (Keeps,), {"answer": staticmethod(lambda inputs: np.zeros(batch.rows)), **attributes})()
    PythonServable(model).predict(batch, {})
    return model.given


def answered(answer, batch=TWO, configs=None, **attributes):
    model = type("Predict", (Keeps,), {"answer": staticmethod(lambda inputs: answer), **attributes})()
    return PythonServable(model).predict(batch, configs or {})


# --- inputs -----------------------------------------------------------------------------------------------------------


def test_lists_hold_the_values_of_each_record_in_the_order_of_the_schema():
    assert given(TWO) == [[1.5, 2.5], [3.5, 4.5]]
    assert given(MIXED) == [[1.5, 2.5, "x", [1, 2]], [3.5, 4.5, "y", [3, 4]]]
    assert given(records(col(L, "a", [[1], [2]]))) == [1, 2]
    assert given(records(col(L, "img", [[1, 2], [3, 4]]))) == [[1, 2], [3, 4]]
    assert type(given(TWO)[0][0]) is float


def test_numpy_is_one_array_where_all_is_of_one_numeric_type():
    whole = given(TWO, inputs="numpy")
    assert whole.dtype == np.float64
    assert whole.tolist() == [[1.5, 2.5], [3.5, 4.5]]
    joined = given(records(col(L, "a", [[1], [2]]), col(L, "b c", [[3, 4], [5, 6]])), inputs="numpy")
    assert joined.tolist() == [[1, 3, 4], [2, 5, 6]]
    named = given(MIXED, inputs="numpy")
    assert {name: values.tolist() for name, values in named.items()} == {
        "a": [1.5, 3.5], "b": [2.5, 4.5], "s": ["x", "y"], "img": [[1, 2], [3, 4]],
    }  # fmt: skip
    assert list(given(records(col(S, "s", [["x"], ["y"]])), inputs="numpy")) == ["s"]


def test_columns_are_arrays_by_name():
    named = given(TWO, inputs="columns")
    assert {name: values.tolist() for name, values in named.items()} == {"a": [1.5, 3.5], "b": [2.5, 4.5]}
    for twice in (col(F, "a a", [[1, 2], [3, 4]]), col(F, "a", [[1], [2]])):
        with pytest.raises(InvalidInput, match="a"):
            given(records(col(F, "a", [[1], [2]]), twice), inputs="columns")


@pytest.mark.parametrize("layout", [Layout.TENSORS, Layout.WHOLE])
def test_tensors_come_as_the_client_shaped_them(layout):
    image = np.arange(12.0).reshape(2, 3, 2)
    data = image if layout is Layout.TENSORS else image[None]
    one = Batch(len(data), (Column(F, ("",), data),), layout)
    assert given(one) == image.tolist()
    assert given(one, inputs="numpy").tolist() == image.tolist()
    assert list(given(one, inputs="columns")) == [""]
    two = Batch(len(data), (Column(F, ("x",), data), Column(F, ("y",), data)), layout)
    assert given(two) == {"x": image.tolist(), "y": image.tolist()}
    assert list(given(two, inputs="numpy")) == ["x", "y"]
    with pytest.raises(InvalidInput, match="without a name"):
        given(Batch(len(data), (one.columns[0], one.columns[0]), layout))


# --- outputs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "values"),
    [
        ([1, 2], L, [1, 2]),
        ((1.5, 2), F, [1.5, 2.0]),
        ([True, False], TensorType.Bool, [True, False]),
        (["a", ""], S, ["a", ""]),
        ([b"a\0", b"\xff"], B, [b"a\0", b"\xff"]),
        ([["a", "b"], ["c", "d"]], S, [["a", "b"], ["c", "d"]]),
        ([[1, 2], [3, 4]], L, [[1, 2], [3, 4]]),
        ([2**63, 2**64 - 1], TensorType.UInt64, [2**63, 2**64 - 1]),
        ([np.float32(0.1), np.float32(2)], TensorType.Float32, [np.float32(0.1), 2.0]),
        (np.array([1, 2], np.float32), TensorType.Float32, [1.0, 2.0]),
        (np.array([1, 2], np.uint8), TensorType.UInt8, [1, 2]),
        (np.array([1, 2], ">i2"), TensorType.Int16, [1, 2]),
        (np.array([1, 2], np.float16)[::-1], TensorType.Float16, [2.0, 1.0]),
        (np.array(["a", "bc"]), S, ["a", "bc"]),
        (np.array([b"a", b"bc"]), B, [b"a", b"bc"]),
        (np.array([1, 2.5], object), F, [1.0, 2.5]),
        ([[float("nan")], [float("inf")]], F, [[float("nan")], [float("inf")]]),
    ],
)
def test_answers_become_columns_of_their_type(answer, kind, values):
    (column,) = answered(answer).columns
    assert (column.type, column.fields) == (kind, ("prediction",))
    assert column.data.dtype == DTYPES[kind]
    np.testing.assert_array_equal(column.data, np.array(values, DTYPES[kind]))
    assert column.data.flags["C_CONTIGUOUS"]


def test_answers_with_names():
    for answer in ({"label": ["a", "b"], "p": np.ones(2)}, [{"label": "a", "p": 1.0}, {"label": "b", "p": 1.0}]):
        batch = answered(answer)
        assert [(c.type, c.fields, c.data.tolist()) for c in batch.columns] == [
            (S, ("label",), ["a", "b"]), (F, ("p",), [1.0, 1.0]),
        ]  # fmt: skip
    chosen = answered({"x": [1, 2], "y": [3, 4], "z": [5, 6]}, configs={"forestflow.outputs": "z, x"})
    assert [c.fields[0] for c in chosen.columns] == ["z", "x"]
    with pytest.raises(InvalidInput, match=r"no output 'q'; it has 'x'"):
        answered({"x": [1, 2]}, configs={"forestflow.outputs": "q"})
    named = answered([1, 2], metadata={"outputs": [{"name": "price", "type": "Int64"}]})
    assert named.columns[0].fields == ("price",)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ([1], "predict answered 1 entries for output 'prediction'; expected one entry for each of the 2 records"),
        ({"a": [1, 2], "b": [1, 2, 3]}, "3 entries for output 'b'"),
        (7, "a single value"),
        ("text", "a single value"),
        (None, "holds NoneType"),
        ({}, "no output"),
        ([1, "a"], "holds int, str"),
        ([["a", "b"], [1, 2]], "holds int, str"),
        ([1.0, None], "holds NoneType, float"),
        ([Decimal(1), Decimal(2)], "holds Decimal"),
        ([[1], [1, 2]], "inhomogeneous"),
        (np.array([1j, 2]), "complex128"),
        (np.array(["2026-01-01", "2026-01-02"], "M8[D]"), "datetime64"),
        ([2**64, 1], "holds int"),
        ([{"a": 1}, {"b": 1}], "different keys"),
        ((x for x in [1, 2]), "holds generator"),
    ],
)
def test_what_is_no_answer_for_the_records_is_a_failure_of_the_model(answer, why):
    with pytest.raises(ModelFailed, match=why):
        answered(answer)


def test_answers_to_tensors_keep_their_shape():
    tensors = Batch(3, (Column(F, ("x",), np.zeros((3, 2))),), Layout.TENSORS)
    rows = answered(np.ones((3, 4)), tensors)
    assert (rows.rows, rows.layout, rows.columns[0].data.shape) == (3, Layout.TENSORS, (3, 4))
    other = answered(np.ones((2, 4)), tensors)
    assert (other.rows, other.layout, other.columns[0].data.shape) == (1, Layout.WHOLE, (1, 2, 4))
    with pytest.raises(ModelFailed, match="2 entries"):
        answered(np.ones((2, 4)), tensors, batched=True)
    whole = Batch(1, (Column(F, ("x",), np.zeros((1, 3, 2))),), Layout.WHOLE)
    single = answered("yes", whole)
    assert (single.layout, single.columns[0].type, single.columns[0].data.tolist()) == (Layout.WHOLE, S, ["yes"])


# --- methods ----------------------------------------------------------------------------------------------------------


class Many:
    methods = ("embed",)

    def predict(self, inputs):
        return ["p"] * len(inputs)

    def classify(self, inputs):
        return "Not implemented."

    def regress(self, inputs):
        raise NotImplementedError

    def embed(self, inputs):
        return ["e"] * len(inputs)

    def hidden(self, inputs):
        raise AssertionError


def test_a_request_names_its_method():
    servable = PythonServable(Many())
    assert servable.predict(TWO, {}).columns[0].data.tolist() == ["p", "p"]
    assert servable.predict(TWO, {"forestflow.signature": "embed"}).columns[0].data.tolist() == ["e", "e"]
    for method in ("classify", "regress", "hidden", "__init__", "_x"):
        with pytest.raises(NotImplementedByModel, match=method):
            servable.predict(TWO, {"forestflow.signature": method})
    assert list(servable.metadata.every_signature()) == ["predict", "classify", "regress", "embed"]


def test_a_class_without_predict_answers_with_its_first_method():
    servable = PythonServable(type("R", (), {"regress": lambda self, inputs: [1.0] * len(inputs)})())
    assert servable.metadata.default == "regress"
    assert servable.predict(TWO, {}).columns[0].data.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "error", [ValueError("boom"), SystemExit("boom"), KeyboardInterrupt("boom"), MemoryError("boom")]
)
def test_whatever_is_raised_fails_the_request_alone(error):
    def fail(inputs):
        raise error

    model = type("P", (Keeps,), {"answer": staticmethod(fail)})()
    with pytest.raises(ModelFailed, match=rf"predict raised {type(error).__name__}: boom") as failed:
        PythonServable(model).predict(TWO, {})
    assert failed.value.__cause__ is error, "the replica logs its traceback"


def test_a_fault_of_the_client_is_told_apart():
    def refuse(inputs):
        raise BadInput("age is negative")

    with pytest.raises(InvalidInput, match="age is negative") as refused:
        PythonServable(type("P", (Keeps,), {"answer": staticmethod(refuse)})()).predict(TWO, {})
    assert refused.value.code is Code.INVALID
    assert str(pickle.loads(pickle.dumps(refused.value))) == "age is negative"


async def test_a_method_may_run_an_event_loop_of_its_own():
    async def ones(inputs):
        return [1] * len(inputs)

    model = type("P", (Keeps,), {"answer": staticmethod(lambda inputs: asyncio.run(ones(inputs)))})()
    assert PythonServable(model).predict(TWO, {}).columns[0].data.tolist() == [1, 1]


def test_only_batched_classes_are_merged():
    configs = {"forestflow.signature": "embed", "reqid": "1"}
    alone = PythonServable(Many()).independence()
    assert {name: found.shown for name, found in alone.items()} == dict.fromkeys(
        ("predict", "classify", "regress", "embed"), False
    )
    batched = PythonServable(type("P", (Many,), {"batched": True})())
    assert all(found.shown and "batched = True" in found.reason for found in batched.independence().values())
    assert batched.merge_key(configs) == batched.merge_key({**configs, "reqid": "2"})
    assert batched.merge_key(configs) != batched.merge_key({})


class Halves:
    """What a row has, halved; ``form`` makes the answer of the list of halves."""

    batched = True
    inputs = "numpy"
    form = staticmethod(lambda halves: halves)

    def predict(self, inputs):
        return type(self).form(inputs / 2)


def halves(form):
    return PythonServable(type("P", (Halves,), {"form": staticmethod(form)})())


def one_by_one_and_together(servable, data):
    """The columns of a batch's rows, alone and as they are cut from the answer to all of them."""
    batch = Batch(len(data), (Column(F, ("x",), np.array(data, float)),), Layout.TENSORS)
    together = servable.predict(batch, {})
    pairs = []
    for i in range(batch.rows):
        (alone,), (cut,) = servable.predict(batch.slice(i, i + 1), {}).columns, together.slice(i, i + 1).columns
        pairs.append([(c.type, c.data.shape, c.data.tolist()) for c in (alone, cut)])
    return pairs


@pytest.mark.parametrize("squeeze", [np.squeeze, lambda a: a[0] if len(a) == 1 else a])
@pytest.mark.parametrize("shape", [(3, 1), (3, 4), (3, 1, 4), (3, 1, 1)])
def test_a_single_row_that_is_squeezed_has_the_answer_that_it_has_beside_others(squeeze, shape):
    data = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    for alone, cut in one_by_one_and_together(halves(squeeze), data):
        assert alone == cut


def test_a_row_alone_that_has_no_row_beside_others_either_is_a_failure():
    one = Batch(1, (Column(F, ("x",), np.ones((1, 2))),), Layout.TENSORS)
    with pytest.raises(ModelFailed, match=r"predict answered 3 entries .* for each of the 1 records"):
        halves(lambda _: [1, 2, 3]).predict(one, {})


@pytest.mark.parametrize(
    ("form", "varies"),
    [
        (lambda halves: halves[:, 0].tolist(), False),
        (lambda halves: halves.tolist(), False),
        (lambda halves: halves, False),
        (lambda halves: [int(v) if v == int(v) else v for v in halves[:, 0].tolist()], True),
        (lambda halves: {"y": [[int(v) if v == int(v) else v] for v in halves[:, 0].tolist()]}, True),
        (lambda halves: [{"y": int(v) if v == int(v) else v} for v in halves[:, 0].tolist()], True),
        (lambda halves: np.array([int(v) if v == int(v) else v for v in halves[:, 0].tolist()], object), True),
        (lambda halves: [np.int8(v) if v == int(v) else np.float32(v) for v in halves[:, 0].tolist()], True),
        (lambda halves: [np.array([v], np.int8 if v == int(v) else float) for v in halves[:, 0].tolist()], True),
        (lambda halves: [1, 2**63, 5], True),
    ],
)
def test_an_answer_says_if_some_of_its_rows_alone_would_be_of_other_types(form, varies):
    batch = Batch(3, (Column(F, ("x",), np.array([[2.0], [3.0], [4.0]])),), Layout.TENSORS)
    assert halves(form).predict(batch, {}).form_varies is varies


def test_an_answer_says_if_its_types_and_outputs_are_not_those_that_such_rows_had_before():
    servable = halves(lambda h: np.array(h, int) if (h == h.astype(int)).all() else {"y": h, "odd": h > 1})
    row = Batch(1, (Column(F, ("x",), np.array([[2.0]])),), Layout.TENSORS)
    odd = Batch(2, (Column(F, ("x",), np.array([[2.0], [3.0]])),), Layout.TENSORS)
    assert [servable.predict(batch, {}).form_varies for batch in (row, row, odd, row)] == [False, False, True, False]


def test_a_batched_class_that_takes_only_its_example_is_deployed():
    def two(inputs):
        if len(inputs) != 2:
            raise ValueError("two, please")
        return inputs

    model = type("P", (Keeps,), {"answer": staticmethod(two), "batched": True, "example": [[1.0], [2.0]]})()
    servable = PythonServable(model)
    servable.warm_up()
    assert servable.slice_rows >= 1


# --- what a class says of itself --------------------------------------------------------------------------------------


def test_metadata():
    described = {
        "inputs": [{"name": "image", "type": "UInt8", "shape": [28, 28], "description": "grey"}],
        "outputs": [{"name": "digit", "type": "Int64"}],
    }
    metadata = PythonServable(type("P", (Many,), {"metadata": described, "batched": True})()).metadata
    assert metadata.inputs == (IOMetadata("image", TensorType.UInt8, (28, 28), "grey"),)
    assert metadata.outputs == (IOMetadata("digit", L),)
    assert metadata.every_signature()["classify"].batched


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"inputs": "pandas"}, "inputs is 'pandas'; expected one of list, numpy, columns"),
        ({"batched": "yes"}, "batched is 'yes'"),
        ({"methods": "embed"}, "methods is 'embed'"),
        ({"methods": ["_private"]}, "public"),
        ({"methods": ["fly"]}, "no method 'fly'"),
        ({"metadata": []}, "metadata is a list"),
        ({"metadata": {"inputs": [{"name": "x", "type": "float"}]}}, "inputs must be .*Float64.*'float'"),
        ({"metadata": {"outputs": [{"type": "Int64"}]}}, "outputs must be .*'name'"),
        ({"metadata": {"outputs": [{"name": "x", "type": "Int64", "shape": ["?"]}]}}, "outputs must be"),
    ],
)
def test_attributes_that_cannot_be_are_told_at_load(attributes, why):
    with pytest.raises(LoadFailed, match=why):
        PythonServable(type("P", (Many,), attributes)())


def test_a_class_without_a_method_is_no_model():
    with pytest.raises(LoadFailed, match="none of the methods predict, classify, regress"):
        PythonServable(object())


@pytest.mark.parametrize("example", [[[1.0, 2.0]], np.ones((2, 2)), {"a": [1.0], "b": np.ones(1)}])
def test_an_example_warms_up_and_tells_how_long_slices_may_be(example):
    calls = []

    class Slow:
        batched = True

        def predict(self, inputs):
            rows = len(inputs["a"] if isinstance(inputs, dict) else inputs)
            calls.append((type(inputs), rows))
            time.sleep(rows * 0.0004)
            return [0] * rows

    Slow.example = example
    servable = PythonServable(Slow())
    servable.warm_up()
    assert {kind for kind, _ in calls} == {type(example)}
    assert {rows for _, rows in calls} >= {
        len(next(iter(example.values()))) if isinstance(example, dict) else len(example),
        1,
        16,
    }
    assert 1 <= servable.slice_rows <= 10, "4 ms are 10 rows, on a machine without anything else to do"


def test_an_example_that_the_class_fails_on_is_told():
    model = type("P", (Many,), {"example": [1], "predict": lambda self, inputs: 1 / 0})()
    with pytest.raises(ModelFailed, match="ZeroDivisionError"):
        PythonServable(model).warm_up()
    PythonServable(Many()).warm_up()
