"""Batches to named arrays and back, around a model that answers with what it was given."""

import numpy as np
import pytest

from forestflow.domain.errors import InvalidInput, ModelFailed
from forestflow.domain.requests import OUTPUTS_KEY, SIGNATURE_KEY
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, ModelMetadata, Signature, TensorType
from forestflow.servables.binding import Bindings

F32, F64, I8, I64, U64 = (
    TensorType.Float32, TensorType.Float64, TensorType.Int8, TensorType.Int64, TensorType.UInt64,
)  # fmt: skip


def echo(name, inputs, outputs):
    return {f"{key}_out": value for key, value in inputs.items()}


def bindings(*ios, batched=True, call=echo):
    outputs = tuple(IOMetadata(f"{io.name}_out", io.type, io.shape) for io in ios)
    signatures = {"serving_default": Signature(ios, outputs, batched), "other": Signature((), ())}
    return Bindings(ModelMetadata(ios, outputs, signatures), call)


def column(kind, fields, values):
    return Column(kind, tuple(fields), np.array(values, dtype=DTYPES[kind]))


def records(*columns):
    return Batch(len(columns[0].data), columns)


def tensors(*columns, layout=Layout.TENSORS):
    return Batch(1 if layout is Layout.WHOLE else len(columns[0].data), columns, layout)


def scored(bound, batch, **configs):
    answer = bound.predict(batch, configs)
    return {c.fields[0]: c.data for c in answer.columns}, answer


def test_flattened_records_take_the_declared_shape_and_dtype():
    bound = bindings(IOMetadata("x", F32, (2, 2)))
    found, answer = scored(bound, records(column(F64, ["x"], [[1, 2, 3, 4], [5, 6, 7, 8]])))
    assert found["x_out"].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert answer.columns[0].type is F32
    assert answer.layout is Layout.RECORDS
    found, _ = scored(bindings(IOMetadata("x", F32, (-1, 2))), records(column(F64, ["x"], [[1, 2, 3, 4]])))
    assert found["x_out"].shape == (1, 2, 2)


def test_several_fields_are_scalar_inputs():
    bound = bindings(IOMetadata("a", F64), IOMetadata("b", I64, (1,)))
    found, _ = scored(bound, records(column(I64, ["b", "a"], [[1, 2], [3, 4]])))
    assert found["a_out"].tolist() == [2.0, 4.0]
    assert found["b_out"].tolist() == [[1], [3]]


def test_one_input_takes_all_columns_where_no_field_has_its_name():
    bound = bindings(IOMetadata("X", F64, (3,)))
    batch = records(column(F64, ["p", "q"], [[1, 2]]), column(I64, ["r"], [[3]]))
    assert scored(bound, batch)[0]["X_out"].tolist() == [[1, 2, 3]]


def test_tensors_keep_their_shape_and_may_lack_names():
    bound = bindings(IOMetadata("x", F32, (2, -1)))
    found, answer = scored(bound, tensors(column(F32, [""], [[[1], [2]], [[3], [4]]])))
    assert found["x_out"].shape == (2, 2, 1)
    assert answer.layout is Layout.TENSORS
    with pytest.raises(
        InvalidInput, match=r"input 'x' takes Float32 of shape \[-1, 2, -1\], got Float32 of shape \[1, 2\]"
    ):
        bound.predict(tensors(column(F32, ["x"], [[1, 2]])), {})
    with pytest.raises(InvalidInput, match="2 tensors without names"):
        bound.predict(tensors(column(F32, [""], [[1]]), column(F32, [""], [[1]])), {})


def test_a_signature_without_rows_is_called_once_for_tensors_and_per_record_otherwise():
    bound = bindings(IOMetadata("x", F64, (2,)), IOMetadata("k", F64), batched=False)
    whole = tensors(column(F64, ["x"], [[1, 2]]), column(F64, ["k"], [3]), layout=Layout.WHOLE)
    found, answer = scored(bound, whole)
    assert found["x_out"].tolist() == [[1, 2]]
    assert found["k_out"].tolist() == [3]
    assert (answer.layout, answer.rows) == (Layout.WHOLE, 1)
    # two tensors that happen to be of one length arrive as rows
    pair = bindings(IOMetadata("x", F64, (2,)), batched=False)
    assert scored(pair, tensors(column(F64, ["x"], [1, 2])))[0]["x_out"].tolist() == [[1, 2]]
    batch = records(column(F64, ["x"], [[1, 2], [3, 4]]), column(F64, ["k"], [[5], [6]]))
    found, answer = scored(bound, batch)
    assert found["x_out"].tolist() == [[1, 2], [3, 4]]
    assert found["k_out"].tolist() == [5, 6]
    assert bound.merge_key({}) is None


