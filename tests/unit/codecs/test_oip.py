"""The Open Inference Protocol's codecs against what tritonclient sends and reads."""

import json
import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tritonclient.grpc as triton_grpc
    import tritonclient.http as triton_http
    from tritonclient.grpc._utils import _get_inference_request

from forestflow.codecs import envelope
from forestflow.codecs.oip.grpc import OipGrpcCodec
from forestflow.codecs.oip.rest import Answering, OipRestCodec
from forestflow.domain.errors import InvalidInput, Malformed, ModelFailed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.requests import OUTPUTS_KEY
from forestflow.domain.tensors import DTYPES, Batch, Column, Layout, TensorType

FQRV = Fqrv(Contract("o", "p", 1), "r")
REST, GRPC = OipRestCodec(FQRV), OipGrpcCodec(FQRV)
NUMERIC = {
    "BOOL": [True, False], "UINT8": [0, 255], "UINT16": [0, 2**16 - 1], "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1], "INT8": [-128, 127], "INT16": [-(2**15), 1], "INT32": [-(2**31), 1],
    "INT64": [-(2**63), 2**63 - 1], "FP16": [0.5, -65504.0], "FP32": [0.1, 3.4e38], "FP64": [0.1, 1.7e308],
}  # fmt: skip
KINDS = {name: {"FP16": TensorType.Float16, "FP32": TensorType.Float32, "FP64": TensorType.Float64}.get(
    name, TensorType[name.replace("UINT", "UInt").replace("INT", "Int").replace("BOOL", "Bool")]
    if not name.startswith("FP") else None) for name in NUMERIC}  # fmt: skip


def rest(body, header_length=None, model="m", version=None):
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    return REST.decode(envelope.pack({"json": header_length, "model": model, "version": version}, body))


def infer(name="x", shape=(2,), datatype="FP64", data=(1.0, 2.0), **more):
    return {"inputs": [{"name": name, "shape": list(shape), "datatype": datatype, "data": list(data)}], **more}


def triton_input(module, name, array, datatype, binary=True):
    tensor = module.InferInput(name, list(array.shape), datatype)
    if module is triton_http:
        tensor.set_data_from_numpy(array, binary_data=binary)
    else:
        tensor.set_data_from_numpy(array)
    return tensor


@pytest.mark.parametrize(
    ("datatype", "binary"), [(d, b) for d in NUMERIC for b in (True, False) if b or d != "FP16"]
)  # tritonclient sends FP16 as raw bytes alone
def test_tritons_http_client_is_read_and_reads_us(datatype, binary):
    array = np.array([NUMERIC[datatype]] * 2, dtype=DTYPES[KINDS[datatype]])
    body, length = triton_http.InferenceServerClient.generate_request_body(
        [triton_input(triton_http, "x", array, datatype, binary)],
        outputs=[triton_http.InferRequestedOutput("x", binary_data=binary)],
        request_id="7",
    )
    request = rest(body, length, version="3")
    assert request.batch.layout is Layout.TENSORS
    assert request.batch.rows == 2
    (column,) = request.batch.columns
    assert (column.type, column.fields, column.data.dtype) == (KINDS[datatype], ("x",), array.dtype)
    assert np.array_equal(column.data, array)
    assert request.configs == {OUTPUTS_KEY: "x"}
    head, answer = envelope.unpack(REST.encode(request.batch, request.context))
    assert (head["json"] is not None) is binary
    result = triton_http.InferenceServerClient.parse_response_body(bytes(answer), header_length=head["json"])
    assert np.array_equal(result.as_numpy("x"), array)
    assert result.as_numpy("x").dtype == array.dtype
    told = result.get_response()
    assert (told["model_name"], told["model_version"], told["id"]) == ("m", "3", "7")


@pytest.mark.parametrize("datatype", NUMERIC)
def test_tritons_grpc_client_is_read_and_reads_us(datatype):
    array = np.array([NUMERIC[datatype]] * 2, dtype=DTYPES[KINDS[datatype]])
    message = _get_inference_request(
        model_name="m", model_version="", request_id="7", priority=0, timeout=None, sequence_id=0,
        sequence_start=False, sequence_end=False, inputs=[triton_input(triton_grpc, "x", array, datatype)],
        outputs=[triton_grpc.InferRequestedOutput("x")], parameters={"reqid": "a", "n": 3, "yes": True},
    )  # fmt: skip
    request = GRPC.decode(message.SerializeToString())
    (column,) = request.batch.columns
    assert column.data.dtype == array.dtype
    assert np.array_equal(column.data, array)
    assert request.configs == {OUTPUTS_KEY: "x", "reqid": "a", "n": "3", "yes": "true"}
    response = triton_grpc.service_pb2.ModelInferResponse.FromString(GRPC.encode(request.batch, request.context))
    result = triton_grpc.InferResult(response)
    assert np.array_equal(result.as_numpy("x"), array)
    assert result.as_numpy("x").dtype == array.dtype
    assert (response.model_name, response.model_version, response.id) == ("m", "r", "7")


