"""The binary form of BASIC."""

import tracemalloc

import pytest
from google.protobuf import unknown_fields
from hypothesis import given, settings

from forestflow._gen import inference_pb2 as pb
from forestflow.codecs.basic import protobuf
from forestflow.codecs.basic.protobuf import ProtobufCodec, decode_request
from forestflow.codecs.table import BASIC, CODECS, PROTOBUF, codec_for
from forestflow.domain.errors import InvalidInput, Malformed
from forestflow.domain.ids import Contract, Fqrv
from tests.profiles import up_to
from tests.unit.codecs.strategies import assert_same, batches, inference_requests

FQRV = Fqrv(Contract("o", "p", 1), "r")
REQUEST = pb.InferenceRequest(
    schema=[pb.TensorSchema(type="String", fields=["abc"])],
    datum=[pb.Datum(tensors=[pb.Tensor(String=pb.StringData(data=["xyz"]))])],
    configs={"key": "value"},
)


def test_a_request():
    request = decode_request(REQUEST.SerializeToString())
    assert request.batch.columns[0].data.tolist() == [["xyz"]]
    assert request.configs == {"key": "value"}


@settings(deadline=None)
@given(inference_requests())
def test_serialized_requests(message):
    assert_same(decode_request(message.SerializeToString()).batch, protobuf.from_message(message).batch)


@settings(deadline=None, max_examples=up_to(100))
@given(batches(min_rows=1))
def test_a_prediction_read_back_as_a_request_gives_the_same_columns(batch):
    if not batch.columns:
        return
    prediction = pb.Prediction.FromString(ProtobufCodec(FQRV).encode(batch))
    assert not unknown_fields.UnknownFieldSet(prediction)
    request = pb.InferenceRequest(schema=prediction.schema, datum=prediction.datum)
    read = {(c.type, c.fields): c for c in protobuf.from_message(request).batch.columns}
    assert len(request.datum) == batch.rows
    for column in batch.columns:
        assert (column.type, column.fields) in read


@pytest.mark.parametrize("text", [b"abc", b"xyz", b"key", b"value"])
def test_strings_that_are_not_utf8(text):
    with pytest.raises(Malformed, match="UTF-8"):
        decode_request(REQUEST.SerializeToString().replace(text, b"\xff" * len(text)))


@pytest.mark.parametrize("junk", [b"\xff", b"\x0a\x00", b"\x0a\x02\x08\x63", REQUEST.SerializeToString()[:-1]])
def test_junk(junk):
    with pytest.raises(Malformed, match="not an InferenceRequest"):
        decode_request(junk)


@pytest.mark.parametrize("first", [b"", REQUEST.datum[0].SerializeToString()])
def test_a_million_records_without_tensors_are_two_megabytes(first):
    """An object for each of them would be 64."""
    empty = pb.InferenceRequest(datum=[pb.Datum()]).SerializeToString()
    start = pb.InferenceRequest(schema=REQUEST.schema, datum=[pb.Datum.FromString(first)]).SerializeToString()
    body = start + 1_000_000 * empty
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match=r"^(No input data provided|Number of inputs \(Found min: 0 max: 1\))"):
            decode_request(body)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(body)
    finally:
        tracemalloc.stop()


def test_no_data():
    with pytest.raises(InvalidInput, match="No input data provided"):
        decode_request(b"")
    with pytest.raises(InvalidInput, match="holds no data"):
        decode_request(pb.InferenceRequest(datum=[pb.Datum(tensors=[pb.Tensor()])]).SerializeToString())


def test_a_tensor_that_contradicts_itself():
    tensor = pb.Tensor(Int8=pb.Int8Data(data=[1], tensorType="Int16"))
    with pytest.raises(InvalidInput, match="Int16"):
        protobuf.from_message(pb.InferenceRequest(datum=[pb.Datum(tensors=[tensor])]))


@pytest.mark.parametrize("number", CODECS)
def test_every_codec_of_the_table_answers_in_its_own_words(number):
    codec = codec_for(number, FQRV)
    with pytest.raises((InvalidInput, Malformed)) as raised:
        codec.decode(b"{}" if number == BASIC else b"")
    assert raised.value.message == "No input data provided" or number not in (BASIC, PROTOBUF)
    assert raised.value.message.encode() in codec.encode_error(raised.value, "id-1")