def test_each_signature_is_tried_the_default_one_first():
    tried = []

    def call(name, inputs, outputs):
        tried.append(name)
        return {key: value - value.mean() if name == "other" else value for key, value in inputs.items()}

    ios = (IOMetadata("x", F64),)
    signatures = {
        "other": Signature(ios, ios),
        "serving_default": Signature(ios, ios),
        "fixed": Signature(ios, ios, batched=False),
    }
    found = Bindings(ModelMetadata(ios, ios, signatures), call).independence({})
    assert {name: one.shown for name, one in found.items()} == {"serving_default": True, "other": False, "fixed": False}
    assert tried[0] == "serving_default"
    assert "fixed" not in tried


def test_merging_needs_the_same_signature_and_outputs():
    bound = bindings(IOMetadata("x", F64))
    assert bound.merge_key({}) == bound.merge_key({SIGNATURE_KEY: "serving_default"})
    assert bound.merge_key({}) != bound.merge_key({OUTPUTS_KEY: "x_out"})
    assert bound.merge_key({SIGNATURE_KEY: "other"}) not in (None, bound.merge_key({}))
    assert bound.merge_key({SIGNATURE_KEY: "nowhere"}) is None


def test_outputs_are_answered_as_asked():
    bound = bindings(IOMetadata("a", F64), IOMetadata("b", F64))
    batch = records(column(F64, ["a", "b"], [[1, 2]]))
    answer = bound.predict(batch, {OUTPUTS_KEY: "b_out, a_out"})
    assert [c.fields for c in answer.columns] == [("b_out",), ("a_out",)]
    with pytest.raises(InvalidInput, match="no output 'c'; it has 'a_out', 'b_out'"):
        bound.predict(batch, {OUTPUTS_KEY: "c"})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([(F64, ["y"], 1), (F64, ["x"], 1)], "there is no input 'y'; signature 'serving_default' takes 'x', 'k'"),
        ([(F64, ["x"], 1)], "input 'k' is missing; .*, the request has 'x'"),
        ([(F64, ["x"], 1, 2), (I8, ["k"], 1)], r"'x' takes Float32 of shape \[-1\], got Float64 of shape \[1, 2\]"),
        ([(F64, ["x", "k"], 1, 1)], "input 'k' takes Int8, got Float64"),
        ([(I64, ["x", "k"], 1, 128)], "input 'k' takes Int8, up to 127; got 128"),
        ([(F64, ["x"], 1e300), (I8, ["k"], 1)], "input 'x' takes Float32, up to 3.40282e.38; got 1e.300"),
        ([(TensorType.String, ["x"], "a"), (I8, ["k"], 1)], "input 'x' takes Float32, got String"),
        ([(TensorType.Bool, ["x"], True), (I8, ["k"], 1)], "input 'x' takes Float32, got Bool"),
    ],
)
def test_what_does_not_fit_is_named(columns, message):
    batch = records(*[column(kind, fields, [values]) for kind, fields, *values in columns])
    with pytest.raises(InvalidInput, match=message):
        bindings(IOMetadata("x", F32), IOMetadata("k", I8)).predict(batch, {})


def test_integers_are_exact():
    bound = bindings(IOMetadata("x", U64))
    assert scored(bound, records(column(I64, ["x"], [[2**63 - 1]])))[0]["x_out"].tolist() == [2**63 - 1]
    with pytest.raises(InvalidInput, match="takes UInt64"):
        bound.predict(records(column(I64, ["x"], [[-1]])), {})
    with pytest.raises(InvalidInput, match="takes Int64"):
        bindings(IOMetadata("x", I64)).predict(records(column(U64, ["x"], [[2**63]])), {})


def test_bytes_of_0_and_1_are_booleans():
    bound = bindings(IOMetadata("x", TensorType.Bool))
    assert scored(bound, tensors(column(TensorType.UInt8, ["x"], [0, 1])))[0]["x_out"].tolist() == [False, True]
    with pytest.raises(InvalidInput, match="input 'x' takes Bool, up to 1; got 2"):
        bound.predict(tensors(column(TensorType.UInt8, ["x"], [1, 2])), {})
    with pytest.raises(InvalidInput, match="input 'x' takes Bool, got Int8"):
        bound.predict(tensors(column(I8, ["x"], [1])), {})


def test_unknown_signatures_and_rows_that_differ_are_refused():
    bound = bindings(IOMetadata("x", F64))
    with pytest.raises(InvalidInput, match="no signature 'nope'; it has 'serving_default', 'other'"):
        bound.predict(records(column(F64, ["x"], [[1]])), {SIGNATURE_KEY: "nope"})
    with pytest.raises(InvalidInput, match=r"input 'x' takes Float64 of shape \[-1\], got Float64 of shape \[\]"):
        bound.predict(tensors(column(F64, ["x"], [1.0]), layout=Layout.WHOLE), {})