def test_typed_contents_are_read_as_tritons_protos_write_them():
    pb = triton_grpc.service_pb2
    fields = {"BOOL": "bool_contents", "INT8": "int_contents", "UINT16": "uint_contents", "INT64": "int64_contents",
              "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents"}  # fmt: skip
    request = pb.ModelInferRequest(model_name="m")
    for datatype, name in fields.items():
        tensor = request.inputs.add(name=datatype, datatype=datatype, shape=[2])
        getattr(tensor.contents, name).extend(NUMERIC[datatype])
    text = request.inputs.add(name="s", datatype="BYTES", shape=[2])
    text.contents.bytes_contents.extend([b"a", b"\xff"])
    batch = GRPC.decode(request.SerializeToString()).batch
    for column in batch.columns[:-1]:
        expected = np.array(NUMERIC[column.fields[0]], dtype=column.data.dtype)
        assert column.type is KINDS[column.fields[0]]
        assert np.array_equal(column.data, expected)
    assert batch.columns[-1].data.tolist() == [b"a", b"\xff"]
    request.inputs[1].contents.int_contents[0] = 1000
    with pytest.raises(InvalidInput, match="'INT8' holds a number that INT8 cannot"):
        GRPC.decode(request.SerializeToString())


def test_strings_both_ways():
    texts = np.array([["a", "bé"], ["", "d"]], dtype=object)
    for binary in (True, False):
        body, length = triton_http.InferenceServerClient.generate_request_body(
            [triton_input(triton_http, "s", texts, "BYTES", binary)],
            outputs=[triton_http.InferRequestedOutput("s", binary_data=binary)],
        )
        request = rest(body, length)
        data = request.batch.columns[0].data
        assert data.shape == (2, 2)
        assert [v.decode() if isinstance(v, bytes) else v for v in data.reshape(-1)] == ["a", "bé", "", "d"]
        head, answer = envelope.unpack(REST.encode(request.batch, request.context))
        result = triton_http.InferenceServerClient.parse_response_body(bytes(answer), header_length=head["json"])
        read = result.as_numpy("s").reshape(-1).tolist()
        assert [v.decode() if isinstance(v, bytes) else v for v in read] == ["a", "bé", "", "d"]


def test_tensors_without_rows_in_common_are_whole():
    body = {
        "inputs": [
            {"name": "a", "shape": [2], "datatype": "INT64", "data": [1, 2]},
            {"name": "k", "shape": [], "datatype": "FP32", "data": [3]},
        ]
    }
    batch = rest(body).batch
    assert (batch.layout, batch.rows) == (Layout.WHOLE, 1)
    assert [column.data.shape for column in batch.columns] == [(1, 2), (1,)]
    document = json.loads(bytes(envelope.unpack(REST.encode(batch, Answering("m", None, None)))[1]))
    assert [output["shape"] for output in document["outputs"]] == [[2], []]


