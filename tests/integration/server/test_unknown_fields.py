"""Fields that the model does not have, over every protocol whose requests have names, against the real server.

Each client is public or plain; right answers are those of the H2O cluster that trained the model.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf import json_format
from graphpipe import convert

from forestflow._gen.contract_pb2 import Contract
from forestflow._gen.inference_pb2 import InferenceRequest
from forestflow._gen.service_pb2 import ScoreRequest
from forestflow._gen.service_pb2_grpc import ForestFlowStub
from forestflow.sdk import Client
from tests.serving import FIELDS, RunningServer, golden

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow as tf
    import tritonclient.grpc as triton_grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    from tritonclient.grpc import service_pb2_grpc as triton_stubs

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")]

ROW, EXPECTED = golden()[0][0], golden()[1][0]
HEADER = "x-forestflow-unknown-fields"

RIGHT = dict(zip(FIELDS, ROW, strict=True))
MORE = {**RIGHT, "Wind speed": 7.0, "größe": 1.0}
WRONG = {"Temp": 33.2}

# What an answer came to: whether it is one, the names that it reports, and the prediction or the message.
Told = tuple[bool, list[str], Any]


def reported(headers: Any) -> list[str]:
    return [unquote(name) for name in headers[HEADER].split(",")] if HEADER in headers else []


def over_http(answer: httpx.Response, read: Callable[[Any], float]) -> Told:
    document = answer.json()
    return answer.is_success, reported(answer.headers), read(document) if answer.is_success else json.dumps(document)


def over_grpc(method: Any, message: Any, read: Callable[[Any], float], metadata: Any = ()) -> Told:
    try:
        answer, call = method.with_call(message, timeout=60, metadata=metadata)
    except grpc.RpcError as refused:
        return False, reported(dict(refused.trailing_metadata())), refused.details()
    return True, reported(dict(call.trailing_metadata())), read(answer)


def basic_body(row: dict[str, float]) -> dict[str, Any]:
    datum = [{"tensors": [{"Float64": {"data": list(row.values())}}]}]
    return {"schema": [{"type": "Float64", "fields": list(row)}], "datum": datum}


def basic(server: RunningServer, contract: str, row: dict[str, float]) -> Told:
    return over_http(
        server.score(contract, basic_body(row)),
        lambda a: a["Prediction"]["datum"][0]["tensors"][0]["Float64"]["data"][0],
    )


def protobuf(server: RunningServer, contract: str, row: dict[str, float]) -> Told:
    organization, project, number = contract.split("/")
    address = Contract(organization=organization, project=project, contract_number=int(number))
    request = ScoreRequest(contract=address, request=json_format.ParseDict(basic_body(row), InferenceRequest()))
    with grpc.insecure_channel(server.grpc) as channel:
        return over_grpc(ForestFlowStub(channel).Score, request, lambda a: a.datum[0].tensors[0].Float64.data[0])


def tf_serving(server: RunningServer, contract: str, row: dict[str, float]) -> Told:
    path = f"/v1/models/{contract.replace('/', '.')}:predict"
    return over_http(server.http.post(path, json={"instances": [row]}), lambda a: a["predictions"][0])


def tf_serving_columns(server: RunningServer, contract: str, row: dict[str, float]) -> Told:
    path = f"/v1/models/{contract.replace('/', '.')}:predict"
    body = {"inputs": {name: [value] for name, value in row.items()}}
    return over_http(server.http.post(path, json=body), lambda a: a["outputs"][0])


def tf_serving_grpc(server: RunningServer, contract: str, row: dict[str, float]) -> Told:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = contract.replace("/", ".")
    for name, value in row.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto([value], tf.float64))
    with grpc.insecure_channel(server.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return over_grpc(stub.Predict, request, lambda a: tf.make_ndarray(a.outputs["Regression"])[0])


def hopsworks(server: RunningServer, contract: str, row: dict[str, float]) -> Told:
    path = f"/hopsworks-api/api/project/1/inference/models/{contract.replace('/', '.')}:predict"
    return over_http(server.http.post(path, json={"instances": [row]}), lambda a: a["predictions"][0])


def open_inference(server: RunningServer, contract: str, row: dict[str, float]) -> Told:
    inputs = [{"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in row.items()]
    path = f"/v2/models/{contract.replace('/', '.')}/infer"
    return over_http(server.http.post(path, json={"inputs": inputs}), lambda a: a["outputs"][0]["data"][0])


def open_inference_grpc(server: RunningServer, contract: str, row: dict[str, float]) -> Told:
    request = triton_grpc.service_pb2.ModelInferRequest(model_name=contract.replace("/", "."))
    for name, value in row.items():
        given = request.inputs.add(name=name, datatype="FP64", shape=[1])
        given.contents.fp64_contents.append(value)
    with grpc.insecure_channel(server.grpc) as channel:
        method = triton_stubs.GRPCInferenceServiceStub(channel).ModelInfer
        return over_grpc(method, request, lambda a: np.frombuffer(a.raw_output_contents[0])[0])


def graphpipe_message(row: dict[str, float]) -> bytes:
    tensors = [np.array([[value]]) for value in row.values()]
    return bytes(convert.serialize_infer_request(convert.InferReq("", tensors, list(row))))


def graphpipe_told(headers: Any, body: bytes) -> Told:
    outputs, errors = convert.deserialize_infer_response(body)
    return not errors, reported(headers), errors[0]["message"].decode() if errors else outputs[1][0, 0]


def graphpipe(server: RunningServer, contract: str, row: dict[str, float]) -> Told:
    answer = server.http.post(f"/{contract}/gp", content=graphpipe_message(row))
    return graphpipe_told(answer.headers, answer.content)


def graphpipe_grpc(server: RunningServer, contract: str, row: dict[str, float]) -> Told:
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary("/graphpipe.GraphPipe/Infer")
        answer, call = infer.with_call(
            graphpipe_message(row), metadata=[("x-forestflow-contract", contract)], timeout=60
        )
        return graphpipe_told(dict(call.trailing_metadata()), answer)


def tf_infer(server: RunningServer, contract: str, row: dict[str, float]) -> Told:
    """Its inputs are those of the metadata, so a row is one of them."""
    example: dict[str, Any] = {"numeric": ROW} if row.keys() >= RIGHT.keys() else {}
    example |= {name: value for name, value in row.items() if name not in FIELDS}
    return over_http(
        server.http.post(f"/{contract}/infer/serving_default", json=[example]), lambda a: a[0]["Regression"]
    )


PROTOCOLS = [
    basic, protobuf, tf_serving, tf_serving_columns, tf_serving_grpc, hopsworks, open_inference, open_inference_grpc,
    graphpipe, graphpipe_grpc, tf_infer,
]  # fmt: skip
SETTINGS = {"unset": {}, "ignore": {"unknownFields": "ignore"}, "refuse": {"unknownFields": "REFUSE"}}


@pytest.fixture(scope="module")
def contracts(server: RunningServer) -> Iterator[dict[str, str]]:
    """The same model under each setting."""
    found = {name: f"fields/{name}/0" for name in SETTINGS}
    for name, contract in found.items():
        server.deploy(contract, "v1", **SETTINGS[name]).raise_for_status()
    yield found
    for contract in found.values():
        server.http.delete(f"/{contract}/v1").raise_for_status()


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.__name__)
def test_one_rule_over_every_protocol(protocol: Any, server: RunningServer, contracts: dict[str, str]) -> None:
    unknown = ["Wind speed", "größe"]
    for contract in contracts.values():
        assert protocol(server, contract, RIGHT) == (True, [], pytest.approx(EXPECTED, rel=1e-9))
    good, names, value = protocol(server, contracts["unset"], MORE)
    assert (good, sorted(names), value) == (True, unknown, pytest.approx(EXPECTED, rel=1e-9))
    assert protocol(server, contracts["ignore"], MORE) == (True, [], pytest.approx(EXPECTED, rel=1e-9))
    good, names, message = protocol(server, contracts["refuse"], MORE)
    assert (good, sorted(names)) == (False, unknown)
    assert "there is no input" in message
    for name, contract in contracts.items():
        good, names, message = protocol(server, contract, WRONG)
        if protocol is tf_infer:  # it asks for each input first
            assert (good, names) == (False, [])
            assert "Request missing required key numeric" in message
            continue
        assert (good, names) == (False, [] if name == "ignore" else ["Temp"]), "scored without a single field"
        assert "there is no input 'Temp'" in message.replace("\\u0027", "'").replace("u0027", "'")


def test_the_general_way_of_http_and_split_records_report_them_too(server: RunningServer) -> None:
    contract = "fields/records/0"
    settings = {"expirationPolicy": {"KeepAll": {}}, "router": {"FairPhaseInPctBasedRouter": {}}, "routing": "RECORD"}
    server.http.post(f"/contract/{contract}", json=settings).raise_for_status()
    for release in ("v1", "v2"):
        server.deploy(contract, release).raise_for_status()
    body = basic_body(MORE)
    body["datum"] *= 4
    try:
        for headers in ({}, {"X-Unusual": "head"}):
            answer = server.score(contract, body, **headers)
            assert (answer.status_code, sorted(reported(answer.headers))) == (200, ["Wind speed", "größe"])
            assert len(answer.json()["Prediction"]["recordFqrvs"]) == 4
    finally:
        for release in ("v1", "v2"):
            server.http.delete(f"/{contract}/{release}").raise_for_status()


def test_the_log_has_each_set_of_names_once(server: RunningServer, contracts: dict[str, str]) -> None:
    row = {**RIGHT, "only for the log": 1.0}
    for _ in range(3):
        assert basic(server, contracts["unset"], row)[1] == ["only for the log"]
    lines = [
        json.loads(line)
        for line in (server.data_dir / "logs" / "forestflow.jsonl").read_text().splitlines()
        if "only%20for%20the%20log" in line
    ]
    assert [(line["level"], line["release"]) for line in lines] == [("WARNING", "fields.unset.0.v1")]


def test_clients_are_told(server: RunningServer, contracts: dict[str, str]) -> None:
    with Client(server.url) as client:
        assert client.score(contracts["unset"], [MORE]).unknown_fields == ("Wind speed", "größe")
        assert client.score(contracts["unset"], [RIGHT]).unknown_fields == ()
        assert client.settings_of(contracts["refuse"], "v1")["unknownFields"] == "REFUSE"
        assert "unknownFields" not in client.settings_of(contracts["unset"], "v1")
