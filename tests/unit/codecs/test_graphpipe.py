"""GraphPipe's bytes as its public client writes and reads them, and as FlatBuffers allows them."""

from __future__ import annotations

import struct
from typing import Any

import flatbuffers
import numpy as np
import pytest
from graphpipe import convert
from graphpipe.graphpipefb import InferRequest, Request, Tensor

from forestflow.codecs.graphpipe import writer
from forestflow.codecs.graphpipe.codec import GraphPipeCodec, configs_of, decode_configs, metadata_of, payload_of
from forestflow.codecs.graphpipe.reader import INFER, METADATA, read_infer, read_kind
from forestflow.domain.errors import InvalidInput, Malformed, ModelFailed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.tensors import Batch, Column, IOMetadata, Layout, ModelMetadata, Signature, TensorType

FQRV = Fqrv(Contract("org", "pro ject", 3), "v1")
NUMBERS = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64]
NUMBERS += [np.float16, np.float32, np.float64]


def message(*tensors: Any, config: str = "", names: Any = (), outputs: Any = ()) -> bytes:
    """As the public client writes it."""
    arrays = [np.asarray(tensor) for tensor in tensors]
    return bytes(convert.serialize_infer_request(convert.InferReq(config, arrays, list(names), list(outputs))))


def answer(codec: GraphPipeCodec, batch: Batch, wanted: tuple[str, ...] = ()) -> list[np.ndarray]:
    """As the public client reads it."""
    tensors, errors = convert.deserialize_infer_response(codec.encode(batch, wanted))
    assert errors == []
    return tensors


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("shape", [(2, 3), (6,), (), (0, 4), (1, 2, 3, 1)])
def test_numbers_there_and_back(dtype: type, shape: tuple[int, ...]) -> None:
    values = np.arange(int(np.prod(shape))).astype(dtype).reshape(shape) + np.iinfo(np.int8).max
    (tensor,) = read_infer(message(values)).tensors
    assert (tensor.data.dtype, tensor.data.shape) == (values.dtype, shape)
    assert tensor.data.tobytes() == values.tobytes()
    (back,), errors = convert.deserialize_infer_response(
        writer.infer_response([Column(tensor.type, ("x",), tensor.data)])
    )
    assert errors == []
    assert (back.dtype, back.shape, back.tobytes()) == (values.dtype, shape, values.tobytes())


def test_numbers_are_views_of_the_message() -> None:
    body = message(np.arange(10_000.0))
    (tensor,) = read_infer(body).tensors
    assert np.shares_memory(tensor.data, np.frombuffer(body, np.uint8))


def test_strings_there_and_back() -> None:
    values = [["a", "naïve 😀"], ["", "a" * 300], ["a", "\0"]]
    (tensor,) = read_infer(message(np.array(values, dtype=object))).tensors
    assert (tensor.type, tensor.data.tolist()) == (TensorType.String, values)
    (back,), _ = convert.deserialize_infer_response(writer.infer_response([Column(tensor.type, ("x",), tensor.data)]))
    # numpy, in the client, drops trailing NULs
    assert back.tolist() == [[text.rstrip("\0").encode() for text in row] for row in values]


def test_many_strings_keep_their_places() -> None:
    values = np.array([f"{i % 3000}" for i in range(5000)], dtype=object).reshape(-1, 2)
    (tensor,) = read_infer(message(values)).tensors
    assert tensor.data.tolist() == values.tolist()
    (back,), _ = convert.deserialize_infer_response(writer.infer_response([Column(tensor.type, ("x",), tensor.data)]))
    assert back.astype(str).tolist() == values.tolist()


def test_strings_that_are_not_utf8_are_bytes() -> None:
    (tensor,) = read_infer(message(np.array([b"\xff\xfe", b"text"], dtype=object))).tensors
    assert (tensor.type, tensor.data.tolist()) == (TensorType.Bytes, [b"\xff\xfe", b"text"])


def test_booleans_are_numbers() -> None:
    flags = np.array([[True], [False]])
    (back,), _ = convert.deserialize_infer_response(writer.infer_response([Column(TensorType.Bool, ("x",), flags)]))
    assert (back.dtype, back.tolist()) == (np.uint8, [[1], [0]])


def test_data_that_is_not_contiguous() -> None:
    values = np.arange(12.0).reshape(3, 4).T[::2]
    (back,), _ = convert.deserialize_infer_response(writer.infer_response([Column(TensorType.Float64, ("x",), values)]))
    assert back.tolist() == values.tolist()


