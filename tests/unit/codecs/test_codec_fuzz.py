"""Whatever arrives, only ForestFlowErrors come out."""

import json

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow.codecs import journal
from forestflow.codecs.basic import body as basic_body
from forestflow.codecs.basic import codec as basic
from forestflow.codecs.basic import protobuf
from forestflow.codecs.control import examples
from forestflow.codecs.control import rest as control
from forestflow.domain.errors import ForestFlowError
from tests.profiles import up_to
from tests.unit.codecs.strategies import inference_requests, serve_requests

DECODERS = [
    basic.decode_request,
    basic_body._decode_any,
    protobuf.decode_request,
    control.parse_contract_settings,
    control.parse_policy_settings,
    control.parse_logging_settings,
    control.parse_serve_request,
]
SEEDS = [json.dumps(example).encode() for example in examples.EXAMPLES.values()]
TOKENS = (
    rb'null true NaN 1e400 -0 [] {} "" "NaN" [[ } , : " \ '
    b"\xff \x00 \xef\xbb\xbf "
    b'"\\ud800" 99999999999999999999 -1 0.5 "5" "tensors" "Float64" "Byte" "data" "type" "configs" "KeepLatest" {"a":'
).split(b" ")


def survives(body: bytes) -> None:
    for decode in DECODERS:
        try:
            decode(body)
        except ForestFlowError as error:
            control.error(error, None, "id")


@settings(deadline=None, max_examples=up_to(1500))
@given(st.data())
def test_mutated_bodies(data):
    if data.draw(st.booleans()):
        seed = data.draw(st.sampled_from(SEEDS))
    else:
        seed = json.dumps(MessageToDict(data.draw(inference_requests()))).encode()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(seed)))
        stop = data.draw(st.integers(start, min(len(seed), start + 20)))
        seed = seed[:start] + data.draw(st.sampled_from(TOKENS) | st.binary(max_size=4)) + seed[stop:]
    survives(seed)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["NaN", "Int8", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["schema", "datum", "configs", "tensors", "Int8", "Float64", "Byte", "data", "type", "fields"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=up_to(1500))
@given(json_values)
def test_arbitrary_documents(value):
    survives(json.dumps(value).encode())


@settings(deadline=None, max_examples=up_to(1000))
@given(st.data())
def test_well_formed_documents_with_one_value_replaced(data):
    document = MessageToDict(data.draw(inference_requests()))
    node, key = document, data.draw(st.sampled_from(sorted(document)))
    while data.draw(st.booleans()) and node[key] and isinstance(node[key], list | dict):
        node = node[key]
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
    node[key] = data.draw(json_values)
    text = json.dumps(document).encode()
    survives(text)
    outcomes = []
    for decode in (basic.decode_request, basic_body._decode_any):
        try:
            outcomes.append([c.data.tolist() for c in decode(text).batch.columns])
        except ForestFlowError as error:
            outcomes.append((type(error), error.message))
    assert repr(outcomes[0]) == repr(outcomes[1])


@settings(deadline=None, max_examples=up_to(1000))
@given(st.binary(max_size=200))
def test_arbitrary_bytes(body):
    survives(body)


@settings(deadline=None, max_examples=up_to(1000))
@given(inference_requests(), st.data())
def test_mutated_messages(message, data):
    body = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(body))


@settings(deadline=None, max_examples=up_to(300))
@given(serve_requests, st.data())
def test_mutated_journal_documents(request, data):
    text = json.dumps(journal.encode_serve_request(request))
    start = data.draw(st.integers(0, len(text)))
    survives((text[:start] + data.draw(st.text(max_size=3)) + text[start + 1 :]).encode(errors="replace"))


@pytest.mark.parametrize("depth", [100, 1_000, 10_000, 1_000_000])
def test_depth_bombs(depth):
    for opening in (b"[", b'{"schema":', b'{"datum":[', b'{"configs":{"a":'):
        survives(opening * depth)
