"""Models whose rows depend on each other, on the real server: nobody gets what belongs to somebody else's request.

What is right is what ONNX Runtime and TensorFlow answer to each request by itself.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.serving import RunningServer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")]

CLIENTS = 100


@pytest.fixture(scope="module")
def tf() -> Any:
    from forestflow.domain.settings import Resources
    from forestflow.servables.tensorflow.process import prepare

    prepare(Resources(threads=1))
    import tensorflow

    return tensorflow


@pytest.fixture(scope="module")
def folder(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``NAME.onnx`` and the SavedModel ``NAME`` of each model of x, shape [N, 2]."""
    from onnx import TensorProto, helper

    folder = tmp_path_factory.mktemp("rows")
    functions = {
        "matmul": lambda x: {"y": tf.matmul(x, x, transpose_b=True)},
        "softmax": lambda x: {"y": tf.nn.softmax(x, axis=0)},
        "concat": lambda x: {"y": tf.concat([x, x], 0)},
        "mask": lambda x: {"y": tf.boolean_mask(x, x[:, 0] > 0)},
        "where": lambda x: {"y": tf.where(x > 0)},
        "unique": lambda x: dict(zip("yi", tf.unique(tf.reshape(x, [-1])), strict=True)),
        "transpose": lambda x: {"y": tf.transpose(x)},
        "reshape": lambda x: {"y": tf.reshape(x, [-1, 1])},
    }
    for name, function in functions.items():
        module = tf.Module()
        module.run = tf.function(function, autograph=False)
        spec = tf.TensorSpec([None, 2], tf.float32, name="x")
        tf.saved_model.save(module, str(folder / name), signatures=module.run.get_concrete_function(x=spec))
    node = helper.make_node
    nodes = {
        "matmul": ([node("Transpose", ["x"], ["t"], perm=[1, 0]), node("MatMul", ["x", "t"], ["y"])], ["N", "M"]),
        "softmax": ([node("Softmax", ["x"], ["y"], axis=0)], ["N", 2]),
    }
    for name, (made, shape) in nodes.items():
        values = [[helper.make_tensor_value_info(*v, s)] for v, s in ((("x", 1), ["N", 2]), (("y", 1), shape))]
        assert TensorProto.FLOAT == 1
        graph = helper.make_graph(made, "g", *values)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    return folder


@pytest.fixture(scope="module")
def own(folder: Path, tf: Any) -> Any:
    """``own(name, x)``: what the framework itself answers, by output."""
    import onnxruntime

    loaded: dict[str, Any] = {}

    def answer(name: str, x: np.ndarray) -> dict[str, np.ndarray]:
        if name not in loaded:
            path = folder / name
            loaded[name] = (
                tf.saved_model.load(str(path)) if path.is_dir() else onnxruntime.InferenceSession(path.read_bytes())
            )
        model = loaded[name]
        if hasattr(model, "signatures"):
            return {key: value.numpy() for key, value in model.signatures["serving_default"](x=tf.constant(x)).items()}
        return {"y": model.run(None, {"x": x})[0]}

    return answer


def deploy(server: RunningServer, folder: Path, contract: str, name: str, **merging: Any) -> dict[str, Any]:
    """Deploy and return what the status says of the default signature's rows."""
    flavor = "ONNX" if name.endswith(".onnx") else "TensorFlow"
    payload = {
        "path": folder.as_uri(),
        "flavor": {flavor: {"modelPath": name}},
        "servableSettings": {
            "policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}},
            "deploymentSettings": {"merging": merging},
        },
    }
    answer = server.http.post(f"/servable/{contract}/v1", json=payload)
    assert answer.status_code == 200, answer.text
    (rows,) = server.http.get(f"/{contract}/v1/status").raise_for_status().json()["ServableStatus"]["rows"]
    (metadata,) = server.http.get(f"/{contract}/v1/metadata").raise_for_status().json()["BasicMetaData"]["rows"]
    assert rows == metadata
    return rows


def oip(x: np.ndarray) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": list(x.shape), "data": x.reshape(-1).tolist()}]}


def tensors(answer: httpx.Response) -> dict[str, np.ndarray]:
    assert answer.status_code == 200, answer.text
    outputs = answer.json()["outputs"]
    return {one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in outputs}


def infer_path(contract: str) -> str:
    return f"/v2/models/{contract.replace('/', '.')}/infer"


async def ask_at_once(server: RunningServer, path: str, bodies: list[Any]) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
        return await asyncio.gather(*[client.post(path, json=body) for body in bodies])