def test_nested_data_and_numbers_that_json_has_not():
    body = b'{"inputs":[{"name":"NaN","shape":[2,2],"datatype":"FP64","data":[[NaN,1],[-Infinity, Infinity]]}]}'
    batch = rest(body).batch
    expected = np.array([[np.nan, 1], [-np.inf, np.inf]])
    assert np.array_equal(batch.columns[0].data, expected, equal_nan=True)
    assert batch.columns[0].fields == ("NaN",)
    answer = envelope.unpack(REST.encode(batch, Answering("m", None, None)))[1]
    assert json.loads(bytes(answer))["outputs"][0]["data"][2:] == [-np.inf, np.inf]


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (b"{", Malformed, "not an inference request"),
        ({"inputs": []}, InvalidInput, "no inputs"),
        (infer(datatype="COMPLEX"), InvalidInput, "datatype 'COMPLEX'; known are BOOL"),
        (infer(shape=[3]), InvalidInput, r"2 elements, its shape \[3\] takes 3"),
        (infer(shape=[-1]), InvalidInput, "cannot have the shape"),
        (infer(datatype="INT64", data=[1.5, 2]), InvalidInput, "is INT64; its data holds fractions"),
        (infer(datatype="INT8", data=[1, 128]), InvalidInput, "holds a number that INT8 cannot"),
        (infer(datatype="FP32", data=[1e300, 0]), InvalidInput, "holds a number that FP32 cannot"),
        (infer(data=["a", 1]), InvalidInput, "its data holds strings"),
        (infer(data=["NaN", 1]), InvalidInput, "its data holds strings"),
        (
            b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[nan]}]}',
            Malformed,
            "not an inference request",
        ),
        (b'{"inputs":[{"name":"x","shape":[1],"datatype":"INT8","data":[NaN]}]}', InvalidInput, "data holds fractions"),
        (b'{"inputs":[{"name":5,"shape":[1],"datatype":"INT8","data":[NaN]}]}', Malformed, "not an inference request"),
        (infer(datatype="BYTES", data=[1, 2]), InvalidInput, "must be strings"),
        (infer(data=[[1], 2]), InvalidInput, "lists beside single elements"),
        ({"inputs": infer()["inputs"] * 2}, Malformed, "the same name"),
        ({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}, InvalidInput, "has no data"),
    ],
)
def test_what_is_refused(body, error, message):
    with pytest.raises(error, match=message):
        rest(body)


def test_raw_tensors_that_do_not_add_up_are_refused():
    def body(size, extra=b"12345678", **more):
        tensor = {"name": "x", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": size}, **more}
        text = json.dumps({"inputs": [tensor]}).encode()
        return text + extra, len(text)

    assert rest(*body(8)).batch.rows == 1
    for wrong, message in [
        (body(9), "ends at byte 9 of the 8"), (body(4), "has 4 bytes, FP64"), (body(8, b"123456789"), "belong to no"),
        (body(-1), "must be a size"), (body(8, data=[1]), "stand instead of data"), (body("8"), "must be a size"),
    ]:  # fmt: skip
        with pytest.raises((InvalidInput, Malformed), match=message):
            rest(*wrong)
    with pytest.raises(Malformed, match="Inference-Header-Content-Length is 99"):
        rest(b"{}", 99)
    text = json.dumps(
        {"inputs": [{"name": "s", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}}]}
    )
    with pytest.raises(InvalidInput, match="ends behind"):
        rest(text.encode() + b"\x09\x00\x00\x00ab", len(text))


def test_bytes_that_are_no_text_need_the_binary_form():
    blobs = np.empty(1, dtype=object)
    blobs[0] = b"\xff"
    batch = Batch(1, (Column(TensorType.Bytes, ("b",), blobs),), Layout.TENSORS)
    with pytest.raises(ModelFailed, match="ask for it as binary"):
        REST.encode(batch, Answering("m", None, None))
    head, body = envelope.unpack(REST.encode(batch, Answering("m", None, None, binary=True)))
    assert bytes(body[head["json"] :]) == b"\x01\x00\x00\x00\xff"


def test_raw_grpc_inputs_must_match():
    pb = triton_grpc.service_pb2
    request = pb.ModelInferRequest(inputs=[pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1])])
    request.raw_input_contents.extend([b"1234", b"5678"])
    with pytest.raises(InvalidInput, match="2 entries for 1 inputs"):
        GRPC.decode(request.SerializeToString())
    with pytest.raises(Malformed, match="not a ModelInferRequest"):
        GRPC.decode(b"\xff\xff")


@pytest.mark.parametrize(
    "text",
    ["NaN", "Infinity", "-Infinity", "18446744073709551616", "1180591620717411303424", "-9223372036854775809", "1.5",
     "[1,NaN]", '{"k":[Infinity,1]}', "true", "null", '{"\u00e9":"\u00e8"}'],
)  # fmt: skip
def test_parameters_keep_what_a_client_wrote(text):
    request = json.dumps(infer())[:-1] + f', "parameters": {{"a": {text}}}}}'
    assert rest(request.encode()).configs == {"a": text}


@pytest.mark.parametrize("text", ["[" * 1020 + "]" * 1020, "9" * 5000, "[NaN,%s1]" % ("1," * 100_000)])
def test_parameters_that_nobody_can_read_are_refused(text):
    request = json.dumps(infer())[:-1] + f', "parameters": {{"a": {text}}}}}'
    try:
        found = rest(request.encode()).configs
    except (InvalidInput, Malformed):
        return
    assert list(found) == ["a"]
