"""Datetimes, lists, objects and params of MLmodel signatures, through the real server and its protocols."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from forestflow._gen import open_inference_pb2 as oip
from forestflow._gen import tensorflow_serving_pb2 as tfs
from tests.mlmodels import mlmodel, pyfunc
from tests.serving import RunningServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tritonclient.grpc as triton_grpc
    import tritonclient.http as triton_http

CONTRACT, MODEL = "tests/signatures/0", "tests.signatures.0"
SETTINGS = {"policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}}
SIGNATURE = {
    "inputs": json.dumps(
        [
            {"type": "datetime", "name": "when", "required": True},
            {"type": "array", "items": {"type": "double"}, "name": "each", "required": True},
            {
                "type": "object",
                "properties": {"k": {"type": "string", "required": True}, "n": {"type": "long", "required": False}},
                "name": "what",
                "optional": True,
            },
        ]
    ),
    "params": json.dumps(
        [
            {"name": "temp", "default": 0.5, "shape": None, "type": "double"},
            {"name": "stop", "default": [], "shape": [-1], "type": "string"},
            {"name": "flag", "default": False, "shape": None, "type": "boolean"},
        ]
    ),
}
LOADER = """
class Told:
    def predict(self, frame, params):
        names = list(frame.columns)
        days = [None if day != day else int(day) for day in frame["when"].dt.day]
        rows = [
            {"day": day, "params": params, **{name: row[name] for name in names if name != "when"}}
            for day, row in zip(days, frame.to_dict("records"))
        ]
        return {"told": [repr(row) for row in rows]}

def _load_pyfunc(path):
    return Told()