@pytest.mark.parametrize("name", ["matmul.onnx", "softmax.onnx", "matmul", "softmax"])
def test_a_hundred_clients_get_their_own_answers(server: RunningServer, folder: Path, own: Any, name: str) -> None:
    contract = f"rows/{name}/0"
    found = deploy(server, folder, contract, name, maxWaitMS=20)  # so that requests meet
    assert (found["signature"], found["independent"]) == ("serving_default", False)
    assert found["reason"]
    inputs = list(np.random.default_rng(3).normal(size=(CLIENTS, 2, 2)).astype(np.float32))
    answers = asyncio.run(ask_at_once(server, infer_path(contract), [oip(x) for x in inputs]))
    for x, answer in zip(inputs, answers, strict=True):
        y, expected = tensors(answer)["y"], own(name, x)["y"]
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_texts_padded_to_the_longest_of_a_batch(server: RunningServer, tf: Any, folder: Path) -> None:
    table = tf.random.stateless_normal([100, 1], seed=[1, 2])

    def mean(text: Any) -> dict[str, Any]:
        padded = tf.strings.split(text).to_tensor("")
        return {"y": tf.sigmoid(tf.reduce_mean(tf.gather(table, tf.strings.to_hash_bucket_fast(padded, 100)), 1))}

    module = tf.Module()
    module.run = tf.function(mean, autograph=False)
    spec = tf.TensorSpec([None], tf.string, name="text")
    tf.saved_model.save(module, str(folder / "words"), signatures=module.run.get_concrete_function(text=spec))
    contract = "rows/words/0"
    assert deploy(server, folder, contract, "words", maxWaitMS=20)["independent"] is False
    random = np.random.default_rng(5)
    texts = [" ".join(random.choice(["a", "bc", "def"], 1 + i % 9)) for i in range(CLIENTS)]
    bodies = [{"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}]} for text in texts]
    answers = asyncio.run(ask_at_once(server, infer_path(contract), bodies))
    for text, answer in zip(texts, answers, strict=True):
        np.testing.assert_allclose(tensors(answer)["y"], mean(tf.constant([text]))["y"].numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("merging", "whole"),
    [({"maxRows": 1}, True), ({"independentRows": "no"}, True), ({"independentRows": "yes"}, False)],
)
def test_a_long_request_is_cut_only_where_its_rows_are_independent(
    server: RunningServer, folder: Path, own: Any, merging: dict[str, Any], whole: bool
) -> None:
    contract = f"rows/long-{'-'.join(map(str, merging.values()))}/0"
    found = deploy(server, folder, contract, "softmax.onnx", **merging)
    assert found["independent"] is not whole
    if "independentRows" in merging:
        assert f"merging.independentRows is {merging['independentRows']}" in found["reason"]
    x = np.random.default_rng(4).normal(size=(60_000, 2)).astype(np.float32)
    y = tensors(server.http.post(infer_path(contract), json=oip(x)))["y"]
    same = np.allclose(y, own("softmax.onnx", x)["y"], rtol=1e-3, atol=0)
    assert same is whole, "yes is the author's word, and here it is wrong"


@pytest.mark.parametrize("name", ["concat", "mask", "where", "unique", "transpose", "reshape"])
def test_any_number_of_rows_is_answered_where_the_protocol_can_say_it(
    server: RunningServer, folder: Path, own: Any, name: str
) -> None:
    contract = f"rows/{name}/0"
    assert deploy(server, folder, contract, name)["independent"] is False
    x = np.array([[1, 0], [-2, 5], [3, -1], [1, 7]], np.float32)
    expected = own(name, x)
    dotted = contract.replace("/", ".")
    for found in (
        tensors(server.http.post(infer_path(contract), json=oip(x))),
        columns(server.http.post(f"/v1/models/{dotted}:predict", json={"inputs": x.tolist()}), expected),
    ):
        assert found.keys() == expected.keys()
        for output, values in expected.items():
            np.testing.assert_array_equal(found[output], values)
    refused = server.http.post(f"/v1/models/{dotted}:predict", json={"instances": x.tolist()})
    if name == "transpose":  # TensorFlow knows that there are two rows: a model without rows, answered as it is
        assert refused.json() == {"predictions": expected["y"].tolist()}
        return
    assert refused.status_code == 400
    assert "output '" in refused.text or "different batch sizes" in refused.text
    basic = {
        "schema": [{"type": "Float32", "fields": ["x"]}],
        "datum": [{"tensors": [{"Float32": {"data": row}}]} for row in x.tolist()],
    }
    answer = server.score(contract, json.dumps(basic).encode())
    assert answer.status_code == 422
    assert "for 4 records, not a row for each" in answer.text


def columns(answer: httpx.Response, expected: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The column form names its outputs where there are several."""
    assert answer.status_code == 200, answer.text
    told = answer.json()["outputs"]
    named = told if isinstance(told, dict) else {"y": told}
    return {name: np.array(values).reshape(expected[name].shape) for name, values in named.items()}