@pytest.mark.parametrize("value", [None, 7, "\ud800"])
def test_strings_that_are_none(value: Any) -> None:
    texts = np.array([value], dtype=object)
    with pytest.raises(ModelFailed, match="String output"):
        writer.infer_response([Column(TensorType.String, ("x",), texts)])


# --- what other writers of FlatBuffers do -----------------------------------------------------------------------------


def test_strings_without_a_final_nul() -> None:
    """Go's client writes string tensors as vectors of bytes."""
    builder = flatbuffers.Builder(64)
    strings = [builder.CreateByteVector(text) for text in (b"last", b"wide", b"")]  # nothing but numbers behind them
    Tensor.TensorStartStringValVector(builder, 3)
    for string in strings:
        builder.PrependUOffsetTRelative(string)
    values = builder.EndVector()
    builder.StartVector(8, 1, 8)
    builder.PrependInt64(3)
    shape = builder.EndVector()
    Tensor.TensorStart(builder)
    Tensor.TensorAddType(builder, 12)
    Tensor.TensorAddShape(builder, shape)
    Tensor.TensorAddStringVal(builder, values)
    (tensor,) = read_infer(_request_of(builder, Tensor.TensorEnd(builder))).tensors
    assert tensor.data.tolist() == ["", "wide", "last"]


def test_absent_fields_are_empty() -> None:
    builder = flatbuffers.Builder(64)
    data = builder.CreateByteVector(struct.pack("<f", 1.5))
    Tensor.TensorStart(builder)
    Tensor.TensorAddType(builder, 10)
    Tensor.TensorAddData(builder, data)
    request = read_infer(_request_of(builder, Tensor.TensorEnd(builder)))
    assert (request.config, request.input_names, request.output_names) == ("", (), ())
    assert (request.tensors[0].data.shape, request.tensors[0].data.item()) == ((), 1.5)


def test_a_string_that_several_refer_to() -> None:
    builder = flatbuffers.Builder(64)
    string = builder.CreateString("shared")
    Tensor.TensorStartStringValVector(builder, 3)
    for _ in range(3):
        builder.PrependUOffsetTRelative(string)
    values = builder.EndVector()
    builder.StartVector(8, 1, 8)
    builder.PrependInt64(3)
    shape = builder.EndVector()
    Tensor.TensorStart(builder)
    Tensor.TensorAddType(builder, 12)
    Tensor.TensorAddShape(builder, shape)
    Tensor.TensorAddStringVal(builder, values)
    (tensor,) = read_infer(_request_of(builder, Tensor.TensorEnd(builder))).tensors
    assert tensor.data.tolist() == ["shared"] * 3


def test_a_message_that_is_not_aligned() -> None:
    body = message(np.array(["a", "bc"], dtype=object), np.arange(3.0))
    for shift in range(8):
        request = read_infer(memoryview(b"\xee" * shift + body)[shift:])
        assert [tensor.data.tolist() for tensor in request.tensors] == [["a", "bc"], [0.0, 1.0, 2.0]]


def _request_of(builder: Any, *tensors: int) -> bytes:
    InferRequest.InferRequestStartInputTensorsVector(builder, len(tensors))
    for tensor in reversed(tensors):
        builder.PrependUOffsetTRelative(tensor)
    vector = builder.EndVector()
    InferRequest.InferRequestStart(builder)
    InferRequest.InferRequestAddInputTensors(builder, vector)
    infer = InferRequest.InferRequestEnd(builder)
    Request.RequestStart(builder)
    Request.RequestAddReqType(builder, 1)
    Request.RequestAddReq(builder, infer)
    builder.Finish(Request.RequestEnd(builder))
    return bytes(builder.Output())


def _tensor(builder: Any, kind: int, shape: list[int], data: bytes) -> int:
    content = builder.CreateByteVector(data)
    builder.StartVector(8, len(shape), 8)
    for size in reversed(shape):
        builder.PrependInt64(size)
    dimensions = builder.EndVector()
    Tensor.TensorStart(builder)
    Tensor.TensorAddType(builder, kind)
    Tensor.TensorAddShape(builder, dimensions)
    Tensor.TensorAddData(builder, content)
    return Tensor.TensorEnd(builder)


