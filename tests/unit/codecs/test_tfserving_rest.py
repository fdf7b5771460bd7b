"""REST bodies as https://www.tensorflow.org/tfx/serving/api_rest has them, and the answers to them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestflow.codecs.envelope import pack
from forestflow.codecs.tfserving.rest import TfServingRestCodec, decode_request
from forestflow.domain.errors import InvalidInput, Malformed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.requests import SIGNATURE_KEY
from forestflow.domain.tensors import DTYPES, Batch, Column, Layout, TensorType

CODEC = TfServingRestCodec(Fqrv(Contract("o", "p", 0), "1"))


def read(document, verb="predict", **head):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decode_request(pack({"verb": verb, "signature": "", **head}, body))


def columns(request):
    return {c.fields[0]: (c.type.name, c.data.tolist()) for c in request.batch.columns}


def output(name, kind, data):
    return Column(TensorType[kind], (name,), np.array(data, DTYPES[TensorType[kind]]))


def answered(request, *outputs, layout=Layout.TENSORS):
    rows = len(outputs[0].data)
    return json.loads(CODEC.encode(Batch(rows, outputs, layout), request.context))


# --- the examples of the published page ------------------------------------------------------------------------------


def test_several_named_inputs_by_row():
    request = read(
        {
            "instances": [
                {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
                {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
            ]
        }
    )
    assert (request.batch.layout, request.batch.rows) == (Layout.TENSORS, 2)
    assert columns(request) == {
        "tag": ("String", ["foo", "bar"]),
        "signal": ("Int64", [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]]),
        "sensor": ("Int64", [[[1, 2], [3, 4]], [[4, 5], [6, 8]]]),
    }


@pytest.mark.parametrize(
    ("instances", "kind", "shape"),
    [
        (["foo", "bar", "baz"], "String", (3,)),
        ([1.0, 2.0, 5.0], "Float64", (3,)),
        ([[[1, 2], [3, 4]], [[4, 5], [6, 8]]], "Int64", (2, 2, 2)),
        ([{"b64": "aW1hZ2UgYnl0ZXM="}, {"b64": "YXdlc29tZSBpbWFnZSBieXRlcw=="}], "Bytes", (2,)),
    ],
)
def test_one_input_by_row(instances, kind, shape):
    (only,) = read({"instances": instances}).batch.columns
    assert (only.fields, only.type.name, only.data.shape) == (("",), kind, shape)
    if kind == "Bytes":
        assert only.data.tolist() == [b"image bytes", b"awesome image bytes"]


NUMBERS = (
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1) | st.integers(2**64, 2**70)
)


@given(
    rows=st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1)
    ),
    key=st.sampled_from(["instances", "inputs"]),
    signature=st.sampled_from([{}, {"signature_name": ""}, {"signature_name": "s.1"}]),
)
def test_rows_are_the_numbers_that_were_written(rows, key, signature):
    request = read({key: rows, **signature}, signature="default")
    (only,) = request.batch.columns
    if all(type(number) is int and number < 2**63 for row in rows for number in row):
        assert only.type is TensorType.Int64
        assert only.data.tolist() == rows
    else:
        assert only.type is TensorType.Float64
        assert only.data.tolist() == [[float(number) for number in row] for row in rows]
    assert request.configs.get(SIGNATURE_KEY) == (signature.get("signature_name", "default") or None)
    assert request.context.key == {"instances": "predictions", "inputs": "outputs"}[key]


@pytest.mark.parametrize("fraction", [1, 1.0, 1.5], ids=["integer", "whole", "fraction"])
@pytest.mark.parametrize(
    ("document", "said"),
    [
        ('{"instances":[[%s,1]],"inputs":[[%s,1]]}', "only one of"),
        ('{"instances":[],"inputs":[[%s,%s]]}', "only one of"),
        ('{"instances":[[%s,2],[%s]]}', "lists of 1 and of 2 entries"),
        ('{"inputs":[[%s,"a"],[%s,2]]}', "holds a number, a string; "),
        ('{"instances":[[%s,null],[%s,2]]}', "holds a number, null; "),
        ('{"instances":[[%s,2],%s]}', "lists and single values"),
        ('{"instances":[[%s,2],[%s,2]],"signature_name":5}', "must be a string value"),
    ],
)
def test_rows_that_contradict_themselves(document, said, fraction):
    with pytest.raises(InvalidInput, match=said):
        read((document % (fraction, fraction)).encode())


@pytest.mark.parametrize("row", [b"[0.5,1", b"[0.5,01]", b"[0.5,.5]", b"[0.5,1]]"])
def test_rows_that_are_no_json(row):
    with pytest.raises(Malformed):
        read(b'{"instances":[' + row + b"]}")


def test_text_that_is_no_unicode_beside_rows():
    for text in (b'"\\ud800"', b'"\xff"'):
        with pytest.raises(Malformed):
            read(b'{"instances":[[0.5]],"signature_name":' + text + b"}")


def test_the_page_of_captions():
    request = read(
        {
            "signature_name": "classify_objects",
            "instances": [
                {"image": {"b64": "aW1hZ2UgYnl0ZXM="}, "caption": "seaside"},
                {"image": {"b64": "YXdlc29tZSBpbWFnZSBieXRlcw=="}, "caption": "mountains"},
            ],
        }
    )
    assert request.configs == {SIGNATURE_KEY: "classify_objects"}
    assert columns(request) == {
        "image": ("Bytes", [b"image bytes", b"awesome image bytes"]),
        "caption": ("String", ["seaside", "mountains"]),
    }


def test_several_named_inputs_by_column():
    request = read(
        {
            "inputs": {
                "tag": ["foo", "bar"],
                "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
                "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
            }
        }
    )
    assert request.batch.layout is Layout.TENSORS
    assert columns(request)["sensor"] == ("Int64", [[[1, 2], [3, 4]], [[4, 5], [6, 8]]])
    outputs = output("a", "Float32", [0.5, 1]), output("b_bytes", "String", ["x", "y"])
    assert answered(request, *outputs) == {"outputs": {"a": [0.5, 1.0], "b_bytes": [{"b64": "eA=="}, {"b64": "eQ=="}]}}
    assert answered(request, outputs[0]) == {"outputs": [0.5, 1.0]}


def test_classify_and_regress_of_the_page():
    document = {
        "signature_name": "s",
        "context": {"common_feature_name_1": 1.5, "common_feature_name_2": ["some", "more"]},
        "examples": [{"feature_name_1": 2, "feature_name_2": [3, 4]}, {"feature_name_1": 5, "feature_name_2": [6, 7]}],
    }
    request = read(document, "classify")
    assert columns(request) == {
        "common_feature_name_1": ("Float64", [1.5, 1.5]),
        "common_feature_name_2": ("String", [["some", "more"]] * 2),
        "feature_name_1": ("Int64", [2, 5]),
        "feature_name_2": ("Int64", [[3, 4], [6, 7]]),
    }
    classes = output("classes", "String", [["a", "b"], ["b", "a"]])
    scores = output("scores", "Float32", [[0.75, 0.25], [np.nan, 0.125]])
    both = CODEC.encode(Batch(2, (classes, scores), Layout.TENSORS), request.context)
    assert both == b'{"results":[[["a",0.75],["b",0.25]],[["b",NaN],["a",0.125]]]}'
    assert answered(request, classes)["results"][0] == [["a", 0.0], ["b", 0.0]]
    assert answered(request, scores)["results"][0] == [["", 0.75], ["", 0.25]]
    for shape in ((2,), (2, 1)):
        values = output("outputs", "Float32", np.reshape([0.5, 2.0], shape))
        assert answered(read(document, "regress"), values) == {"results": [0.5, 2.0]}


# --- the rest --------------------------------------------------------------------------------------------------------


def test_examples_of_different_features_are_serialized():
    document = {"context": {"c": True}, "examples": [{"a": [1.5]}, {"a": [1.5, 2.5], "b": "x"}, {"a": []}]}
    (only,) = read(document, "regress").batch.columns
    assert (only.type, only.fields, only.data.shape) == (TensorType.Bytes, ("",), (3,))
    # tf.train.Example.SerializeToString(deterministic=True) of the second
    assert only.data[1].hex() == (
        "0a2b0a110a0161120c120a0a080000c03f000020400a0a0a016212050a030a01780a0a0a016312051a030a0101"
    )


def test_outputs_by_row():
    request = read({"instances": [1, 2]})
    a, b = output("a", "Int64", [[1, 2], [3, 4]]), output("b", "Bool", [True, False])
    assert answered(request, a) == {"predictions": [[1, 2], [3, 4]]}
    assert answered(request, a, b) == {"predictions": [{"a": [1, 2], "b": True}, {"a": [3, 4], "b": False}]}
    lopsided = Batch(1, (output("a", "Int64", [[1, 2]]), output("b", "Int64", [[1]])), Layout.WHOLE)
    with pytest.raises(InvalidInput, match="different batch sizes"):
        CODEC.encode(lopsided, request.context)


@pytest.mark.parametrize("values", [[1, 2], [[1.5], [2.5]]])
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Batch.of_tensors([output("y", "Int64", [1, 2, 3])]), "'y' has 3 rows for 2"),
        (Batch.of_tensors([output("y", "Int64", [[1, 2]])]), "'y' has 1 rows for 2"),
        (Batch.of_tensors([output("y", "Int64", [])]), "'y' has no rows"),
        (Batch.of_tensors([output("y", "Int64", 7)]), "'y' is a scalar"),
        (Batch.of_tensors([output("y", "Int64", [1, 2]), output("k", "Int64", 7)]), "'k' is a scalar"),
        (Batch.of_tensors([output("y", "Int64", [1, 2]), output("k", "Int64", [7])]), "different batch sizes"),
    ],
)
def test_rows_that_are_not_one_for_each_instance(values, answer, why):
    """TensorFlow Serving refuses scalars, no rows and different numbers of rows, too (MakeRowFormatJsonFromTensors)."""
    request = read({"instances": values})
    with pytest.raises(InvalidInput, match=why):
        CODEC.encode(answer, request.context)
    columns = read({"inputs": values})
    whole = [column.data.tolist() for column in answer.tensors()]
    told = json.loads(CODEC.encode(answer, columns.context))["outputs"]
    assert told == (whole[0] if len(whole) == 1 else {"y": whole[0], "k": whole[1]})


def test_a_model_without_rows_may_answer_any_number_of_them():
    """It takes the instances as one tensor: TensorFlow Serving answers by the rows that come out."""
    request = read({"instances": [1, 2]})
    three = Batch(1, (output("y", "Int64", [[1, 2, 3]]),), Layout.WHOLE)
    assert json.loads(CODEC.encode(three, request.context)) == {"predictions": [1, 2, 3]}


def test_hopsworks_python_models_answer_what_they_like():
    request = read({"instances": [1, 2]}, inputs_key="predictions")
    answer = Batch(1, (output("prediction", "Int64", [7]),), Layout.WHOLE)
    assert json.loads(CODEC.encode(answer, request.context)) == {"predictions": 7}


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_results_are_one_for_each_example(verb):
    request = read({"examples": [{"a": 1.5}, {"a": 2.5}]}, verb)
    for data in ([[0.5]], [[0.5]] * 3, 0.5, []):
        answer = Batch.of_tensors([output("scores", "Float32", data)])
        with pytest.raises(InvalidInput, match="output 'scores'"):
            CODEC.encode(answer, request.context)


def test_numbers_that_json_does_not_have():
    request = read(b'{"instances": [{"x": NaN}, {"x": -Infinity}]}')
    assert str(columns(request)["x"]) == "('Float64', [nan, -inf])"
    a, b = output("a", "Float32", [np.nan, 0.1]), output("b", "Float64", [[np.inf], [-np.inf]])
    encoded = CODEC.encode(Batch(2, (a, b), Layout.TENSORS), request.context)
    assert encoded == b'{"predictions":[{"a":NaN,"b":[Infinity]},{"a":0.1,"b":[-Infinity]}]}'


def test_a_python_models_inputs_get_predictions():
    request = read({"inputs": [[1, 2]]}, inputs_key="predictions")
    assert answered(request, output("y", "Int64", [3])) == {"predictions": [3]}


def test_the_paths_signature_is_for_bodies_without_one():
    assert read({"instances": [1]}, signature="s").configs == {SIGNATURE_KEY: "s"}
    assert read({"instances": [1], "signature_name": "t"}, signature="s").configs == {SIGNATURE_KEY: "t"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"instances": [1}'])
def test_what_is_no_json_object(body):
    with pytest.raises(Malformed):
        read(body)


@pytest.mark.parametrize(
    ("document", "verb", "message"),
    [
        ({"instances": 1}, "predict", "Expecting 'instances'"),
        ({"instances": []}, "predict", "No values in 'instances'"),
        ({"instances": [{"a": 1}, {"b": 1}]}, "predict", "element: 1 .* must be equal to: a"),
        ({"instances": [{"a": 1}, 2]}, "predict", "Expecting object but got list at item 1"),
        ({"instances": [2, {"a": 1}]}, "predict", "Expecting value/list but got object"),
        ({"instances": [{}]}, "predict", "no inputs"),
        ({"inputs": {}}, "predict", "no inputs"),
        ({"inputs": None}, "predict", "null"),
        ({"signature_name": 1, "inputs": [1]}, "predict", "'signature_name' key must be a string"),
        ({"instances": [1], "inputs": [1]}, "predict", "only one of"),
        ({}, "predict", "Missing 'inputs' or 'instances'"),
        ({}, "classify", "When method is classify, key 'examples' is expected"),
        ({"examples": {}}, "regress", "to be an list/array"),
        ({"examples": []}, "regress", "empty array"),
        ({"examples": [1]}, "regress", "Example must be JSON object"),
        ({"context": [], "examples": [{}]}, "regress", "Example must be JSON object"),
        ({"examples": [{"a": [1, 0.5, "x"]}]}, "regress", "Unexpected element type in feature: a"),
        ({"context": {"c": ["x" * 9000]}, "examples": [{}] * 2000}, "regress", "a context of 9010 bytes for 2000"),
        ({"examples": [{"a": None}]}, "regress", "Unexpected element type in feature: a"),
        ({"examples": [{"a": [1]}, {"a": [2**63, 1]}]}, "regress", "Unexpected element type in feature: a"),
    ],
)
def test_what_makes_no_sense(document, verb, message):
    with pytest.raises(InvalidInput, match=message):
        read(document, verb)


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(NUMBERS, st.text(st.characters(exclude_categories=["Cs"]))), min_size=1), st.booleans())
def test_what_comes_in_goes_out(rows, by_row):
    """Inputs answered as outputs come back as they were, with numbers of one type."""
    named = {"n": [n for n, _ in rows], "s": [s for _, s in rows]}
    instances = [{"n": n, "s": s} for n, s in rows]
    request = read({"instances": instances} if by_row else {"inputs": named})
    if any(type(n) is float for n in named["n"]):
        named["n"] = list(map(float, named["n"]))
        instances = [{"n": float(n), "s": s} for n, s in rows]
    back = json.loads(CODEC.encode(request.batch, request.context))
    assert back == ({"predictions": instances} if by_row else {"outputs": named})