@pytest.mark.parametrize(
    ("name", "values", "kind", "expected"),
    [
        ("s", [b"a", "b"], TensorType.String, ["a", "b"]),
        ("s", [b"\xff", "b"], TensorType.Bytes, [b"\xff", b"b"]),
        ("s_bytes", ["a", b"b"], TensorType.Bytes, [b"a", b"b"]),
    ],
)
def test_texts_of_models(name, values, kind, expected):
    data = np.array(values, dtype=object)
    signature = Signature((), (IOMetadata(name, TensorType.String),))
    bound = Bindings(ModelMetadata((), signature.outputs), lambda *_: {name: data})
    answer = bound.predict(Batch(2, ()), {})
    assert answer.columns[0].type is kind
    assert answer.columns[0].data.tolist() == expected


@pytest.mark.parametrize(
    ("answer", "layout", "rows"),
    [
        (np.arange(3), Layout.TENSORS, 3),
        (np.zeros((0, 2)), Layout.TENSORS, 0),
        (np.array(1), Layout.WHOLE, 1),
    ],
)
def test_tensors_are_answered_by_any_number_of_rows_and_records_by_one_each(answer, layout, rows):
    bound = bindings(IOMetadata("x", F64), call=lambda *_: {"x_out": answer})
    _found, batch = scored(bound, tensors(column(F64, ["x"], [1, 2])))
    assert (batch.layout, batch.rows) == (layout, rows)
    (only,) = batch.tensors()
    assert (only.data.shape, only.data.tolist()) == (answer.shape, answer.tolist())
    with pytest.raises(InvalidInput, match=r"output 'x_out' has the shape .* for 2 records, not a row for each"):
        bound.predict(records(column(F64, ["x"], [[1], [2]])), {})


def test_outputs_of_different_lengths_are_answered_whole():
    ios = IOMetadata("x", F64), IOMetadata("k", F64)
    bound = bindings(*ios, call=lambda *_: {"x_out": np.arange(3), "k_out": np.arange(2)})
    found, batch = scored(bound, tensors(column(F64, ["x"], [1, 2]), column(F64, ["k"], [1, 2])))
    assert batch.layout is Layout.WHOLE
    assert {name: data.shape for name, data in found.items()} == {"x_out": (1, 3), "k_out": (1, 2)}


def test_inputs_of_different_lengths_are_the_models_to_judge():
    signature = Signature((IOMetadata("a", F64, (-1,)), IOMetadata("b", F64, (-1,))), (IOMetadata("c", F64, (-1,)),))
    bound = Bindings(
        ModelMetadata((), (), {"serving_default": signature}), lambda _, given, __: {"c": given["a"] @ given["b"]}
    )
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    found, _batch = scored(bound, Batch.of_tensors([Column(F64, ("a",), a), Column(F64, ("b",), b)]))
    assert found["c"].tolist() == (a @ b).tolist()


@pytest.mark.parametrize("bad", [np.zeros(2, dtype=complex), np.array([1, None], dtype=object)])
def test_models_that_answer_something_else(bad):
    bound = Bindings(ModelMetadata((), (IOMetadata("y", F64),)), lambda *_: {"y": bad})
    with pytest.raises(ModelFailed, match="output 'y'"):
        bound.predict(Batch(2, ()), {})


def test_an_input_of_any_rank_takes_what_comes():
    bound = bindings(IOMetadata("x", F32, any_rank=True), batched=False)
    for values in (4, [4, 5], [[[4]]]):
        batch = tensors(column(F64, ["x"], [values]), layout=Layout.WHOLE)
        assert scored(bound, batch)[0]["x_out"].tolist() == [values]
    found, _ = scored(bound, records(column(F64, ["x"], [[1, 2], [3, 4]])))
    assert found["x_out"].tolist() == [[[1, 2]], [[3, 4]]]
    assert found["x_out"].dtype == np.float32


def test_a_record_is_one_row_of_a_signature_without_rows():
    bound = bindings(IOMetadata("x", F64, (-1, -1)), batched=False)
    assert scored(bound, records(column(F64, ["x"], [[1, 2, 3]])))[0]["x_out"].tolist() == [[[1, 2, 3]]]
    fixed = bindings(IOMetadata("x", F64, (2, 2)), batched=False)
    with pytest.raises(InvalidInput, match=r"of shape \[2, 2\], got Float64 of shape \[3\]"):
        fixed.predict(records(column(F64, ["x"], [[1, 2, 3]])), {})
