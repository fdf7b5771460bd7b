"""Records of floats read and written all at once: the same as record by record, whatever comes in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestflow._gen import inference_pb2 as pb
from forestflow.codecs.basic import protobuf
from forestflow.codecs.basic.protobuf import ProtobufCodec, decode_request, encode_prediction
from forestflow.domain.errors import InvalidInput, Malformed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType
from tests.unit.codecs.strategies import assert_same

FQRV = Fqrv(Contract("o", "p", 1), "r")
KINDS = ("Float64", "Float32")
DATA = {"Float64": pb.Float64Data, "Float32": pb.Float32Data}


@pytest.fixture
def general(monkeypatch):
    """How many requests were read record by record."""
    count = [0]
    plain = protobuf.from_message

    def counting(message):
        count[0] += 1
        return plain(message)

    monkeypatch.setattr(protobuf, "_known", {})
    monkeypatch.setattr(protobuf, "from_message", counting)
    return lambda: count[0]


def tensor(kind, numbers, **told):
    return pb.Tensor(**{kind: DATA[kind](data=numbers, **told)})


def request(*records, fields=None):
    """Records are lists of tensors; the schema follows the first."""
    schema = []
    for i, first in enumerate(records[0]):
        kind = first.WhichOneof("sealed_value")
        names = [f"{i}.{j}" for j in range(len(getattr(first, kind).data))]
        schema.append(pb.TensorSchema(type=kind, fields=fields or names))
    return pb.InferenceRequest(schema=schema, datum=[pb.Datum(tensors=record) for record in records])


def same(message):
    """Decode it twice, the second time by what the first one taught."""
    body = message.SerializeToString()
    expected = protobuf.from_message(message).batch
    for _ in range(2):
        assert_same(decode_request(body).batch, expected)


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 5), st.booleans()), min_size=1, max_size=4),
    st.integers(1, 6),
    st.integers(0, 2**32),
)
def test_records_of_floats(shape, rows, seed):
    dice = np.random.default_rng(seed)

    def numbers(count):
        values = dice.normal(size=count) * 10.0 ** dice.integers(-30, 30)
        return np.where(dice.random(count) < 0.2, dice.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], count), values)

    records = []
    for _ in range(rows):
        told = [{"tensorType": kind} if explicit else {} for kind, _, explicit in shape]
        records.append([tensor(kind, numbers(n).tolist(), **t) for (kind, n, _), t in zip(shape, told, strict=True)])
    same(request(*records))


def test_are_read_at_once_from_the_second_time_on(general):
    for n in range(5):
        body = request(*[[tensor("Float64", [n, row]), tensor("Float32", [row / 2])] for row in range(9)])
        columns = decode_request(body.SerializeToString()).batch.columns
        by_type = {column.type: column.data.tolist() for column in columns}
        assert by_type == {
            TensorType.Float64: [[n, row] for row in range(9)],
            TensorType.Float32: [[row / 2] for row in range(9)],
        }
    assert general() == 1


def test_what_fits_in_bytes_but_not_in_shape_is_read_one_by_one(general):
    """As long as others, but not like them."""
    plain = request([tensor("Float64", [1, 2])], [tensor("Float64", [3, 4])])
    decode_request(plain.SerializeToString())
    decode_request(plain.SerializeToString())
    assert general() == 1
    odd = request([tensor("Float64", [1, 2])], [tensor("Float64", [3]), tensor("Float32", [4])])
    body = odd.SerializeToString()
    with pytest.raises(InvalidInput):
        decode_request(body)
    shifted = plain.SerializeToString().replace(b"\x42\x12\x09", b"\x3a\x12\x09", 1)  # its first tensor is Float32's
    assert shifted != plain.SerializeToString()
    with pytest.raises((InvalidInput, Malformed)):
        decode_request(shifted)
    assert general() >= 2


def test_packed_numbers_are_read_one_by_one(general):
    """A client may pack them; protobuf reads both."""
    plain = request([tensor("Float64", [1.5, 2.5])])
    numbers = np.array([1.5, 2.5]).tobytes()
    packed = pb.InferenceRequest(schema=plain.schema).SerializeToString() + bytes(
        [0x12, 22, 0x0A, 20, 0x42, 18, 0x0A, 16]
    )
    body = packed + numbers
    assert_same(protobuf.from_message(pb.InferenceRequest.FromString(body)).batch, decode_request(body).batch)
    before = general()
    assert decode_request(body).batch.columns[0].data.tolist() == [[1.5, 2.5]]
    assert general() == before + 1


def test_unknown_fields_are_passed_over_and_teach_nothing(general):
    plain = request([tensor("Float64", [1.5])], [tensor("Float64", [2.5])])
    marked = b"".join(np.array([protobuf_mark], "<u8").tobytes() for protobuf_mark in (0x7FE0F0F000000000,))
    strange = pb.Datum.FromString(plain.datum[0].SerializeToString() + bytes([0x7A, len(marked)]) + marked)
    message = pb.InferenceRequest(schema=plain.schema, datum=[strange, strange])
    for _ in range(2):
        assert decode_request(message.SerializeToString()).batch.columns[0].data.tolist() == [[1.5], [1.5]]
    assert general() == 2


def test_strings_among_them_are_read_one_by_one(general):
    message = request([tensor("Float64", [1.5])])
    message.schema.add(type="String", fields=["s"])
    message.datum[0].tensors.add(String=pb.StringData(data=["x"]))
    for _ in range(2):
        assert decode_request(message.SerializeToString()).batch.rows == 1
    assert general() == 2


def test_a_wrong_request_teaches_nothing(general):
    wrong = request([tensor("Float64", [1.5, 2.5])], fields=["a", "b", "c"])
    for _ in range(2):
        with pytest.raises(InvalidInput, match="2 values for 3 fields"):
            decode_request(wrong.SerializeToString())
    assert general() == 2


def test_what_is_learned_is_bounded(general, monkeypatch):
    monkeypatch.setattr(protobuf, "_MAX_KNOWN", 4)
    for n in range(1, 20):
        decode_request(request([tensor("Float64", list(range(n)))]).SerializeToString())
        assert len(protobuf._known) <= 4
    codec = ProtobufCodec(FQRV)
    for n in range(1, 20):
        codec.encode(Batch(1, (Column(TensorType.Float64, tuple("abcdefghijklmnopqrstuvwxyz"[:n]), np.ones((1, n))),)))
        assert len(codec._shapes) <= 4


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 5)), min_size=1, max_size=3),
    st.integers(1, 6),
    st.integers(0, 2**32),
)
def test_predictions_of_floats_are_the_bytes_that_protobuf_writes(shape, rows, seed):
    dice = np.random.default_rng(seed)
    codec = ProtobufCodec(FQRV)
    for count in (rows, 1, 300):
        columns = tuple(
            Column(
                TensorType[kind],
                tuple(f"{i}.{j}" for j in range(width)),
                dice.normal(size=(count, width)).astype(DTYPES[TensorType[kind]]),
            )
            for i, (kind, width) in enumerate(shape)
        )
        batch = Batch(count, columns)
        assert bytes(codec.encode(batch)) == encode_prediction(FQRV, batch)
    assert bytes(codec.encode(Batch(0, ()))) == encode_prediction(FQRV, Batch(0, ()))


def test_a_prediction_that_is_not_of_its_type_is_written_one_by_one():
    codec = ProtobufCodec(FQRV)
    for data in (np.array([[1.0]]), np.array([[2]]), np.array([["x"]], dtype=object)):
        batch = Batch(1, (Column(TensorType.Float64, ("a",), data),))
        try:
            expected = encode_prediction(FQRV, batch)
        except ValueError:
            with pytest.raises(ValueError, match="x"):
                codec.encode(batch)
        else:
            assert bytes(codec.encode(batch)) == expected
