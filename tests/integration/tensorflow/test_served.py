"""A SavedModel and a .keras file through the real server, equal to TensorFlow's own prediction."""

import asyncio
import base64
import json

import httpx
import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")]

WIDTH = 6


@pytest.fixture(scope="module")
def tf():
    from forestflow.domain.settings import Resources
    from forestflow.servables.tensorflow.process import prepare

    prepare(Resources(threads=1))
    import tensorflow

    return tensorflow


@pytest.fixture(scope="module")
def models(tf, tmp_path_factory):
    """``model``: three signatures, one over tf.Example; ``m.keras``; and each one's own prediction for an array."""
    import keras

    folder = tmp_path_factory.mktemp("tensorflow-models")
    keras.utils.set_random_seed(19)

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(tf.random.stateless_normal([WIDTH, 3], seed=[5, 6]))

        @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, name="x")])
        def scores(self, x):
            return {"scores": tf.nn.softmax(x @ self.w), "best": tf.argmax(x @ self.w, axis=1)}

        @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, name="x")])
        def double(self, x):
            return {"twice": 2 * x}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def greet(self, text):
            return {"greeting": tf.strings.join(["hello ", text])}

    model = Model()
    signatures = {"serving_default": model.scores, "double": model.double, "greet": model.greet}
    tf.saved_model.save(model, str(folder / "model"), signatures=signatures)
    network = keras.Sequential([keras.Input((WIDTH,), name="x"), keras.layers.Dense(2, name="y")])
    network.save(folder / "m.keras")
    return folder, tf.saved_model.load(str(folder / "model")).signatures, network


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(23).normal(size=(64, WIDTH)).astype(np.float32)


def deploy(server, contract, release, folder, path, **settings):
    payload = {
        "path": folder.as_uri(),
        "flavor": {"TensorFlow": {"modelPath": path}},
        "servableSettings": {
            "policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}},
            **settings,
        },
    }
    return server.http.post(f"/servable/{contract}/{release}", json=payload)


@pytest.fixture(scope="module")
def served(server, models):
    """The contracts of both models."""
    for contract, path in (("tensorflow/saved/0", "model"), ("tensorflow/keras/0", "m.keras")):
        merging = {"merging": {"maxWaitMS": 20}}  # so that requests of a slow client meet
        answer = deploy(server, contract, "v1", models[0], path, deploymentSettings=merging)
        assert answer.status_code == 200, answer.text
    return server


def body(rows, signature=None, kind="Float32", name="x"):
    configs = {"forestflow.signature": signature} if signature else {}
    return json.dumps(
        {
            "schema": [{"type": kind, "fields": [name]}],
            "datum": [{"tensors": [{kind: {"data": row}}]} for row in rows],
            "configs": configs,
        }
    ).encode()


def outputs(response):
    """By name: each datum's values, in the dtype that the schema announces."""
    assert response.status_code == 200, response.text
    prediction = response.json()["Prediction"]
    found = {}
    for i, entry in enumerate(prediction["schema"]):
        kind = entry["type"]
        values = [datum["tensors"][i][kind]["data"] for datum in prediction["datum"]]
        found[entry["fields"][0]] = np.array(values, dtype=object if kind == "String" else kind.lower())
    return found


def test_a_saved_model_answers_as_tensorflow_does(served, models, rows, tf):
    found = outputs(served.score("tensorflow/saved/0", body(rows.tolist())))
    expected = models[1]["serving_default"](x=tf.constant(rows))
    assert found["scores"].dtype == np.float32
    np.testing.assert_array_equal(found["scores"], expected["scores"].numpy())
    np.testing.assert_array_equal(found["best"][:, 0], expected["best"].numpy())


def test_a_keras_file_answers_as_keras_does(served, models, rows):
    found = outputs(served.score("tensorflow/keras/0", body(rows.tolist())))
    np.testing.assert_allclose(found["y"], models[2].predict(rows, verbose=0), rtol=1e-6)


def test_other_signatures_by_name(served, rows):
    found = outputs(served.score("tensorflow/saved/0", body([["Ada"], ["Grace"]], "greet", "String", "text")))
    assert found["greeting"].tolist() == [["hello Ada"], ["hello Grace"]]
    encoded = [[base64.b64encode(b"Ada").decode()]]
    schema = body(encoded, "greet", "Byte", "text").replace(b'"type": "Byte"', b'"type": "Bytes"')
    assert outputs(served.score("tensorflow/saved/0", schema))["greeting"].tolist() == [["hello Ada"]]
    refused = served.score("tensorflow/saved/0", body(rows[:1].tolist(), "nowhere"))
    assert refused.status_code == 422
    assert "no signature 'nowhere'; it has 'double', 'greet', 'serving_default'" in refused.text


def test_merged_requests_of_mixed_signatures_equal_tensorflows_own(served, models, rows, tf):
    """One row a request, three kinds of requests at once; one in eight is wrong and fails alone."""
    scores = models[1]["serving_default"](x=tf.constant(rows))["scores"].numpy()

    def content(i):
        row = rows[i % 64].tolist()
        if i % 8 == 6:
            return body([row[:-1]])
        return body([row], "double") if i % 2 else body([row])

    async def ask_all():
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=32)
        headers = {"Content-Type": "application/json"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=60, limits=limits) as client:
            posts = (client.post("/tensorflow/saved/0/score", content=content(i)) for i in range(640))
            return await asyncio.gather(*posts)

    answers = asyncio.run(ask_all())
    (replica,) = served.http.get("/tensorflow/saved/0/v1/replicas").json()
    assert any(int(size["minRows"]) in (4, 8, 16) for size in replica["ReplicaStatus"]["batchSizes"])
    for i, answer in enumerate(answers):
        if i % 8 == 6:
            assert answer.status_code == 422
            assert "input 'x' takes Float32 of shape [-1, 6], got Float32 of shape [1, 5]" in answer.text
        elif i % 2:
            assert outputs(answer)["twice"][0].tolist() == (2 * rows[i % 64]).tolist()
        else:  # another number of rows may take another kernel, so the last bit may differ
            np.testing.assert_allclose(outputs(answer)["scores"][0], scores[i % 64], rtol=1e-5)


def test_metadata_tells_inputs_and_outputs(served):
    metadata = served.http.get("/tensorflow/saved/0/v1/metadata").json()["BasicMetaData"]
    assert metadata["inputs"] == [{"name": "x", "shape": [str(WIDTH)], "type": "Float32"}]


def test_a_broken_release_leaves_the_old_one_serving(served, models, rows, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\xff\xff no protobuf")
    for path, reason in ((".", "broken cannot be loaded"), ("nothing", "does not exist")):
        refused = deploy(served, "tensorflow/saved/0", "v2", folder, path)
        assert refused.status_code == 422
        assert reason in refused.text
        assert str(tmp_path) not in refused.text.replace(folder.as_uri(), "")
    assert served.score("tensorflow/saved/0", body(rows[:1].tolist())).status_code == 200
