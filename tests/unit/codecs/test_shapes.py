"""No protocol lets a request declare more than it sends."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from graphpipe import convert

from forestflow._gen import open_inference_pb2 as oip
from forestflow._gen import tensorflow_serving_pb2 as tfs
from forestflow.codecs import shapes
from forestflow.codecs.envelope import pack
from forestflow.codecs.graphpipe.codec import payload_of
from forestflow.codecs.request import ScoreRequest
from forestflow.codecs.table import GRAPHPIPE, OIP_GRPC, OIP_REST, TFINFER, TFSERVING_GRPC, TFSERVING_REST, codec_for
from forestflow.codecs.tfserving import tensors as tf_tensors
from forestflow.domain.errors import InvalidInput
from forestflow.domain.ids import Contract, Fqrv

FQRV = Fqrv(Contract("o", "p", 0), "v")
Shapes = list[list[int]]


def read(number: int, payload: bytes) -> ScoreRequest:
    return codec_for(number, FQRV).decode(payload)


def oip_json(declared: Shapes) -> ScoreRequest:
    inputs = [{"name": f"x{i}", "shape": s, "datatype": "FP64", "data": []} for i, s in enumerate(declared)]
    return read(OIP_REST, pack({}, json.dumps({"inputs": inputs}).encode()))


def oip_binary(declared: Shapes) -> ScoreRequest:
    inputs = [
        {"name": f"x{i}", "shape": s, "datatype": "FP64", "parameters": {"binary_data_size": 0}}
        for i, s in enumerate(declared)
    ]
    body = json.dumps({"inputs": inputs}).encode()
    return read(OIP_REST, pack({"json": len(body)}, body))


def oip_raw(declared: Shapes) -> ScoreRequest:
    inputs = [oip.InferTensor(name=f"x{i}", datatype="FP64", shape=s) for i, s in enumerate(declared)]
    request = oip.ModelInferRequest(inputs=inputs, raw_input_contents=[b""] * len(declared))
    return read(OIP_GRPC, request.SerializeToString())


def oip_typed(declared: Shapes) -> ScoreRequest:
    inputs = [oip.InferTensor(name=f"x{i}", datatype="BYTES", shape=s) for i, s in enumerate(declared)]
    return read(OIP_GRPC, oip.ModelInferRequest(inputs=inputs).SerializeToString())


def tensorflow_serving(declared: Shapes) -> ScoreRequest:
    return read(TFSERVING_GRPC, predict_request(declared))


def predict_request(declared: Shapes, **values: object) -> bytes:
    tensors = {
        f"x{i}": tfs.Tensor(dtype=tfs.DT_FLOAT, tensor_shape=tf_tensors.shape_of(tuple(shape)), **values)
        for i, shape in enumerate(declared)
    }
    message = tfs.PredictRequest(inputs=tensors).SerializeToString()
    return pack({"verb": "predict", "model": "m", "signature": ""}, message)


def graphpipe(declared: Shapes) -> ScoreRequest:
    """The client's own message, its shapes written over: NumPy makes no arrays of most of them."""
    stand_ins = [(0, 10**6 + i, *[1] * (len(shape) - 2)) for i, shape in enumerate(declared)]
    message = bytes(convert.serialize_infer_request(convert.InferReq("", [np.empty(shape) for shape in stand_ins])))
    for stand_in, shape in zip(stand_ins, declared, strict=True):
        written = np.array(stand_in, "<i8").tobytes()
        assert message.count(written) == 1
        message = message.replace(written, np.array(shape, "<i8").tobytes())
    return read(GRAPHPIPE, payload_of(message))


Send = Callable[[Shapes], ScoreRequest]
every_protocol = pytest.mark.parametrize(
    "send", [oip_json, oip_binary, oip_raw, oip_typed, tensorflow_serving, graphpipe], ids=lambda send: send.__name__
)


@every_protocol
@pytest.mark.parametrize(
    "shape",
    [
        [70_000_000, 0],  # 90 bytes a row in a Python model
        [2**40, 0],
        [0, 2**62],
        [0, 2**62, 2**62],  # NumPy cannot count it
        [2, 2**62, 0, 2],
        [1, 70_000_000, 0],
        [30_000, 30_000, 0],  # each axis alone may be
        [30, 0, 2**22],  # what a model makes of the rows is not empty
        [-1, 0],
        [0, -1],
    ],
    ids=str,
)
def test_an_empty_tensor_of_more_than_the_request_has_bytes(send: Send, shape: list[int]) -> None:
    with pytest.raises(InvalidInput, match=r"cannot have the shape \["):
        send([shape])


