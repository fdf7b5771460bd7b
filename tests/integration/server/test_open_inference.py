"""The Open Inference Protocol by its public client, over HTTP and gRPC, unmodified, against the real server."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.serving import golden

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tritonclient.grpc as triton_grpc
    import tritonclient.http as triton_http
    from tritonclient.utils import InferenceServerException

CONTRACT = "open/inference/3"
MODEL = "open.inference.3"
NUMERIC, PREDICTION = "numeric", "Regression"


@pytest.fixture(scope="module")
def model(server):
    """Two releases of the example under one contract, the first answering, the second valid never."""
    server.deploy(CONTRACT, "1").raise_for_status()
    never = {"validityPolicy": [{"NeverValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
    server.deploy(CONTRACT, "2", "energy_gbm_v2.zip", policySettings=never).raise_for_status()
    yield MODEL
    for release in "12":
        server.http.delete(f"/{CONTRACT}/{release}").raise_for_status()


@pytest.fixture(params=["http", "grpc"])
def client(request, server):
    module = {"http": triton_http, "grpc": triton_grpc}[request.param]
    address = {"http": server.url.removeprefix("http://"), "grpc": server.grpc}[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with module.InferenceServerClient(address) as client:
            client.module = module
            yield client


def tensor(client, rows, dtype="FP64"):
    array = np.array(rows, dtype={"FP64": np.float64, "FP32": np.float32, "INT8": np.int8}[dtype])
    given = client.module.InferInput(NUMERIC, list(array.shape), dtype)
    given.set_data_from_numpy(array)
    return given


def document(told):
    """Metadata of either client as plain values."""
    if isinstance(told, dict):
        return told
    from google.protobuf import json_format

    return json_format.MessageToDict(told, preserving_proto_field_name=True)


def test_server_and_model_tell_of_themselves(client, model):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(model)
    assert client.is_model_ready(model, "1")
    assert document(client.get_server_metadata())["extensions"] == ["binary_tensor_data"]
    told = document(client.get_model_metadata(model))
    assert (told["name"], told["versions"]) == (model, ["1", "2"])
    (taken,) = told["inputs"]
    assert (taken["name"], taken["datatype"], [int(n) for n in taken["shape"]]) == (NUMERIC, "FP64", [-1, 4])
    (given,) = told["outputs"]
    assert (given["name"], given["datatype"], [int(n) for n in given["shape"]]) == (PREDICTION, "FP64", [-1])


def test_answers_are_h2os(client, model):
    rows, expected = golden()
    result = client.infer(model, [tensor(client, rows)], request_id="7")
    assert result.as_numpy(PREDICTION).tolist() == pytest.approx(expected, rel=1e-12)
    told = document(result.get_response())
    assert (told["model_name"], told["model_version"], told["id"]) == (model, "1", "7")
    asked = [client.module.InferRequestedOutput(PREDICTION)]
    again = client.infer(model, [tensor(client, rows)], outputs=asked)
    assert again.as_numpy(PREDICTION).tobytes() == result.as_numpy(PREDICTION).tobytes()


def test_a_version_is_a_release(client, model):
    rows, expected = golden("energy_gbm_v2")
    result = client.infer(model, [tensor(client, rows)], model_version="2")
    assert result.as_numpy(PREDICTION).tolist() == pytest.approx(expected, rel=1e-12)


def test_json_and_binary_say_the_same(server, model):
    rows, _ = golden()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with triton_http.InferenceServerClient(server.url.removeprefix("http://")) as client:
            given = triton_http.InferInput(NUMERIC, [len(rows), 4], "FP64")
            given.set_data_from_numpy(np.array(rows), binary_data=False)
            asked = [triton_http.InferRequestedOutput(PREDICTION, binary_data=False)]
            client.module = triton_http
            as_json = client.infer(model, [given], outputs=asked).as_numpy(PREDICTION)
            as_binary = client.infer(model, [tensor(client, rows)]).as_numpy(PREDICTION)
    assert as_json.tobytes() == as_binary.tobytes()


@pytest.mark.parametrize(
    ("name", "version", "rows", "message"),
    [
        ("open.inference.4", "", [[1, 2, 3, 4]], "there is no model 'open.inference.4'"),
        (MODEL, "9", [[1, 2, 3, 4]], "has no version '9'"),
        (MODEL, "", [[1, 2, 3]], "4"),
    ],
)
def test_faults_are_told(client, model, name, version, rows, message):
    with pytest.raises(InferenceServerException) as caught:
        client.infer(name, [tensor(client, rows)], model_version=version)
    assert message in caught.value.message()
    assert caught.value.status() in ("404", "422", "StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT")


def test_paths_and_methods_that_are_not(server, model):
    http = server.http
    for method, path, status in [
        ("GET", "/v2/nothing", 404), ("GET", f"/v2/models/{model}/infer", 405), ("POST", "/v2", 405),
        ("GET", "/v2/models/none", 404), ("POST", f"/v2/models/{model}/infer", 400),
    ]:  # fmt: skip
        answer = http.request(method, path)
        assert answer.status_code == status, (method, path, answer.text)
        assert list(answer.json()) == ["error"]
    assert http.get("/v2/health/live").status_code == 200
    answer = http.post(f"/v2/models/{model}/infer", content=b"{}", headers={"content-encoding": "gzip"})
    assert answer.status_code == 415
