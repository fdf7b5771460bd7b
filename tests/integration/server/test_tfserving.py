"""TensorFlow Serving's APIs by plain HTTP and by its public gRPC stubs, unmodified, against a real SavedModel."""

from __future__ import annotations

import base64
import json
import warnings

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf import json_format

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow as tf
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
    )

from tests.serving import FIELDS, golden

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")]

CONTRACT = "tf/digits/2"
MODEL = "tf.digits.2"
POLICIES = {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
LABELS = ["setosa", "virginica"]
FEATURES = {"a": tf.io.FixedLenFeature([], tf.float32), "b": tf.io.FixedLenFeature([2], tf.int64, [0, 0])}


class Digits(tf.Module):
    """Named after what its signatures do."""

    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(tf.random.stateless_normal([784, 10], [1, 2]))

    @tf.function(input_signature=[tf.TensorSpec([None, 784], tf.float32, "pixels")])
    def predict(self, pixels):
        return {"scores": tf.nn.softmax(pixels @ self.weights)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([None, 2], tf.int32, "y")])
    def both(self, x, y):
        return {"quotient": x / tf.cast(y[:, 0], tf.float32), "swapped": tf.reverse(y, [1])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
    def texts(self, words):
        return {"upper": tf.strings.upper(words), "raw_bytes": words}

    @tf.function(input_signature=[tf.TensorSpec([3], tf.float64, "vector"), tf.TensorSpec([], tf.float64, "by")])
    def scaled(self, vector, by):
        return {"product": vector * by}


def save_digits(path) -> Digits:
    digits = Digits()
    signatures = {
        "serving_default": digits.predict,
        "both": digits.both,
        "texts": digits.texts,
        "scaled": digits.scaled,
    }
    tf.saved_model.save(digits, str(path), signatures=signatures)
    return digits


def save_examples_model(path) -> None:
    """value = 2·a + sum(b), as classify and regress over tf.Example, as TensorFlow 1 wrote such models."""
    v1 = tf.compat.v1
    builder = v1.saved_model.Builder(str(path))
    with v1.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None], name="examples")
        features = v1.parse_example(serialized, FEATURES)
        value = features["a"] * 2 + tf.cast(tf.reduce_sum(features["b"], axis=1), tf.float32)
        scores = tf.stack([value, -value], axis=1)
        classes = tf.tile(tf.constant([LABELS]), [tf.shape(value)[0], 1])
        info = v1.saved_model.utils.build_tensor_info
        signature = v1.saved_model.build_signature_def
        classify = signature({"inputs": info(serialized)}, {"classes": info(classes), "scores": info(scores)},
                             "tensorflow/serving/classify")  # fmt: skip
        regress = signature({"inputs": info(serialized)}, {"outputs": info(value)}, "tensorflow/serving/regress")
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": classify, "regression": regress}, strip_default_attrs=True
        )
    builder.save()


def deploy(server, contract, release, path, **flavor):
    payload = {"path": path.as_uri(), "flavor": flavor, "servableSettings": {"policySettings": POLICIES}}
    server.http.post(f"/servable/{contract}/{release}", json=payload).raise_for_status()


@pytest.fixture(scope="module")
def digits(server, tmp_path_factory):
    """The model itself, beside which the server has it as version 7."""
    folder = tmp_path_factory.mktemp("digits")
    model = save_digits(folder / "saved")
    deploy(server, CONTRACT, "7", folder, TensorFlow={"modelPath": "saved"})
    yield model
    server.http.delete(f"/{CONTRACT}/7").raise_for_status()


