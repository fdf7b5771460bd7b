"""Long lists as arrays: the same as a parser and the general reading make of them, to the last bit and word."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forestflow.codecs.basic.codec import decode_request
from forestflow.codecs.envelope import pack
from forestflow.codecs.json import nested, packed
from forestflow.codecs.table import OIP_REST, TFINFER, TFSERVING_REST, codec_for
from forestflow.codecs.tfinfer import payload_of
from forestflow.domain.errors import ForestFlowError, InvalidInput, Malformed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.tensors import IOMetadata, Signature, TensorType
from tests.unit.codecs.long_bodies import read_as_long
from tests.unit.codecs.strategies import assert_same

FQRV = Fqrv(Contract("o", "p", 0), "v")
NUMBERS = st.integers(-9, 9) | st.integers(-(2**63), 2**63 - 1) | st.floats(width=32)
SCALARS = NUMBERS | st.booleans() | st.text(max_size=3) | st.none() | st.builds(lambda: {"b64": "/w=="})


def tensors(elements):
    """Lists of one or several levels, most of them regular."""
    flat = st.lists(elements, min_size=1, max_size=30)
    rows = st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(elements, min_size=n, max_size=n), max_size=12))
    deep = st.lists(rows, min_size=1, max_size=3)
    return flat | rows | deep | st.lists(flat, max_size=4)


def outcome(read, *arguments):
    try:
        return read(*arguments)
    except ForestFlowError as error:
        return error


def short_and_long(read, text: bytes, chunk: int):
    short = outcome(read, text)
    with read_as_long(chunk):
        return short, outcome(read, text)


def a_tensor(text: bytes):
    if packed.LONG > 1000:
        return nested.tensor("x", nested.loads(text))
    return packed.tensor("x", packed.loads(memoryview(text)))


@given(st.one_of([tensors(one) for one in (st.integers(0, 9), NUMBERS, st.booleans(), st.text(max_size=4), SCALARS)]),
       st.integers(16, 60))  # fmt: skip
@example([1, 2, 3, 4] * 20 + [9.5], 16)
@example([1, 2, 3, 4] * 20 + [2**63], 16)
@example([-1] * 50 + [2**63], 16)
@example([2**53 + 1] * 9 + [0.5], 16)
@example(["a", "b"] * 20 + [{"b64": "/w=="}], 16)
@example([1.5] * 30 + [2**70], 16)
@example([1.5, float("nan"), -0.0, 2] * 10, 16)
@example([[]] * 60, 16)
@example([[[1, 2]] * 20], 8)
def test_tensors(value, chunk):
    short, long = short_and_long(a_tensor, json.dumps(value).encode(), chunk)
    if isinstance(short, ForestFlowError):
        assert type(long) is type(short), (short, long)
        return
    assert not isinstance(long, ForestFlowError), long
    assert (long.type, long.data.shape, long.data.dtype) == (short.type, short.data.shape, short.data.dtype)
    if long.data.dtype == object:
        assert long.data.tolist() == short.data.tolist()
    else:
        assert long.data.tobytes() == short.data.tobytes()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([[1, 2]] * 9 + [[1]], "input 'x': lists of 1 and of 2 entries at level 1; a tensor needs lists of one length"),
        ([-1] * 30 + [2**63], "input 'x' holds integers of more than 64 bits"),
        (
            [1] * 30 + ["a"],
            "input 'x' holds Int64 and String values; expected numbers, booleans or strings, of one type",
        ),
        ([1] * 30 + [[1]], "input 'x' has values 0 and 1 lists deep; a tensor needs one depth"),
        ([{"a": 1}] * 30, "input 'x' holds an object; expected numbers, booleans or strings, of one type"),
    ],
)
def test_what_is_no_tensor_says_why(value, why):
    with read_as_long(16), pytest.raises(InvalidInput) as told:
        a_tensor(json.dumps(value).encode())
    assert told.value.message == why


def test_a_syntax_error_is_told_with_its_place():
    text = b"[1, 2, 3,\n 4, 5, 6, 7, 8, 9, x, 1, 2, 3, 4, 5, 6]"
    with pytest.raises(Malformed) as short:
        nested.loads(text)
    with read_as_long(), pytest.raises(Malformed) as long:
        packed.loads(memoryview(text))
    assert long.value.message == short.value.message


@pytest.mark.parametrize(
    "text", ['{"a":[1,2,3,4,5,6,7,8]', "[1,2,3,4,5,6,7,8,9]]", '{"abc" [1,2,3,4,5,6,7,8,9]}', "{1:[1,2,3,4,5,6,7,8]}"]
)
def test_what_is_not_json(text):
    with read_as_long(), pytest.raises(Malformed, match="JSON Parse error"):
        packed.loads(memoryview(text.encode()))


def test_objects_of_too_many_members_are_refused():
    text = json.dumps({str(n): n for n in range(packed.MAX_MEMBERS + 1)}).encode()
    with pytest.raises(Malformed, match="more than 10000 members"):
        packed.loads(memoryview(text))


# --- protocols: what is short and what is long is read the same ------------------------------------------------------

SIGNATURE = Signature((IOMetadata("x", TensorType.Float32, (2,)), IOMetadata("s", TensorType.String)), ())
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"x": st.lists(NUMBERS, min_size=2, max_size=2), "s": st.text(max_size=3)}, optional={"y": st.integers(-9, 9)}
    ),
    min_size=1,
    max_size=8,
)


def a_predict(text: bytes):
    return codec_for(TFSERVING_REST, FQRV).decode(pack({"verb": "predict"}, text))


def a_classify(text: bytes):
    return codec_for(TFSERVING_REST, FQRV).decode(pack({"verb": "classify"}, text))


def an_infer(text: bytes):
    return codec_for(TFINFER, FQRV).decode(payload_of("run", SIGNATURE, text, transpose=True))


def an_oip(text: bytes):
    return codec_for(OIP_REST, FQRV).decode(pack({}, text))


def assert_read_alike(read, document, chunk):
    short, long = short_and_long(read, json.dumps(document).encode(), chunk)
    if isinstance(short, ForestFlowError):
        assert type(long) is type(short), (short, long)
    else:
        assert not isinstance(long, ForestFlowError), long
        assert_same(long.batch, short.batch)
        assert long.configs == short.configs


@given(RECORDS, st.integers(16, 60))
def test_tensorflow_servings_rows(records, chunk):
    assert_read_alike(a_predict, {"instances": records, "signature_name": "s"}, chunk)
    floats = [record | {"x": [float(value) for value in record["x"]]} for record in records]
    assert_read_alike(a_classify, {"examples": floats, "context": {"c": 1.5}}, chunk)


@given(st.dictionaries(st.sampled_from("abc"), tensors(SCALARS), max_size=3), st.integers(16, 60))
def test_tensorflow_servings_columns(inputs, chunk):
    assert_read_alike(a_predict, {"inputs": inputs}, chunk)
    assert_read_alike(a_predict, {"instances": next(iter(inputs.values()), [])}, chunk)


@given(RECORDS, st.integers(16, 60))
def test_tf_infers_examples(records, chunk):
    assert_read_alike(an_infer, records, chunk)


@given(
    st.sampled_from(["FP32", "FP16", "FP64", "INT8", "INT64", "UINT64", "BOOL", "BYTES"]),
    st.one_of(
        [
            st.lists(one, max_size=20)
            for one in (st.integers(-300, 300), NUMBERS, st.booleans(), st.text(max_size=3), SCALARS)
        ]
    ),
    st.integers(16, 60),
)
@example("INT8", [1] * 20 + [300], 16)
@example("FP32", [1] * 20 + [1e300], 16)
@example("FP16", [1] * 20 + [70000], 16)
@example("INT64", [1] * 20 + [2.0], 16)
@example("UINT64", [1] * 20 + [-1], 16)
def test_open_inference_inputs(datatype, data, chunk):
    inputs = [{"name": "x", "shape": [len(data)], "datatype": datatype, "data": data}]
    inputs.append({"name": "y", "shape": [1], "datatype": "INT8", "data": [1]})
    assert_read_alike(an_oip, {"inputs": inputs, "id": "7"}, chunk)


# --- memory ----------------------------------------------------------------------------------------------------------

SOME = 300_000
FLOATS = {"type": "Float32", "fields": ["x"]}


def basic_body(kind, lists):
    schema = [{"type": kind, "fields": ["x"]}]
    return {"schema": schema, "datum": [{"tensors": [{kind: {"data": one}}]} for one in lists], "configs": {}}


def assert_memory(read, text: bytes) -> None:
    outcome(read, text)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        outcome(read, text)
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert grown < 4 * len(text) + (1 << 20), f"{grown / len(text):.1f} times {len(text)} bytes"


@pytest.mark.parametrize(
    ("read", "document"),
    [
        (a_predict, {"instances": [1] * SOME}),
        (a_predict, {"instances": [[0.5, 1]] * (SOME // 3)}),
        (a_predict, {"inputs": {"a": [[[True, False]] * (SOME // 5)]}}),
        (a_predict, {"instances": [{"x": 1, "y": 0.5}] * (SOME // 10)}),
        (a_predict, {"instances": ["abc"] * (SOME // 3)}),
        (a_predict, {"instances": [[]] * (SOME // 3)}),
        (a_predict, {"instances": [{}] * (SOME // 3)}),
        (a_predict, {"instances": [None] * (SOME // 5)}),
        (a_predict, {"inputs": [[1], [1, 2]] * (SOME // 6)}),
        (a_predict, {"instances": [[1] * SOME, [1, 2]]}),
        (a_classify, {"examples": [{"x": 1}] * (SOME // 8)}),
        (an_infer, [{"x": [1, 2], "s": "a"}] * (SOME // 16)),
        (an_oip, {"inputs": [{"name": "x", "shape": [SOME], "datatype": "FP32", "data": [1] * SOME}]}),
        (an_oip, {"inputs": [{"name": "x", "shape": [SOME], "datatype": "INT8", "data": [1] * SOME}]}),
        (decode_request, basic_body("Float64", [[1] * SOME])),
        (decode_request, basic_body("Float32", [[1] * SOME])),
        (decode_request, basic_body("Int8", [[1]] * (SOME // 30))),
        (decode_request, basic_body("Float64", [[1] * 100] * (SOME // 200))),
        (decode_request, basic_body("Float64", [["NaN"]] * (SOME // 30))),
        (decode_request, basic_body("String", [["a", "b"]] * (SOME // 30))),
        (decode_request, {"datum": [{}] * (SOME // 3), "schema": [FLOATS]}),
        (decode_request, {"datum": [[]] * (SOME // 3), "schema": [FLOATS]}),
    ],
)  # fmt: skip
def test_reading_takes_four_times_the_bodys_memory_at_most(read, document):
    text = json.dumps(document, separators=(",", ":")).encode()
    assert len(text) > SOME // 2
    assert_memory(read, text)


def test_tensors_can_be_written_to():
    column = packed.tensor("x", packed.loads(memoryview(json.dumps([1] * 50_000).encode())))
    column.data[0] = 5
    assert column.data[:2].tolist() == [5, 1]
    assert isinstance(column.data, np.ndarray)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (decode_request, b'{"datum":[{"tensors":[{"Float64":{"data":[1.5%b]}}]}],"schema":[]}' % (b";" * SOME)),
        (decode_request, b"!" * SOME),
        (decode_request, b'{"schema":[{"type":"String","fields":["a"%b]}],"datum":[]}' % (b',"a"' * SOME)),
        (an_infer, b'{"x":[1%b~]}' % (b",1" * SOME)),
        (a_predict, b"!" * SOME),
        (a_predict, b'{"instances":%b' % (b"[" * SOME)),
        (a_predict, b'{"instances":[{%b}]}' % (b"\0" * SOME)),
        (a_predict, b'{"instances":["%b"]}' % (b"a" * SOME)),
        (a_predict, b'{"instances":["%b]}' % (b"NaN" * SOME)),
        (an_oip, b'{"inputs":[%b]}' % (b'{"name":"' * SOME)),
    ],
)
def test_so_does_what_is_wrong(read, text):
    assert_memory(read, text)