@every_protocol
@pytest.mark.parametrize("shape", [[0, 784], [0, 1024, 1024, 3], [3, 0], [1, 0, 784], [8, 0, 4]], ids=str)
def test_an_empty_tensor_with_room(send: Send, shape: list[int]) -> None:
    (column,) = send([shape]).batch.columns
    assert list(column.data.shape) == shape


@every_protocol
def test_empty_tensors_share_the_room(send: Send) -> None:
    """A request of 100 tensors has more than 1000 bytes, and less than 100,000."""
    few, many = [5, 0], [1000, 0]
    assert len(send([few] * 100).batch.columns) == 100
    assert send([many, *[few] * 99]).batch.columns[0].data.size == 0
    with pytest.raises(InvalidInput, match="cannot have the shape"):
        send([many] * 100)


def test_more_than_64_bits() -> None:
    """Their product would have more digits than Python prints."""
    with pytest.raises(InvalidInput, match=r"cannot have the shape \[…, …"):
        shapes.Room(100).check("x", [10**4000] * 32)


def test_more_axes_than_numpy_had_when_the_protocols_were_made() -> None:
    assert shapes.Room(100).check("x", [1] * 32) == (1,) * 32
    with pytest.raises(InvalidInput, match="cannot have the shape"):
        shapes.Room(100).check("x", [1] * 33)


@pytest.mark.parametrize("count", [1, 10, 20_000])
def test_nested_lists_are_as_many_as_they_say(count: int) -> None:
    body = json.dumps({"inputs": {"x": [[]] * count}}).encode()
    head = {"verb": "predict", "signature": ""}
    assert read(TFSERVING_REST, pack(head, body)).batch.columns[0].data.shape == (count, 0)
    head = {"method": "m", "batched": True, "transpose": False, "inputs": {"x": [3, None]}}
    assert read(TFINFER, pack(head, json.dumps({"x": [[]] * count}).encode())).batch.columns[0].data.shape == (count, 0)


# --- one value for many, as TensorFlow's messages have it: tf.make_tensor_proto(1.0, shape=[1, 224, 224, 3]) ----------


def test_a_value_that_stands_for_many() -> None:
    payload = predict_request([[1, 224, 224, 3]], float_val=[1.5])
    (column,) = read(TFSERVING_GRPC, payload).batch.columns
    assert column.data.shape == (1, 224, 224, 3)
    assert (column.data == 1.5).all()


@pytest.mark.parametrize("values", [{}, {"float_val": [1.5]}, {"float_val": [1.5, 2.5]}])
@pytest.mark.parametrize("shape", [[1, shapes.REPEATED + 3], [70_000_000], [70_000_000, 1], [2000, 1], [2**31, 2**31]])
def test_a_value_that_stands_for_too_many(shape: list[int], values: dict[str, list[float]]) -> None:
    with pytest.raises(InvalidInput, match=r"without a value of their own|cannot have the shape"):
        read(TFSERVING_GRPC, predict_request([shape], **values))


def test_values_of_several_tensors_that_stand_for_too_many() -> None:
    half = [1, shapes.REPEATED // 2]
    assert len(read(TFSERVING_GRPC, predict_request([half] * 2)).batch.columns) == 2
    with pytest.raises(InvalidInput, match="without a value of their own"):
        read(TFSERVING_GRPC, predict_request([half] * 3))


def test_as_many_rows_as_bytes_with_one_value() -> None:
    """A longer request may repeat more: its other tensors have as many rows."""
    rows = 5000
    message = tfs.PredictRequest()
    message.inputs["x"].CopyFrom(
        tfs.Tensor(dtype=tfs.DT_FLOAT, tensor_shape=tf_tensors.shape_of((rows, 1)), tensor_content=bytes(4 * rows))
    )
    message.inputs["keep"].CopyFrom(
        tfs.Tensor(dtype=tfs.DT_FLOAT, tensor_shape=tf_tensors.shape_of((rows, 1)), float_val=[0.5])
    )
    head = {"verb": "predict", "model": "m", "signature": ""}
    batch = read(TFSERVING_GRPC, pack(head, message.SerializeToString())).batch
    assert (batch.rows, batch.columns[0].data.sum()) == (rows, rows / 2)