@pytest.mark.parametrize(
    ("kind", "shape", "data", "message"),
    [
        (11, [2, 2], bytes(24), "24 bytes of data; Float64 of the shape [2, 2] takes 32"),
        (11, [2], bytes(24), "24 bytes of data; Float64 of the shape [2] takes 16"),
        (1, [2**62, 4], b"", "cannot have the shape [4611686018427387904, 4]"),
        (1, [10**9, 0], b"", "cannot have the shape [1000000000, 0]"),
        (1, [-1], b"", "cannot have the shape [-1]"),
        (1, [-1, -1], b"a", "cannot have the shape [-1, -1]"),
        (1, [1] * 33, b"a", "33 dimensions; at most 32"),
        (0, [1], b"a", "has the type 0"),
        (13, [1], b"a", "has the type 13"),
        (12, [2], b"a", "0 strings for the shape [2]"),
    ],
)
def test_tensors_that_contradict_themselves(kind: int, shape: list[int], data: bytes, message: str) -> None:
    builder = flatbuffers.Builder(64)
    body = _request_of(builder, _tensor(builder, kind, shape, data))
    with pytest.raises(InvalidInput) as caught:
        read_infer(body)
    assert message in caught.value.message


def test_a_small_message_cannot_become_a_large_one() -> None:
    """A quarter of a million references to one string of a megabyte."""
    count, length = 250_000, 1 << 20
    builder = flatbuffers.Builder(4 * count + length)
    string = builder.CreateString("a" * length)
    Tensor.TensorStartStringValVector(builder, count)
    for _ in range(count):
        builder.PrependUOffsetTRelative(string)
    values = builder.EndVector()
    builder.StartVector(8, 1, 8)
    builder.PrependInt64(count)
    shape = builder.EndVector()
    Tensor.TensorStart(builder)
    Tensor.TensorAddType(builder, 12)
    Tensor.TensorAddShape(builder, shape)
    Tensor.TensorAddStringVal(builder, values)
    body = _request_of(builder, Tensor.TensorEnd(builder))
    with pytest.raises(Malformed, match="the same parts too many times"):
        read_infer(body)


def test_one_tensor_cannot_stand_for_thousands() -> None:
    builder = flatbuffers.Builder(64)
    tensor = _tensor(builder, 1, [1], b"a")
    with pytest.raises(InvalidInput, match="5000 tensors or names; at most 4096"):
        read_infer(_request_of(builder, *[tensor] * 5000))


def test_what_a_request_is() -> None:
    assert read_kind(message(1.0)) == INFER
    assert read_kind(bytes(convert.serialize_metadata_request())) == METADATA
    with pytest.raises(Malformed, match="a MetadataRequest where an InferRequest is expected"):
        read_infer(bytes(convert.serialize_metadata_request()))


@pytest.mark.parametrize("body", [b"", b"\0", b"\0" * 64, b"\xff" * 64, b'{"schema":[]}', b"\x04\0\0\0" * 4])
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(Malformed, match="not a GraphPipe Request"):
        read_kind(body)


# --- requests and answers of a release --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "configs"),
    [
        ("", {}),
        ("{}", {}),
        ("a:b", {"a": "b"}),
        ("a:b,c:d:e, f : g ,", {"a": "b", "c": "d:e", "f": "g"}),
        ("h2o.outputs:prediction,probabilities,a:b", {"h2o.outputs": "prediction,probabilities", "a": "b"}),
    ],
)
def test_configs(text: str, configs: dict[str, str]) -> None:
    assert configs_of(text) == configs
    assert decode_configs(payload_of(message(1.0, config=text))) == configs


def test_a_config_that_is_none() -> None:
    with pytest.raises(InvalidInput, match="the config 'fast' is not key:value"):
        configs_of("fast")


@pytest.mark.parametrize(
    ("tensors", "layout", "rows"),
    [
        ([np.zeros((5, 2)), np.zeros(5)], Layout.TENSORS, 5),
        ([np.zeros((5, 2)), np.zeros(4)], Layout.WHOLE, 1),
        ([np.float32(1)], Layout.WHOLE, 1),
        ([np.zeros((0, 2))], Layout.TENSORS, 0),
    ],
)
def test_rows_are_what_all_tensors_have_in_common(tensors: list[Any], layout: Layout, rows: int) -> None:
    request = GraphPipeCodec(FQRV).decode(payload_of(message(*tensors, names=["in"] * len(tensors))))
    assert (request.batch.layout, request.batch.rows) == (layout, rows)
    below = (1,) if layout is Layout.WHOLE else ()
    assert [c.data.shape for c in request.batch.columns] == [(*below, *np.shape(t)) for t in tensors]
    assert {c.fields for c in request.batch.columns} == {("in",)}


def test_names_for_other_tensors() -> None:
    with pytest.raises(InvalidInput, match="2 tensors and 1 input names"):
        GraphPipeCodec(FQRV).decode(payload_of(message(1.0, 2.0, names=["a"])))