"""
DEFAULTS = {"temp": 0.5, "stop": [], "flag": False}
GIVEN = {"temp": 2.0, "stop": ["a", "b"], "flag": True}
ROWS = [
    {"when": "2020-02-03T04:05:06", "each": [1.5, 2], "what": {"k": "ä", "n": 7}},
    {"when": None, "each": [], "what": {"k": ""}},
]
TOLD = [{"day": 3, "each": [1.5, 2.0], "what": {"k": "ä", "n": 7}}, {"day": None, "each": [], "what": {"k": ""}}]


@pytest.fixture(scope="module", autouse=True)
def model(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("told")
    (folder / "code").mkdir()
    (folder / "code" / "told_loader.py").write_text(LOADER)
    mlmodel(folder, {"python_function": pyfunc("told_loader", code="code")}, signature=SIGNATURE)
    body = {"path": folder.as_uri(), "servableSettings": SETTINGS}
    answer = server.http.post(f"/servable/{CONTRACT}/v1", json=body)
    assert answer.status_code == 200, answer.text
    yield
    server.http.delete(f"/{CONTRACT}/v1").raise_for_status()


def told(params: dict[str, Any] = DEFAULTS) -> list[dict[str, Any]]:
    return [{**row, "params": params} for row in TOLD]


def read(texts: Any) -> list[dict[str, Any]]:
    return [ast.literal_eval(text.decode() if isinstance(text, bytes) else text) for text in texts]


def predict(server: RunningServer, **body: Any) -> httpx.Response:
    return server.http.post(f"/v1/models/{MODEL}:predict", content=json.dumps(body))


def text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def basic(**configs: str) -> dict[str, Any]:
    names = list(ROWS[0])
    return {
        "schema": [{"type": "String", "fields": names}],
        "datum": [{"tensors": [{"String": {"data": [text(row[name]) for name in names]}}]} for row in ROWS],
        "configs": configs,
    }


def test_the_metadata_says_what_the_texts_are(server: RunningServer) -> None:
    listed = server.http.get(f"/{CONTRACT}/v1/metadata").json()["BasicMetaData"]["inputs"]
    assert [(entry["name"], entry["type"], entry["description"]) for entry in listed] == [
        ("when", "String", "datetime"),
        ("each", "String", "JSON: array of double"),
        ("what", "String", "JSON: object (k: string, n: long, optional), optional"),
    ]


@pytest.mark.parametrize(("params", "came"), [({}, DEFAULTS), (GIVEN, GIVEN), ({"temp": 1}, {**DEFAULTS, "temp": 1.0})])
@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_tensorflow_servings_json(server: RunningServer, form: str, params: Any, came: Any) -> None:
    values: Any = ROWS if form == "instances" else {name: [row[name] for row in ROWS] for name in ROWS[0]}
    answer = predict(server, **{form: values, "params": params})
    assert answer.status_code == 200, answer.text
    assert read(answer.json()["predictions" if form == "instances" else "outputs"]) == told(came)
    versioned = server.http.post(f"/v1/models/{MODEL}/versions/v1:predict", json={form: values, "params": params})
    assert versioned.json() == answer.json()


def test_basic_has_json_texts_and_configs(server: RunningServer) -> None:
    for configs, came in (
        ({}, DEFAULTS),
        ({"temp": "2", "stop": '["a", "b"]', "flag": "true"}, GIVEN),
        ({"forestflow.params": json.dumps(GIVEN)}, GIVEN),
    ):
        answer = server.score(CONTRACT, basic(**configs))
        assert answer.status_code == 200, answer.text
        datums = answer.json()["Prediction"]["datum"]
        assert read(datum["tensors"][0]["String"]["data"][0] for datum in datums) == told(came)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize(("params", "came"), [({}, DEFAULTS), ({"temp": 2, "flag": True, "stop": '["a", "b"]'}, GIVEN)])
def test_open_inference_has_json_texts_and_parameters(
    server: RunningServer, protocol: str, params: Any, came: Any
) -> None:
    module: Any = {"http": triton_http, "grpc": triton_grpc}[protocol]
    address = {"http": server.url.removeprefix("http://"), "grpc": server.grpc}[protocol]
    inputs = []
    for name in ROWS[0]:
        given = module.InferInput(name, [len(ROWS)], "BYTES")
        given.set_data_from_numpy(np.array([text(row[name]).encode() for row in ROWS], object))
        inputs.append(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with module.InferenceServerClient(address) as client:
            answer = client.infer(MODEL, inputs, parameters=params)
    assert read(answer.as_numpy("told")) == told(came)


def test_open_inferences_json_takes_a_tensor_for_lists(server: RunningServer) -> None:
    body = {
        "inputs": [
            {"name": "when", "datatype": "BYTES", "shape": [1], "data": ["2020-02-03"]},
            {"name": "each", "datatype": "FP64", "shape": [1, 2], "data": [1.5, 2]},
        ],
        "parameters": {"stop": ["a", "b"], "flag": True, "temp": 2},
    }
    answer = server.http.post(f"/v2/models/{MODEL}/infer", json=body)
    assert answer.status_code == 200, answer.text
    assert read(answer.json()["outputs"][0]["data"]) == [{"day": 3, "each": [1.5, 2.0], "params": GIVEN}]


def test_tensorflow_servings_grpc_has_json_texts_and_no_place_for_params(server: RunningServer) -> None:
    request = tfs.PredictRequest()
    request.model_spec.name = MODEL
    for name in ROWS[0]:
        tensor = request.inputs[name]
        tensor.dtype = tfs.DT_STRING
        tensor.tensor_shape.dim.add(size=len(ROWS))
        tensor.string_val.extend(text(row[name]).encode() for row in ROWS)
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        answer = tfs.PredictResponse.FromString(call(request.SerializeToString(), timeout=20))
    assert read(answer.outputs["told"].string_val) == told()


@pytest.mark.parametrize(
    ("row", "params", "message"),
    [
        ({"when": "nope"}, {}, "input 'when': 'nope' is no datetime"),
        ({"when": "2020-01-01T00:00:00Z"}, {}, "has a zone; the model takes datetimes without"),
        ({"when": 5}, {}, "input 'when': '5' is no datetime"),
        ({"each": ["x"]}, {}, "input 'each', row 1: expected double, got a text at [0]"),
        ({"what": {"n": 1}}, {}, "input 'what', row 1: 'k' is missing"),
        ({}, {"zzz": 1}, "the model has no param 'zzz'; it has 'temp' (double)"),
        ({}, {"temp": "warm"}, "param 'temp' (double): expected double, got a text"),
        ({}, 5, "the params of the request must be an object"),
    ],
)
def test_what_is_wrong_is_the_clients_fault(server: RunningServer, row: Any, params: Any, message: str) -> None:
    wrong = predict(server, instances=[ROWS[0], {**ROWS[0], **row}], params=params)
    assert wrong.status_code == 400, wrong.text  # as TensorFlow Serving has it
    assert message in wrong.json()["error"]


def test_the_statuses_of_other_protocols(server: RunningServer) -> None:
    wrong = basic(zzz="1")
    assert server.score(CONTRACT, wrong).status_code == 422
    wrong = basic()
    wrong["datum"][0]["tensors"][0]["String"]["data"][0] = "nope"
    answer = server.score(CONTRACT, wrong)
    assert (answer.status_code, "is no datetime" in answer.text) == (422, True)
    tensor = {"name": "when", "datatype": "BYTES", "shape": [1], "data": ["nope"]}
    each = {"name": "each", "datatype": "BYTES", "shape": [1], "data": ["[]"]}
    answer = server.http.post(f"/v2/models/{MODEL}/infer", json={"inputs": [tensor, each]})
    assert (answer.status_code, "is no datetime" in answer.text) == (422, True)
    request = oip.ModelInferRequest(model_name=MODEL)
    request.parameters["temp"].string_param = "warm"
    for name in ("when", "each"):
        given = request.inputs.add(name=name, datatype="BYTES", shape=[1])
        given.contents.bytes_contents.append(b"[]" if name == "each" else b"")
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            call(request.SerializeToString(), timeout=20)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "param 'temp' (double): 'warm' is not JSON" in caught.value.details()


def test_requests_at_once_get_their_own_params(server: RunningServer) -> None:
    def asked(i: int) -> bool:
        answer = predict(server, instances=[ROWS[0]], params={"temp": i})
        return [row["params"]["temp"] for row in read(answer.json()["predictions"])] == [float(i)]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(asked, range(200)))