@pytest.fixture(scope="module")
def examples_model(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    save_examples_model(folder / "saved")
    deploy(server, "tf/examples/0", "1", folder, TensorFlow={"modelPath": "saved"})
    yield "tf.examples.0"
    server.http.delete("/tf/examples/0/1").raise_for_status()


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def ask(server, path, document, **headers):
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return server.http.post(path, content=content, headers=headers)


def predict(server, document, model=MODEL, verb="predict"):
    answer = ask(server, f"/v1/models/{model}:{verb}", document)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def pixels(rows):
    return np.random.default_rng(5).random((rows, 784)).astype(np.float32)


# --- REST: predict ---------------------------------------------------------------------------------------------------


def test_row_form(server, digits):
    rows = pixels(3)
    expected = digits.predict(rows)["scores"].numpy()
    answered = predict(server, {"instances": rows.tolist()})
    assert np.array_equal(np.array(answered["predictions"], np.float32), expected)
    named = predict(server, {"instances": [{"pixels": row} for row in rows.tolist()]})
    assert named == answered


def test_column_form(server, digits):
    rows = pixels(2)
    expected = digits.predict(rows)["scores"].numpy()
    for inputs in (rows.tolist(), {"pixels": rows.tolist()}):
        answered = predict(server, {"inputs": inputs, "signature_name": "serving_default"})
        assert np.array_equal(np.array(answered["outputs"], np.float32), expected)


def test_several_outputs_are_named(server, digits):
    by_row = predict(
        server,
        {"signature_name": "both", "instances": [{"x": 1.5, "y": [3, 4]}, {"x": 1, "y": [0, 6]}]},
    )
    assert by_row == {
        "predictions": [{"quotient": 0.5, "swapped": [4, 3]}, {"quotient": float("inf"), "swapped": [6, 0]}]
    }
    by_column = predict(server, {"signature_name": "both", "inputs": {"x": [1.5], "y": [[3, 4]]}})
    assert by_column == {"outputs": {"quotient": [0.5], "swapped": [[4, 3]]}}


def test_numbers_that_json_does_not_have(server, digits):
    body = b'{"signature_name":"both","inputs":{"x":[NaN,-Infinity,1],"y":[[1,1],[1,1],[0,0]]}}'
    answer = ask(server, f"/v1/models/{MODEL}:predict", body)
    assert b'"quotient":[NaN,-Infinity,Infinity]' in answer.content


def test_texts_and_bytes(server, digits):
    raw = base64.b64encode(b"\xff\x00").decode()
    answered = predict(server, {"signature_name": "texts", "instances": [{"b64": raw}, {"b64": raw}]})
    assert [row["raw_bytes"] for row in answered["predictions"]] == [{"b64": "/wA="}] * 2
    answered = predict(server, {"signature_name": "texts", "inputs": ["grün"]})
    assert answered["outputs"] == {
        "upper": ["GRüN"],
        "raw_bytes": [{"b64": base64.b64encode("grün".encode()).decode()}],
    }


def test_a_signature_without_rows(server, digits):
    answered = predict(server, {"signature_name": "scaled", "inputs": {"vector": [1, 2, 3], "by": 0.5}})
    assert answered == {"outputs": [0.5, 1.0, 1.5]}


@pytest.mark.parametrize("path", ["versions/7", "labels/stable", "labels/canary", "labels/latest"])
def test_versions_and_labels(server, digits, path):
    rows = pixels(1)
    answer = ask(server, f"/v1/models/{MODEL}/{path}:predict", {"instances": rows.tolist()})
    assert np.array_equal(np.array(answer.json()["predictions"], np.float32), digits.predict(rows)["scores"].numpy())


def test_content_type_does_not_matter_and_who_answered_is_told(server, digits):
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Request-Id": "mine"}
    answer = ask(server, f"/v1/models/{MODEL}:predict", {"instances": pixels(1).tolist()}, **headers)
    assert answer.status_code == 200
    assert answer.headers["x-forestflow-fqrv"] == "tf/digits/2/7"
    assert answer.headers["x-request-id"] == "mine"


# --- REST: what a model tells ----------------------------------------------------------------------------------------


def test_status(server, digits):
    version = {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("", "/versions/7", "/labels/stable"):
        assert server.http.get(f"/v1/models/{MODEL}{path}").json() == {"model_version_status": [version]}


def test_metadata(server, digits):
    told = server.http.get(f"/v1/models/{MODEL}/metadata").json()
    assert told["model_spec"] == {"name": MODEL, "signature_name": "", "version": "7"}
    signatures = told["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"serving_default", "both", "texts", "scaled"}
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"
    dims = [{"size": "-1", "name": ""}, {"size": "784", "name": ""}]
    assert signatures["serving_default"]["inputs"]["pixels"] == {
        "name": "pixels",
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": dims, "unknown_rank": False},
    }
    assert signatures["scaled"]["outputs"]["product"]["tensor_shape"]["dim"] == [{"size": "3", "name": ""}]


# --- REST: refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("nobody.there.0:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(nobody.there.0)"),
        (
            f"{MODEL}/versions/9:predict",
            {"instances": [1]},
            404,
            f"Servable not found for request: Specific({MODEL}, 9)",
        ),
        (f"{MODEL}/labels/gold:predict", {"instances": [1]}, 400, "Unrecognized servable version label: gold"),
        (f"{MODEL}:predict", b"{", 400, "JSON Parse error: "),
        (f"{MODEL}:predict", b"[]", 400, "JSON Value: "),
        (f"{MODEL}:predict", {}, 400, "Missing 'inputs' or 'instances' key"),
        (f"{MODEL}:predict", {"inputs": [], "instances": []}, 400, "Not formatted correctly expecting only one of"),
        (f"{MODEL}:predict", {"instances": []}, 400, "No values in 'instances' array"),
        (f"{MODEL}:predict", {"instances": [[1, 2]]}, 400, "input 'pixels' takes Float32 of shape [-1, 784]"),
        (f"{MODEL}:predict", {"instances": [[1, 2], [3]]}, 400, "lists of 1 and of 2 entries"),
        (f"{MODEL}:predict", {"instances": [{"pixel": [1]}]}, 400, "there is no input 'pixel'"),
        (f"{MODEL}:predict", {"instances": ["text"]}, 400, "input 'pixels' takes Float32"),
        (f"{MODEL}:predict", {"instances": [1], "signature_name": "none"}, 400, "no signature 'none'"),
        (f"{MODEL}:classify", {"examples": [{}]}, 400, "Expected classification signature method_name"),
        (f"{MODEL}:explain", {}, 400, "Malformed request: POST /v1/models/"),
    ],
)
def test_refusals(server, digits, path, body, status, message):
    answer = ask(server, f"/v1/models/{path}", body)
    assert answer.status_code == status
    assert answer.json().keys() == {"error"}
    assert message in answer.json()["error"]


def test_nobodys_status(server, digits):
    for path, message in (
        ("nobody", "Could not find any versions of model nobody"),
        (f"{MODEL}/versions/9", f"Could not find version 9 of model {MODEL}"),
        ("nobody/metadata", "Servable not found for request: Latest(nobody)"),
    ):
        answer = server.http.get(f"/v1/models/{path}")
        assert (answer.status_code, answer.json()) == (404, {"error": message})


def test_a_page_of_another_site_is_refused(server, digits):
    answer = ask(server, f"/v1/models/{MODEL}:predict", {}, Origin="http://evil.example")
    assert answer.status_code == 403
    assert answer.json().keys() == {"error"}


# --- classify and regress --------------------------------------------------------------------------------------------

EXAMPLES = [{"a": 1.5, "b": [1, 2]}, {"a": -1.0, "b": [0, 3]}]
VALUES = [6.0, 1.0]


def example(a, b=None):
    features = {"a": tf.train.Feature(float_list=tf.train.FloatList(value=[a]))}
    if b:
        features["b"] = tf.train.Feature(int64_list=tf.train.Int64List(value=b))
    return tf.train.Example(features=tf.train.Features(feature=features))


def test_classify_and_regress(server, examples_model):
    classified = predict(server, {"examples": EXAMPLES}, examples_model, "classify")
    assert classified == {"results": [[["setosa", v], ["virginica", -v]] for v in VALUES]}
    regressed = predict(server, {"examples": EXAMPLES}, examples_model, "regress")
    assert regressed == {"results": VALUES}
    # b is missing in one of them, and comes from the context
    shared = {"context": {"b": [1, 1]}, "examples": [{"a": 1.0}, {"a": 1.0, "b": [5, 5]}]}
    assert predict(server, shared, examples_model, "regress") == {"results": [4.0, 12.0]}
    missing = {"signature_name": "regression", "examples": [{"a": 1.0}, {"a": 1.0, "b": [5, 5]}]}
    assert predict(server, missing, examples_model, "regress") == {"results": [2.0, 12.0]}


def test_classify_and_regress_over_grpc(stub, examples_model):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = examples_model
    request.input.example_list.examples.extend([example(1.5, [1, 2]), example(-1, [0, 3])])
    answer = stub.Classify(request, timeout=60)
    assert [[(c.label, c.score) for c in given.classes] for given in answer.result.classifications] == [
        [("setosa", v), ("virginica", -v)] for v in VALUES
    ]
    assert (answer.model_spec.name, answer.model_spec.version.value) == (examples_model, 1)
    request = regression_pb2.RegressionRequest()
    request.model_spec.name = examples_model
    request.input.example_list_with_context.context.CopyFrom(example(0, [1, 1]))
    request.input.example_list_with_context.examples.extend([example(1), example(1, [5, 5])])
    answer = stub.Regress(request, timeout=60)
    assert [given.value for given in answer.result.regressions] == [4.0, 12.0]


# --- gRPC: predict and what a model tells ----------------------------------------------------------------------------


def predict_request(signature="", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    request.model_spec.signature_name = signature
    for name, tensor in inputs.items():
        request.inputs[name].CopyFrom(tensor)
    return request


def test_predict_with_either_kind_of_tensor(stub, digits):
    rows = pixels(4)
    packed = tf.make_tensor_proto(rows)
    assert packed.tensor_content
    listed = tf.make_tensor_proto(rows)
    listed.ClearField("tensor_content")
    listed.float_val.extend(rows.reshape(-1).tolist())
    expected = digits.predict(rows)["scores"].numpy()
    for tensor in (packed, listed):
        answer = stub.Predict(predict_request(pixels=tensor), timeout=60)
        scores = answer.outputs["scores"]
        assert scores.dtype == tf.float32.as_datatype_enum
        assert np.array_equal(tf.make_ndarray(scores), expected)
        assert list(scores.float_val) == expected.reshape(-1).tolist()  # where many clients look
    assert answer.model_spec.version.value == 7


def test_other_signatures_and_chosen_outputs(stub, digits):
    request = predict_request("both", x=tf.make_tensor_proto([1.5]), y=tf.make_tensor_proto([[3, 4]]))
    request.output_filter.append("swapped")
    answer = stub.Predict(request, timeout=60)
    assert set(answer.outputs) == {"swapped"}
    assert tf.make_ndarray(answer.outputs["swapped"]).tolist() == [[4, 3]]
    assert answer.model_spec.signature_name == "both"
    answer = stub.Predict(predict_request("texts", words=tf.make_tensor_proto([b"a", b"\xff"])), timeout=60)
    assert tf.make_ndarray(answer.outputs["raw_bytes"]).tolist() == [b"a", b"\xff"]
    request = predict_request("scaled", vector=tf.make_tensor_proto([1.0, 2.0, 3.0], tf.float64),
                              by=tf.make_tensor_proto(0.5, tf.float64))  # fmt: skip
    assert tf.make_ndarray(stub.Predict(request, timeout=60).outputs["product"]).tolist() == [0.5, 1.0, 1.5]


def test_a_version_and_a_label_over_grpc(stub, digits):
    request = predict_request(pixels=tf.make_tensor_proto(pixels(1)))
    request.model_spec.version.value = 7
    assert stub.Predict(request, timeout=60).model_spec.version.value == 7
    request.model_spec.version_label = "stable"
    assert stub.Predict(request, timeout=60).model_spec.version.value == 7


def test_refusals_over_grpc(stub, digits):
    def code(request, seconds=60.0):
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(request, timeout=seconds)
        return caught.value.code(), caught.value.details()

    fine = predict_request(pixels=tf.make_tensor_proto(pixels(1)))
    unknown = predict_pb2.PredictRequest()
    unknown.CopyFrom(fine)
    unknown.model_spec.name = "nobody"
    assert code(unknown) == (grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(nobody)")
    version = predict_pb2.PredictRequest()
    version.CopyFrom(fine)
    version.model_spec.version.value = 9
    assert code(version) == (grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Specific({MODEL}, 9)")
    shape = predict_request(pixels=tf.make_tensor_proto([[1.0]]))
    assert code(shape)[0] is grpc.StatusCode.INVALID_ARGUMENT
    bad = predict_request(pixels=tf.make_tensor_proto(pixels(1)))
    bad.inputs["pixels"].tensor_content = b"123"
    assert code(bad)[0] is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as caught:
        stub.MultiInference(inference_pb2.MultiInferenceRequest(), timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_metadata_over_grpc(stub, digits):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = MODEL
    answer = stub.GetModelMetadata(request, timeout=60)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    both = signatures.signature_def["both"]
    assert both.inputs["y"].dtype == tf.int32.as_datatype_enum
    assert [dim.size for dim in both.inputs["y"].tensor_shape.dim] == [-1, 2]
    assert both.method_name == "tensorflow/serving/predict"
    assert answer.model_spec.version.value == 7


def test_status_over_grpc(channel, digits):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = MODEL
    answer = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=60)
    (version,) = json_format.MessageToDict(answer, preserving_proto_field_name=True)["model_version_status"]
    assert (version["version"], version["state"]) == ("7", "AVAILABLE")


# --- models that are not TensorFlow's --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def energy(server):
    """Two releases of an H2O model; the second is valid never."""
    server.deploy("tfs/energy/0", "gbm_v1").raise_for_status()
    never = {"validityPolicy": [{"NeverValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
    server.deploy("tfs/energy/0", "2", "energy_gbm_v2.zip", policySettings=never).raise_for_status()
    yield "tfs.energy.0"
    for release in ("gbm_v1", "2"):
        server.http.delete(f"/tfs/energy/0/{release}").raise_for_status()


def scored_by_h2o(server, path, rows):
    instances = [dict(zip(FIELDS, row, strict=True)) for row in rows]
    answer = ask(server, path, {"instances": instances})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_an_h2o_model_and_its_releases(server, energy):
    rows, first = golden()
    _, second = golden("energy_gbm_v2")
    assert scored_by_h2o(server, f"/v1/models/{energy}:predict", rows) == pytest.approx(first, rel=1e-12)
    assert scored_by_h2o(server, f"/v1/models/{energy}/labels/stable:predict", rows) == pytest.approx(first, rel=1e-12)
    # past the policies: the release that answers nobody yet
    for past in ("versions/2", "labels/latest"):
        answered = scored_by_h2o(server, f"/v1/models/{energy}/{past}:predict", rows)
        assert answered == pytest.approx(second, rel=1e-12)
    versions = server.http.get(f"/v1/models/{energy}").json()["model_version_status"]
    number = next(told["version"] for told in versions if told["version"] != "2")
    for named in (number, "gbm_v1"):
        answered = scored_by_h2o(server, f"/v1/models/{energy}/versions/{named}:predict", rows)
        assert answered == pytest.approx(first, rel=1e-12)
    counts = {
        told["ServableMetrics"]["fqrv"]["releaseVersion"]: int(told["ServableMetrics"]["scoreCount"])
        for told in server.http.get("/tfs/energy/0/stats").json()
    }
    assert counts == {"gbm_v1": 4, "2": 2}


# --- Hopsworks -------------------------------------------------------------------------------------------------------

SCRIPT = """
class Predict:
    def predict(self, inputs):
        return [sum(row) for row in inputs]

    def classify(self, inputs):
        return ["big" if sum(row) > 5 else "small" for row in inputs]
"""
HOPSWORKS = "/hopsworks-api/api/project/119/inference/models"


@pytest.fixture(scope="module")
def summing(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("summing")
    (folder / "model.py").write_text(SCRIPT)
    deploy(server, "hops/summing/0", "1", folder, Python={"script": "model.py"})
    yield "summing"
    server.http.delete("/hops/summing/0/1").raise_for_status()


def hopsworks(server, path, document) -> httpx.Response:
    return ask(server, f"{HOPSWORKS}/{path}", document)


def test_a_python_model_by_hopsworks(server, summing):
    rows = {"inputs": [[1, 2], [3, 4]]}
    assert hopsworks(server, f"{summing}:predict", rows).json() == {"predictions": [3, 7]}
    assert hopsworks(server, f"{summing}/versions/1:predict", rows).json() == {"predictions": [3, 7]}
    assert hopsworks(server, f"{summing}:classify", rows).json() == {"predictions": ["small", "big"]}


def test_a_tensorflow_model_by_hopsworks(server, digits):
    rows = pixels(2)
    expected = digits.predict(rows)["scores"].numpy()
    answered = hopsworks(server, "digits:predict", {"instances": rows.tolist()}).json()
    assert np.array_equal(np.array(answered["predictions"], np.float32), expected)
    answered = hopsworks(
        server, "digits:predict", {"signature_name": "serving_default", "inputs": rows.tolist()}
    ).json()
    assert np.array_equal(np.array(answered["outputs"], np.float32), expected)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("nobody:predict", {"inputs": [1]}, 404, 250000),
        ("summing", {"inputs": [1]}, 400, 250005),
        ("summing:explain", {"inputs": [1]}, 400, 250005),
        ("summing:predict", {"outputs": [1]}, 400, 250008),
        ("summing:predict", b"{", 400, 250008),
        ("summing:predict", {"inputs": [[1, "a"]]}, 400, 250008),
        ("summing:predict", {"inputs": [1]}, 500, 250007),  # the script takes lists
    ],
)
def test_hopsworks_refusals(server, summing, path, body, status, code):
    answer = hopsworks(server, path, body)
    assert answer.status_code == status
    told = answer.json()
    assert told.keys() == {"errorCode", "errorMsg", "usrMsg"}
    assert told["errorCode"] == code
    assert told["usrMsg"]
