"""tf-infer's bodies: its forms, its words for what is wrong, and the way back."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from forestflow.codecs.tfinfer import TfInferCodec, is_empty_list, listing, payload_of
from forestflow.domain.errors import InvalidInput, Malformed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, ModelMetadata, Signature, TensorType

CODEC = TfInferCodec(Fqrv(Contract("o", "p", 0), "v1"))
F32, I32, STRING = TensorType.Float32, TensorType.Int32, TensorType.String
PIXELS = IOMetadata("pixels", F32, (3,))
NAME = IOMetadata("name", STRING)
COUNT = IOMetadata("count", I32)


def decode(body: Any, *inputs: IOMetadata, batched: bool = True, transpose: bool = True) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CODEC.decode(payload_of("run", Signature(inputs, (), batched), content, transpose=transpose))


def refusal(body: Any, *inputs: IOMetadata, **how: bool) -> str:
    with pytest.raises((InvalidInput, Malformed)) as caught:
        decode(body, *inputs, **how)
    return caught.value.message


EXAMPLES = [{"pixels": [1, 2, 3], "name": "a"}, {"name": "b", "pixels": [4, 5, 6.5], "more": 1}]


def test_a_list_of_objects_by_key_and_never_by_position() -> None:
    request = decode(EXAMPLES, PIXELS, NAME)
    assert (request.batch.layout, request.batch.rows) == (Layout.TENSORS, 2)
    assert request.configs == {"forestflow.signature": "run"}
    pixels, name, more = request.batch.columns
    assert more.fields == ("more",), "the model is to say that it has no such input"
    assert (pixels.fields, pixels.data.tolist()) == (("pixels",), [[1, 2, 3], [4, 5, 6.5]])
    assert (name.fields, name.data.tolist()) == (("name",), ["a", "b"])


def test_one_object_is_one_example() -> None:
    assert decode(EXAMPLES[0], PIXELS, NAME).batch.rows == 1


def test_an_object_of_batches() -> None:
    request = decode({"pixels": [[1, 2, 3]] * 2, "name": ["a", "b"]}, PIXELS, NAME, transpose=False)
    assert (request.batch.layout, request.batch.rows) == (Layout.TENSORS, 2)


def test_a_signature_without_rows_takes_an_object() -> None:
    request = decode({"pixels": [1, 2, 3], "count": 7}, PIXELS, COUNT, batched=False)
    assert request.batch.layout is Layout.WHOLE
    assert [column.data.shape for column in request.batch.columns] == [(1, 3), (1,)]
    assert refusal([{"pixels": [1, 2, 3]}], PIXELS, batched=False) == (
        "method run takes one object of values by name, got list"
    )


def test_bytes_at_any_depth() -> None:
    names = IOMetadata("names", STRING, (1, 2))
    request = decode([{"names": [[{"b64": base64.b64encode(b"\xff").decode()}, "text"]]}], names)
    assert request.batch.columns[0].data.tolist() == [[[b"\xff", b"text"]]]


@pytest.mark.parametrize(
    ("body", "transpose", "message"),
    [
        ([{"name": "a"}], True, "Request missing required key pixels for method run"),
        ([EXAMPLES[0], {"name": "b"}], True, "Request missing required key pixels for method run"),
        ({"pixels": [[1, 2, 3]]}, False, "Request missing required key name for method run"),
        ([{"pixels": [1, 2], "name": "a"}], True, "Shape of input pixels [1, 2] not compatible with [None, 3]"),
        ({"pixels": 1, "name": "a"}, True, "Shape of input pixels [1] not compatible with [None, 3]"),
        ({"pixels": 1, "name": "a"}, False, "Shape of input pixels [] not compatible with [None, 3]"),
        (
            [{"pixels": ["a", "b", "c"], "name": "a"}],
            True,
            "Incompatible types for key pixels: expected Float32, got String",
        ),
        ([{"pixels": [1, 2, 3], "name": 7}], True, "Incompatible types for key name: expected String, got Int64"),
        (
            [{"pixels": [True] * 3, "name": "a"}],
            True,
            "Incompatible types for key pixels: expected Float32, got Bool",
        ),
        (
            [{"pixels": [1, 2, 3], "name": "a"}, {"pixels": [1, 2], "name": "a"}],
            True,
            "Incompatible types for key pixels: input 'pixels': lists of 2 and of 3 entries at level 1; "
            "a tensor needs lists of one length",
        ),
        ({"pixels": [[1, 2, 3]], "name": ["a", "b"]}, False, "The outer dimension of tensors did not match"),
        ([1, 2], True, "method run takes an object of values by name, or a list of such objects"),
        ([EXAMPLES[0], []], True, "method run takes an object of values by name, or a list of such objects"),
        ("pixels", True, "method run takes an object of values by name, or a list of such objects"),
        ([EXAMPLES[0]], False, "method run takes one object of values by name, got list"),
    ],
)
def test_refusals(body: Any, transpose: bool, message: str) -> None:
    assert refusal(body, PIXELS, NAME, transpose=transpose) == message


def test_a_fraction_for_an_integer() -> None:
    assert refusal([{"count": 1.5}], COUNT) == "Incompatible types for key count: expected Int32, got Float64"


def test_a_url_that_nobody_fetched_is_no_value() -> None:
    assert refusal([{"name": {"url": "http://example.com"}}], NAME).startswith("Incompatible types for key name: ")


@pytest.mark.parametrize("body", [b"", b"{", b"[[[[", b"\xff", b'{"a":1}x', b"[" * 100_000])
def test_what_is_no_json(body: bytes) -> None:
    assert refusal(body, PIXELS).startswith("JSON Parse error")


@pytest.mark.parametrize(("body", "empty"), [(b"[]", True), (b" [ \n] ", True), (b"[{}]", False), (b"{}", False)])
def test_no_examples(body: bytes, empty: bool) -> None:
    assert is_empty_list(body) is empty


def column(name: str, kind: TensorType, data: Any) -> Column:
    return Column(kind, (name,), np.array(data, dtype=DTYPES[kind]))


OUTPUTS = Batch(
    2, (column("odds", F32, [[0.1, 0.5], [1, np.nan]]), column("label_bytes", STRING, ["a", "ü"])), Layout.TENSORS
)


def test_answers_take_the_form_of_their_requests() -> None:
    both = [
        b'{"odds":[0.1,0.5],"label_bytes":"a"}',
        b'{"odds":[1.0,NaN],"label_bytes":"\xc3\xbc"}',
    ]
    assert CODEC.encode(OUTPUTS, decode(EXAMPLES, PIXELS, NAME).context) == b"[" + b",".join(both) + b"]"
    one = decode(EXAMPLES[0], PIXELS, NAME).context
    assert CODEC.encode(OUTPUTS.slice(0, 1), one) == both[0]
    columns = decode({"pixels": [[1, 2, 3]], "name": ["a"]}, PIXELS, NAME, transpose=False).context
    assert CODEC.encode(OUTPUTS, columns) == b'{"odds":[[0.1,0.5],[1.0,NaN]],"label_bytes":["a","\xc3\xbc"]}'


def test_strings_that_are_not_utf8_come_as_base64() -> None:
    found = column("found", TensorType.Bytes, [b"\xff\x00", "ü".encode()])
    answer = CODEC.encode(Batch(2, (found,), Layout.TENSORS), decode(EXAMPLES, PIXELS).context)
    assert json.loads(answer) == [{"found": base64.b64encode(b"\xff\x00").decode()}, {"found": "ü"}]
    assert found.data.tolist() == [b"\xff\x00", "ü".encode()]


def test_a_signature_that_declares_nothing_takes_what_comes() -> None:
    request = decode([{"a": 1, "b": "x"}, {"b": "y", "a": 2.5}], batched=False)
    assert (request.batch.layout, request.batch.rows) == (Layout.TENSORS, 2)
    assert [(c.fields, c.data.tolist()) for c in request.batch.columns] == [(("a",), [1, 2.5]), (("b",), ["x", "y"])]
    assert refusal([{"a": 1}, {"b": 2}], batched=False) == "Request missing required key a for method run"
    columns = decode({"a": [[1, 2]]}, batched=False, transpose=False).batch.columns
    assert [(c.fields, c.data.tolist()) for c in columns] == [(("a",), [[1, 2]])]
    whole = Batch(1, (column("sum", I32, [9]),), Layout.WHOLE)
    assert CODEC.encode(whole, request.context) == b'{"sum":9}'


@pytest.mark.parametrize("data", [[1, 2, 3], [], 7])
def test_examples_have_an_answer_each_and_tensors_any_number_of_rows(data: Any) -> None:
    answer = Batch.of_tensors([column("y", I32, data)])
    for body in (EXAMPLES, EXAMPLES[0]):
        with pytest.raises(InvalidInput, match=r"does not answer each of \d examples"):
            CODEC.encode(answer, decode(body, PIXELS, NAME).context)
    together = decode({"pixels": [[1, 2, 3]] * 2, "name": ["a", "b"]}, PIXELS, NAME, transpose=False)
    assert json.loads(CODEC.encode(answer, together.context)) == {"y": data}


def test_a_whole_answer() -> None:
    context = decode({"count": 7}, COUNT, batched=False).context
    batch = Batch(1, (column("sum", I32, [9]), column("all", I32, [[1, 2]])), Layout.WHOLE)
    assert json.loads(CODEC.encode(batch, context)) == {"sum": 9, "all": [1, 2]}


def test_the_list_of_signatures() -> None:
    anything = IOMetadata("anything", TensorType.Bool, any_rank=True)
    signatures = {
        "serving_default": Signature((PIXELS, NAME), (IOMetadata("odds", TensorType.Float64),)),
        "once": Signature((COUNT, IOMetadata("grid", TensorType.UInt8, (-1, 2))), (anything,), batched=False),
    }
    assert json.loads(listing(ModelMetadata((), (), signatures))) == [
        {
            "name": "serving_default",
            "inputs": {
                "pixels": {"type": "float32", "shape": [-1, 3]},
                "name": {"type": "string", "shape": [-1]},
            },
            "outputs": {"odds": {"type": "float64", "shape": [-1]}},
        },
        {
            "name": "once",
            "inputs": {"count": {"type": "int32", "shape": []}, "grid": {"type": "uint8", "shape": [-1, 2]}},
            "outputs": {"anything": {"type": "bool", "shape": "unknown"}},
        },
    ]
