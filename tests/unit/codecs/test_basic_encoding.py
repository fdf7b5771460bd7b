"""Predictions as JSON. Oracle: google.protobuf.json_format on the message of the binary codec."""

import json

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow._gen.inference_pb2 import Prediction
from forestflow.codecs.basic import protobuf
from forestflow.codecs.basic.codec import PredictionEncoder, encode_prediction
from forestflow.domain.errors import ModelFailed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.tensors import Batch, Column, TensorType
from tests.profiles import up_to
from tests.unit.codecs.strategies import batches, fqrvs

FQRV = Fqrv(Contract("o", "p", 1), "r")


@settings(deadline=None, max_examples=up_to(400))
@given(fqrvs, batches())
def test_the_json_is_protobufs(fqrv, batch):
    text = encode_prediction(fqrv, batch)
    message = protobuf.to_message(fqrv, batch)
    document = json.loads(text)
    # read back first: of subnormal single-precision numbers protobuf prints more digits than are needed
    assert MessageToDict(ParseDict(document["Prediction"], Prediction())) == MessageToDict(message)
    assert list(document["Prediction"]) == list(MessageToDict(message))
    if not any(
        column.data.dtype.kind == "f" for column in batch.columns
    ):  # json and orjson write exponents differently
        assert text == json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


@settings(deadline=None, max_examples=up_to(100))
@given(st.lists(batches(), min_size=2, max_size=5))
def test_one_encoder_serves_every_schema(several):
    encoder = PredictionEncoder(FQRV)
    for batch in several + several:
        assert encoder.encode(batch) == encode_prediction(FQRV, batch)


@settings(deadline=None, max_examples=up_to(200))
@given(batches(min_rows=1), st.data())
def test_parts_of_a_batch_are_encoded_as_they_are_alone(batch, data):
    ends = sorted(data.draw(st.sets(st.integers(1, batch.rows))) | {batch.rows})
    alone = [encode_prediction(FQRV, batch.slice(start, end)) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    assert PredictionEncoder(FQRV).encode_parts(batch, ends) == alone


def test_the_cache_of_layouts_is_bounded():
    encoder = PredictionEncoder(FQRV)
    for i in range(1000):
        encoder.encode(Batch(1, (Column(TensorType.Bool, (str(i),), np.array([[True]])),)))
    assert len(encoder._layouts) <= 64


def encoded(kind: TensorType, data) -> list:
    array = np.asarray(data)
    text = encode_prediction(FQRV, Batch(len(array), (Column(kind, ("y",), array),)))
    (tensors,) = {tuple(datum["tensors"][0]) for datum in json.loads(text)["Prediction"]["datum"]}
    return [datum["tensors"][0][tensors[0]].get("data") for datum in json.loads(text)["Prediction"]["datum"]]


def test_scalars_vectors_and_tensors_per_row():
    assert encoded(TensorType.Float64, [1.5, 2.5]) == [[1.5], [2.5]]
    assert encoded(TensorType.Float64, np.arange(12.0).reshape(2, 3, 2)) == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_memory_of_any_order_and_byte_order():
    assert encoded(TensorType.Float64, np.arange(4.0).reshape(2, 2).T) == [[0, 2], [1, 3]]
    assert encoded(TensorType.Float64, np.arange(8.0)[::2]) == [[0], [2], [4], [6]]
    assert encoded(TensorType.Float64, np.array([[1.5]], dtype=">f8")) == [[1.5]]
    assert encoded(TensorType.Int64, np.array([[1, -2]], dtype="<i4")) == [["1", "-2"]]


def test_numbers_that_json_lacks():
    assert encoded(TensorType.Float64, [[np.nan, 1], [np.inf, -np.inf]]) == [["NaN", 1], ["Infinity", "-Infinity"]]
    assert encoded(TensorType.Float16, [[np.float16("nan")]]) == [["NaN"]]


def test_single_precision_has_its_own_shortest_digits():
    text = encode_prediction(FQRV, Batch(1, (Column(TensorType.Float32, ("y",), np.array([[0.1]], dtype=np.float32)),)))
    assert b'"data":[0.1]' in text


def test_strings_that_look_like_our_separators():
    words = np.array([["],[", '"],["'], ["null", "%b"]], dtype=object)
    assert encoded(TensorType.String, words) == words.tolist()


@pytest.mark.parametrize(
    ("kind", "value"),
    [(TensorType.String, 1), (TensorType.String, None), (TensorType.Bytes, "a"), (TensorType.String, "\ud800")],
)
def test_a_model_that_answers_what_it_did_not_promise(kind, value):
    data = np.empty((1, 1), dtype=object)
    data[0, 0] = value
    with pytest.raises(ModelFailed):
        encode_prediction(FQRV, Batch(1, (Column(kind, ("y",), data),)))
    with pytest.raises(ModelFailed):
        protobuf.encode_prediction(FQRV, Batch(1, (Column(kind, ("y",), data),)))


def test_numpy_strings_are_strings():
    data = np.array([[np.str_("a")]], dtype=object)
    assert encoded(TensorType.String, data) == [["a"]]
