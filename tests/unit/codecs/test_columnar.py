"""Columns between router and replica: what goes in comes out, and nothing else is read."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow.codecs import columnar
from forestflow.codecs.basic import protobuf
from forestflow.codecs.columnar import ColumnarCodec
from forestflow.domain import errors
from forestflow.domain.errors import Code, ForestFlowError, InvalidInput, Malformed, ModelFailed, QueueFull
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.tensors import Batch, Column, TensorType
from tests.unit.codecs.strategies import assert_same, inference_requests

FQRV = Fqrv(Contract("o", "p", 0), "r")


@settings(deadline=None)
@given(inference_requests())
def test_columns_come_back_the_same_and_may_be_written_to(message):
    try:
        request = protobuf.from_message(message)
    except ForestFlowError:
        return
    back = columnar.decode(columnar.encode(request.batch, dict(request.configs)))
    assert_same(back.batch, request.batch)
    assert back.configs == request.configs
    assert all(column.data.flags.writeable for column in back.batch.columns)


def test_a_column_that_does_not_hold_what_it_says_is_the_models_fault():
    for kind, value in ((TensorType.Float64, "x"), (TensorType.String, object()), (TensorType.String, "\ud800")):
        column = Column(kind, ("a",), np.array([[value]], dtype=object))
        with pytest.raises(ModelFailed):
            columnar.encode(Batch(1, (column,)))


@settings(deadline=None)
@given(
    st.binary(max_size=60)
    | st.builds(
        msgspec.msgpack.encode,
        st.recursive(
            st.none() | st.integers(-3, 12) | st.text(max_size=2) | st.binary(max_size=16),
            lambda s: st.lists(s, max_size=4),
        ),
    )
)
def test_anything_else_is_malformed(payload):
    with pytest.raises(Malformed):
        columnar.decode(payload)
    assert isinstance(columnar.decode_error(payload), ForestFlowError)


@pytest.mark.parametrize(
    ("shape", "kind", "data"),
    [([2, 2], 3, b"\0" * 8), ([-1, 1], 3, b""), ([], 3, b""), ([1], 8, [b"x"]), ([2], 8, ["x"]), ([1], 99, b"")],
)
def test_columns_that_contradict_themselves_are_malformed(shape, kind, data):
    with pytest.raises(Malformed):
        columnar.decode(msgspec.msgpack.encode([1, [[kind, ["a"], shape, data]], {}]))


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_errors_keep_their_code(code):
    error = ModelFailed("the model failed")
    error.code = code
    payload = ColumnarCodec(FQRV).encode_error(error, "id")
    back = columnar.decode_error(payload)
    assert back.message == "the model failed"
    known = {*columnar._CLASSES, Code.EXHAUSTED, Code.INTERNAL}
    assert back.code is (code if code in known else Code.INTERNAL)


def test_errors_keep_what_they_say():
    encode = ColumnarCodec(FQRV).encode_error
    assert isinstance(columnar.decode_error(encode(InvalidInput("\ud800 no"), "id")), errors.InvalidInput)
    full = columnar.decode_error(encode(QueueFull(1.5, "full"), "id"))
    assert isinstance(full, QueueFull)
    assert (full.retry_after_seconds, full.message) == (1.5, "full")
