"""PredictionService's messages: the same bytes as TensorFlow's, of every type, in both places where values can be."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forestflow._gen import tensorflow_serving_pb2 as pb
from forestflow.codecs.envelope import pack
from forestflow.codecs.shapes import Room
from forestflow.codecs.tfserving import documents as tfserving_documents
from forestflow.codecs.tfserving import tensors as tf_tensors
from forestflow.codecs.tfserving.grpc import TfServingGrpcCodec, decode_request
from forestflow.domain.errors import ForestFlowError, InvalidInput, Malformed, ModelFailed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.requests import OUTPUTS_KEY, SIGNATURE_KEY
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, ModelMetadata, Signature, TensorType

CODEC = TfServingGrpcCodec(Fqrv(Contract("o", "p", 0), "7"))
HEAD = {"verb": "predict", "model": "m", "signature": ""}
NUMBERS = [kind for kind in TensorType if DTYPES[kind].kind in "iufb"]


def exact(array):
    """Shape, dtype and bits."""
    values = array.tolist() if array.dtype == object else array.tobytes()
    return array.shape, array.dtype, values


def column_of(tensor):
    """The tensor as one of a request with room for it."""
    return tf_tensors.column_of("x", tensor, Room(1000))


@st.composite
def tensors(draw):
    kind = draw(st.sampled_from([*NUMBERS, TensorType.Bytes]))
    shape = draw(hnp.array_shapes(min_dims=0, min_side=0))
    if kind is TensorType.Bytes:
        flat = draw(st.lists(st.binary(), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        data = np.empty(len(flat), object)
        data[:] = flat
        return Column(kind, ("x",), data.reshape(shape))
    return Column(kind, ("x",), draw(hnp.arrays(DTYPES[kind], shape)))


@given(tensors())
def test_values_come_back_to_the_last_bit(column):
    message = pb.Tensor()
    tf_tensors.fill(column, message)
    read = column_of(pb.Tensor.FromString(message.SerializeToString()))
    assert read.type is column.type
    if column.data.dtype.kind == "f":  # a NaN keeps being one, not its payload
        assert np.array_equal(read.data, column.data, equal_nan=True)
    else:
        assert exact(read.data) == exact(column.data)


@given(tensors().filter(lambda column: column.type is not TensorType.Bytes))
def test_packed_values_are_read_where_they_lie(column):
    message = pb.Tensor(dtype=tf_tensors.DATA_TYPES[column.type], tensor_content=column.data.tobytes())
    message.tensor_shape.CopyFrom(tf_tensors.shape_of(column.data.shape))
    assert exact(column_of(message).data) == exact(column.data)


@pytest.mark.slow
def test_tensorflows_own_messages():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf
    rng = np.random.default_rng(3)
    for kind in NUMBERS:
        array = (rng.random((3, 4)) * 100).astype(DTYPES[kind])
        for taken in (array, array[0, 0], array[:0], array[:1, :1]):
            theirs = tf.make_tensor_proto(taken)
            ours = column_of(pb.Tensor.FromString(theirs.SerializeToString()))
            assert exact(ours.data) == exact(np.asarray(taken))
            message = pb.Tensor()
            tf_tensors.fill(Column(kind, ("x",), np.asarray(taken)), message)
            back = tf.make_ndarray(type(theirs).FromString(message.SerializeToString()))
            assert exact(np.asarray(back)) == exact(np.asarray(taken))
    brain = np.array([1.5, -2.0, 3e38], tf.bfloat16.as_numpy_dtype)
    for taken in (brain, brain[:1]):
        theirs = tf.make_tensor_proto(taken)
        assert bool(theirs.tensor_content) == (len(taken) > 1)
        ours = column_of(pb.Tensor.FromString(theirs.SerializeToString()))
        assert ours.type is TensorType.Float32
        assert exact(ours.data) == exact(taken.astype(np.float32))
    texts = tf.make_tensor_proto([b"a\x00", "ü".encode()])
    assert column_of(pb.Tensor.FromString(texts.SerializeToString())).data.tolist() == [
        b"a\x00",
        b"\xc3\xbc",
    ]


def test_the_last_value_stands_for_all_that_follow():
    shape = tf_tensors.shape_of((2, 3))
    some = pb.Tensor(dtype=pb.DT_INT32, tensor_shape=shape, int_val=[1, 2])
    assert column_of(some).data.tolist() == [[1, 2, 2], [2, 2, 2]]
    none = pb.Tensor(dtype=pb.DT_STRING, tensor_shape=shape)
    assert column_of(none).data.tolist() == [[b""] * 3] * 2


@pytest.mark.parametrize(
    "tensor",
    [
        pb.Tensor(dtype=pb.DT_COMPLEX64),
        pb.Tensor(dtype=99),
        pb.Tensor(dtype=pb.DT_FLOAT, tensor_shape=pb.TensorShape(unknown_rank=True)),
        pb.Tensor(dtype=pb.DT_FLOAT, tensor_shape=tf_tensors.shape_of((-1,))),
        pb.Tensor(dtype=pb.DT_FLOAT, tensor_shape=tf_tensors.shape_of((1,) * 33)),
        pb.Tensor(dtype=pb.DT_FLOAT, tensor_shape=tf_tensors.shape_of((2**40, 2**40)), float_val=[1]),
        pb.Tensor(dtype=pb.DT_FLOAT, tensor_shape=tf_tensors.shape_of((0, 2**62, 2**62))),
        pb.Tensor(dtype=pb.DT_FLOAT, tensor_shape=tf_tensors.shape_of((2,)), tensor_content=b"1234567"),
        pb.Tensor(dtype=pb.DT_FLOAT, tensor_shape=tf_tensors.shape_of((1,)), float_val=[1, 2]),
        pb.Tensor(dtype=pb.DT_INT8, tensor_shape=tf_tensors.shape_of((1,)), int_val=[128]),
        pb.Tensor(dtype=pb.DT_UINT8, tensor_shape=tf_tensors.shape_of((1,)), int_val=[-1]),
        pb.Tensor(dtype=pb.DT_HALF, tensor_shape=tf_tensors.shape_of((1,)), half_val=[65536]),
        pb.Tensor(dtype=pb.DT_STRING, tensor_shape=tf_tensors.shape_of((1,)), string_val=[b"a", b"b"]),
        pb.Tensor(dtype=pb.DT_STRING, tensor_shape=tf_tensors.shape_of((1,)), tensor_content=b"a"),
    ],
)
def test_what_is_no_tensor(tensor):
    with pytest.raises(InvalidInput, match="input 'x'"):
        column_of(tensor)


def floats(*values):
    return pb.Tensor(dtype=pb.DT_FLOAT, tensor_shape=tf_tensors.shape_of((len(values),)), float_val=values)


def test_a_prediction():
    message = pb.PredictRequest(inputs={"b": floats(1, 2), "a": floats(3, 4)}, output_filter=["y", "z"])
    message.model_spec.signature_name = "s"
    request = decode_request(pack(HEAD, message.SerializeToString()))
    assert (request.batch.layout, request.batch.rows) == (Layout.TENSORS, 2)
    assert {c.fields[0]: c.data.tolist() for c in request.batch.columns} == {"a": [3, 4], "b": [1, 2]}
    assert request.configs == {SIGNATURE_KEY: "s", OUTPUTS_KEY: "y,z"}
    answer = Column(TensorType.Float32, ("y",), np.array([[0.5], [1]], np.float32))
    response = pb.PredictResponse.FromString(CODEC.encode(Batch(2, (answer,), Layout.TENSORS), request.context))
    assert list(response.outputs["y"].float_val) == [0.5, 1]
    assert [dim.size for dim in response.outputs["y"].tensor_shape.dim] == [2, 1]
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("m", 7, "s")


def test_tensors_without_rows_in_common():
    message = pb.PredictRequest(inputs={"b": floats(1, 2), "a": floats(3)})
    assert decode_request(pack(HEAD, message.SerializeToString())).batch.layout is Layout.WHOLE


def test_a_classification_and_a_regression():
    message = pb.ExampleRequest(input=pb.Input(example_list=pb.ExampleList(examples=[b"\n\x00", b""])))
    head = {**HEAD, "verb": "classify", "signature": "c"}
    request = decode_request(pack(head, message.SerializeToString()))
    (only,) = request.batch.columns
    assert (only.type, only.fields, only.data.tolist()) == (TensorType.Bytes, ("",), [b"\n\x00", b""])
    assert request.configs == {SIGNATURE_KEY: "c"}
    classes = np.empty((2, 1), object)
    classes[:, 0] = ["a", "b"]
    answer = Batch(2, (Column(TensorType.String, ("classes",), classes),), Layout.TENSORS)
    response = pb.ClassificationResponse.FromString(CODEC.encode(answer, request.context))
    assert [[(c.label, c.score) for c in g.classes] for g in response.result.classifications] == [
        [("a", 0)],
        [("b", 0)],
    ]
    request = decode_request(pack({**head, "verb": "regress"}, message.SerializeToString()))
    values = Column(TensorType.Float32, ("outputs",), np.array([[0.5], [2]], np.float32))
    regressed = pb.RegressionResponse.FromString(CODEC.encode(Batch(2, (values,), Layout.TENSORS), request.context))
    assert [given.value for given in regressed.result.regressions] == [0.5, 2]
    for verb in ("classify", "regress"):
        context = decode_request(pack({**head, "verb": verb}, message.SerializeToString())).context
        wrong = Column(TensorType.String, ("y",), classes)
        with pytest.raises(ModelFailed):
            CODEC.encode(Batch(2, (wrong,), Layout.TENSORS), context)


@pytest.mark.parametrize("verb", ["classify", "regress"])
@pytest.mark.parametrize("data", [[[0.5]], [[0.5]] * 3, 0.5, []])
def test_results_are_one_for_each_example(verb, data):
    message = pb.ExampleRequest(input=pb.Input(example_list=pb.ExampleList(examples=[b"\n\x00", b""])))
    request = decode_request(pack({**HEAD, "verb": verb}, message.SerializeToString()))
    answer = Batch.of_tensors([Column(TensorType.Float32, ("scores",), np.array(data, np.float32))])
    with pytest.raises(InvalidInput, match=r"output 'scores' has the shape .* for 2 examples"):
        CODEC.encode(answer, request.context)


def test_a_prediction_may_have_any_number_of_rows():
    message = pb.PredictRequest(inputs={"x": floats(1, 2)})
    context = decode_request(pack(HEAD, message.SerializeToString())).context
    for data in ([1, 2, 3], [], 7):
        answer = Batch.of_tensors([Column(TensorType.Float32, ("y",), np.array(data, np.float32))])
        response = pb.PredictResponse.FromString(CODEC.encode(answer, context))
        assert [dim.size for dim in response.outputs["y"].tensor_shape.dim] == list(np.shape(data))


def test_features_in_common_come_before_an_examples_own():
    context = pb.Example(features=pb.Features(feature={"a": int64s(1), "b": int64s(2)}))
    own = pb.Example(features=pb.Features(feature={"b": int64s(3)}))
    listed = pb.ExampleListWithContext(examples=[own.SerializeToString()], context=context.SerializeToString())
    message = pb.ExampleRequest(input=pb.Input(example_list_with_context=listed))
    request = decode_request(pack({**HEAD, "verb": "regress"}, message.SerializeToString()))
    merged = pb.Example.FromString(request.batch.columns[0].data[0]).features.feature
    assert {name: list(feature.int64_list.value) for name, feature in merged.items()} == {"a": [1], "b": [3]}


def test_features_in_common_of_too_many_examples():
    listed = pb.ExampleListWithContext(examples=[b""] * 2000, context=b"x" * 9000)
    message = pb.ExampleRequest(input=pb.Input(example_list_with_context=listed))
    with pytest.raises(InvalidInput, match="a context of 9000 bytes for 2000 examples"):
        decode_request(pack({**HEAD, "verb": "regress"}, message.SerializeToString()))


def int64s(*values):
    return pb.Feature(int64_list=pb.Int64List(value=values))


@pytest.mark.parametrize("verb", ["predict", "classify", "regress"])
@given(body=st.binary())
def test_any_bytes_are_a_request_or_a_clients_fault(verb, body):
    try:
        decode_request(pack({**HEAD, "verb": verb}, body))
    except ForestFlowError as error:
        fault = error
        assert isinstance(fault, (Malformed, InvalidInput))  # most bytes are no request, some are


def test_what_a_request_names():
    spec = pb.ModelSpec(name="m", signature_name="s", version_label="stable")
    told = tfserving_documents.spec_of(pb.PredictRequest(model_spec=spec, inputs={"x": floats(1)}).SerializeToString())
    assert told == tfserving_documents.Spec("m", "", "stable", "s")
    spec = pb.ModelSpec(name="m")
    spec.version.value = 0
    assert tfserving_documents.spec_of(pb.Addressed(model_spec=spec).SerializeToString()).version == "0"
    for check in (tfserving_documents.spec_of, tfserving_documents.check_metadata_fields):
        with pytest.raises(Malformed):
            check(b"\xff")


@pytest.mark.parametrize("fields", [[], ["signature_def", "other"]])
def test_metadata_but_of_signatures(fields):
    with pytest.raises(InvalidInput):
        tfserving_documents.check_metadata_fields(pb.GetModelMetadataRequest(metadata_field=fields).SerializeToString())


def test_a_model_of_unknown_rank_and_no_rows():
    io = IOMetadata("x", TensorType.String, any_rank=True)
    signature = Signature((io,), (IOMetadata("y", TensorType.Float64, (3,)),), batched=False, method="custom")
    told = tfserving_documents.metadata_message("m", "v1", ModelMetadata((io,), (), {"s": signature}, "s"))
    signatures = pb.SignatureDefMap.FromString(
        pb.GetModelMetadataResponse.FromString(told).metadata["signature_def"].value
    )
    described = signatures.signature_def["s"]
    assert described.method_name == "custom"
    assert described.inputs["x"].tensor_shape.unknown_rank
    assert [dim.size for dim in described.outputs["y"].tensor_shape.dim] == [3]