PREDICTED = Batch(
    2,
    (
        Column(TensorType.Float64, ("a",), np.array([1.5, 2.5])),
        Column(TensorType.String, ("b",), np.array([["x", "y"], ["z", ""]], dtype=object)),
    ),
    Layout.TENSORS,
)


def test_the_answer_begins_with_who_gave_it() -> None:
    who, a, b = answer(GraphPipeCodec(FQRV), PREDICTED)
    assert who.tolist() == [[b"org.pro ject.3.v1"]]
    assert a.tolist() == [[1.5], [2.5]]
    assert b.tolist() == [[b"x", b"y"], [b"z", b""]]


@pytest.mark.parametrize(
    ("asked", "in_url", "config", "sizes"),
    [
        ([], [], None, [1, 2, 4]),
        (["a", "b"], [], "a,b", [2, 4]),
        (["a", "FQRV", "b"], ["ignored"], "a,b", [2, 1, 4]),
        (["", ""], ["prediction"], None, [2, 4]),
        ([], ["FQRV"], None, [1]),
    ],
)
def test_outputs_by_name(asked: list[str], in_url: list[str], config: str | None, sizes: list[int]) -> None:
    codec = GraphPipeCodec(FQRV)
    request = codec.decode(payload_of(message(1.0, outputs=asked), in_url))
    assert request.configs.get("forestflow.outputs") == config
    assert [tensor.size for tensor in answer(codec, PREDICTED, request.context)] == sizes


def test_an_output_that_is_called_prediction_stands_alone() -> None:
    batch = Batch(2, (*PREDICTED.columns, Column(TensorType.Int8, ("prediction",), np.zeros((2, 1), np.int8))))
    (only,) = answer(GraphPipeCodec(FQRV), batch, ("prediction",))
    assert only.dtype == np.int8


def test_a_whole_answer_has_the_models_shape() -> None:
    batch = Batch(1, (Column(TensorType.Float32, ("x",), np.array([[1.0, 2.0]], np.float32)),), Layout.WHOLE)
    assert answer(GraphPipeCodec(FQRV), batch, ("x",))[0].tolist() == [1.0, 2.0]


def test_records_of_several_releases() -> None:
    other = Fqrv(FQRV.contract, "v2")
    body = GraphPipeCodec(FQRV).encode_records(PREDICTED, [FQRV, other], [1, 0])
    who, *_ = convert.deserialize_infer_response(body)[0]
    assert who.tolist() == [[b"org.pro ject.3.v2"], [b"org.pro ject.3.v1"]]


def test_an_error() -> None:
    tensors, (error,) = convert.deserialize_infer_response(writer.error_response(404, "naïve"))
    assert (tensors, error) == ([], {"code": 404, "message": "naïve".encode()})


def test_metadata() -> None:
    inputs = tuple(IOMetadata(name, TensorType.Float32, (-1, 3)) for name in "abc")
    outputs = (IOMetadata("label", TensorType.String), IOMetadata("odds", TensorType.Float16, (2,), "of both"))
    metadata = convert.deserialize_metadata_response(metadata_of(FQRV, ModelMetadata(inputs, outputs)))
    assert (metadata.Name(), metadata.Version(), metadata.Server()) == (b"org.pro ject.3", b"v1", b"ForestFlow")
    told = [metadata.Inputs(i) for i in range(metadata.InputsLength())]
    assert [(io.Name(), io.Type(), io.ShapeAsNumpy().tolist()) for io in told] == [
        (name, 10, [-1, -1, 3]) for name in (b"a", b"b", b"c")
    ]
    told = [metadata.Outputs(i) for i in range(metadata.OutputsLength())]
    assert [(io.Name(), io.Type(), io.ShapeAsNumpy().tolist(), io.Description()) for io in told[1:]] == [
        (b"label", 12, [-1, 1], b""),
        (b"odds", 9, [-1, 2], b"of both"),
    ]
    assert told[0].Name() == b"FQRV"


def test_metadata_has_an_output_beside_every_input() -> None:
    inputs = tuple(IOMetadata(name, TensorType.Bool) for name in "abc")
    model = ModelMetadata((), (), {"call": Signature(inputs, inputs[:1], batched=False)}, "call")
    metadata = convert.deserialize_metadata_response(metadata_of(FQRV, model))
    names = [metadata.Outputs(i).Name() for i in range(metadata.OutputsLength())]
    assert names == [b"FQRV", b"FQRV", b"a"]
    assert metadata.Outputs(2).ShapeAsNumpy().tolist() == []
