"""MLmodel folders and ONNX files through the real server: deployed as users do, answered as their frameworks do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas
import pytest
import xgboost
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from tests.mlmodels import columns, example, lightgbm_folder, mlmodel, pyfunc, sklearn_folder
from tests.serving import MODELS, RunningServer, golden, rows_body

FIELDS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROWS, CLASSES = load_iris(return_X_y=True)
SIGNATURE = {"inputs": columns(**dict.fromkeys(FIELDS, "double"))}
SETTINGS = {"policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}}


@pytest.fixture
def contract(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[str]:
    name = f"tests/{request.node.name[:80]}/0"
    yield name
    for release in ("v1", "v2"):
        server.http.delete(f"/{name}/{release}").raise_for_status()


def deploy(server: RunningServer, contract: str, folder: Path, release: str = "v1", **request: Any) -> Any:
    body = {"path": folder.as_uri(), "servableSettings": SETTINGS, **request}
    return server.http.post(f"/servable/{contract}/{release}", json=body)


def score(server: RunningServer, contract: str, rows: Any, **configs: str) -> dict[str, Any]:
    body = {
        "schema": [{"type": "Float64", "fields": FIELDS}],
        "datum": [{"tensors": [{"Float64": {"data": row}}]} for row in rows.tolist()],
        "configs": configs,
    }
    answer = server.score(contract, body)
    assert answer.status_code == 200, answer.text
    return answer.json()["Prediction"]


def column(prediction: dict[str, Any], kind: str, place: int = 0) -> list[Any]:
    return [datum["tensors"][place][kind]["data"] for datum in prediction["datum"]]


def test_scikit_learn(server: RunningServer, contract: str, tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500).fit(ROWS, np.array(["setosa", "versicolor", "virginica"])[CLASSES])
    folder = sklearn_folder(tmp_path / "iris", model, signature=SIGNATURE)
    # the original's MLFlowServeRequest: no flavor
    assert deploy(server, contract, folder).status_code == 200
    prediction = score(server, contract, ROWS)
    assert prediction["schema"] == [{"type": "String", "fields": ["prediction"]}]
    assert column(prediction, "String") == [[label] for label in model.predict(ROWS)]
    prediction = score(server, contract, ROWS, **{"forestflow.signature": "predict_proba"})
    assert prediction["schema"] == [{"type": "Float64", "fields": list(model.classes_)}]
    np.testing.assert_allclose(column(prediction, "Float64"), model.predict_proba(ROWS), rtol=1e-12)
    metadata = server.http.get(f"/{contract}/v1/metadata").json()["BasicMetaData"]
    assert [(entry["name"], entry["type"]) for entry in metadata["inputs"]] == [(name, "Float64") for name in FIELDS]
    refused = server.score(contract, {"schema": [{"type": "Float64", "fields": ["petal"]}],
                                      "datum": [{"tensors": [{"Float64": {"data": [1]}}]}]})  # fmt: skip
    assert refused.status_code == 422
    assert "input 'sepal length (cm)' is missing; the model takes" in refused.text


def test_skops_and_categories(server: RunningServer, contract: str, tmp_path: Path) -> None:
    """As MLflow writes them today: by skops, here without signature or example."""
    table = pandas.DataFrame({"c": pandas.Categorical(["a", "b", "c"] * 40), "x": np.arange(120) % 7})
    target = np.arange(120) % 3 * 2.0 + np.arange(120) % 7
    model = lightgbm.LGBMRegressor(n_estimators=20, min_child_samples=1, min_data_per_group=1, verbose=-1)
    folder = lightgbm_folder(tmp_path / "m", model.fit(table, target))
    assert deploy(server, contract, folder).status_code == 200
    inputs = server.http.get(f"/{contract}/v1/metadata").json()["BasicMetaData"]["inputs"]
    assert [(io["name"], io["type"]) for io in inputs] == [("c", "String"), ("x", "Float64")]
    assert inputs[0]["description"] == "[0:a,1:b,2:c]"
    name = contract.replace("/", ".")
    rows = [{"c": c, "x": x} for c, x in zip(table["c"].tolist(), table["x"].tolist(), strict=True)]
    answer = server.http.post(f"/v1/models/{name}:predict", json={"instances": rows})
    assert answer.json() == {"predictions": model.predict(table).tolist()}

    table["c"] = table["c"].cat.as_ordered()
    table["n"] = table["x"] % 2
    refused = deploy(server, contract, lightgbm_folder(tmp_path / "o", model.fit(table, target)), "v2")
    assert refused.status_code == 422
    assert 'save_model(..., metadata={\\"categories\\": {name: list(frame[name].cat.categories)}})' in refused.text
    forest = RandomForestClassifier(2, random_state=1).fit(ROWS, CLASSES)
    refused = deploy(server, contract, sklearn_folder(tmp_path / "f", forest, serialization="skops"), "v2")
    assert refused.status_code == 422
    assert "save_model(..., skops_trusted_types=['sklearn.tree._tree.Tree'])" in refused.text


def test_xgboost_whose_files_lie_elsewhere(server: RunningServer, contract: str, tmp_path: Path) -> None:
    model = xgboost.XGBRegressor(n_estimators=20, random_state=1).fit(ROWS, CLASSES)
    (tmp_path / "run" / "artifacts").mkdir(parents=True)
    model.save_model(tmp_path / "run" / "artifacts" / "model.ubj")
    folder = mlmodel(
        tmp_path / "registry",
        {"xgboost": {"data": "model.ubj", "model_class": "xgboost.sklearn.XGBRegressor", "xgb_version": "3.2.0"}},
        artifact_path=(tmp_path / "run" / "artifacts").as_uri(),
        signature=SIGNATURE,
    )
    assert deploy(server, contract, folder).status_code == 200
    shutil.rmtree(tmp_path / "run")  # the artifact is whole without it
    assert column(score(server, contract, ROWS), "Float32") == [[float(str(v))] for v in model.predict(ROWS)]


def test_onnx(server: RunningServer, contract: str, tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500).fit(ROWS, CLASSES)
    (tmp_path / "iris.onnx").write_bytes(to_onnx(model, ROWS[:1].astype(np.float32)).SerializeToString())
    assert deploy(server, contract, tmp_path, flavor={"ONNX": {"modelPath": "iris.onnx"}}).status_code == 200
    prediction = score(server, contract, ROWS)
    assert [entry["fields"] for entry in prediction["schema"]] == [["output_label"], ["0", "1", "2"]]
    assert column(prediction, "Int64") == [[str(label)] for label in model.predict(ROWS)]
    np.testing.assert_allclose(column(prediction, "Float32", 1), model.predict_proba(ROWS), rtol=0, atol=1e-6)


@pytest.mark.h2o
def test_a_mojo(server: RunningServer, contract: str, tmp_path: Path) -> None:
    folder = mlmodel(tmp_path / "m", {"h2o_mojo": {"data": "model.h2o", "h2o_version": "3.46.0.11"}})
    (folder / "model.h2o").mkdir()
    (folder / "model.h2o" / "h2o.yaml").write_text("full_file: /x/m.zip\nmodel_dir: /x\nmodel_file: m.zip\n")
    shutil.copy(MODELS / "energy_gbm_v1.zip", folder / "model.h2o" / "m.zip")
    assert deploy(server, contract, folder).status_code == 200
    rows, expected = golden()
    answer = server.score(contract, rows_body(rows))
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(column(answer.json()["Prediction"], "Float64"), [[v] for v in expected], rtol=1e-12)


KERAS = """
import sys
import keras
import numpy as np

keras.utils.set_random_seed(7)
model = keras.Sequential([keras.layers.Input((4,), name="x"), keras.layers.Dense(3, activation="softmax")])
if sys.argv[1].endswith(".keras"):
    model.save(sys.argv[1])
else:
    model.export(sys.argv[1], verbose=False)
np.save(sys.argv[2], model(np.load(sys.argv[3])).numpy())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flavors", "model"),
    [
        ({"keras": {"data": "data", "keras_version": "3.12.0", "save_exported_model": False}}, "data/model.keras"),
        ({"tensorflow": {"saved_model_dir": "tf2model", "model_type": "tf2-module"}}, "tf2model"),
    ],
    ids=["keras", "tensorflow"],
)
def test_tensorflow(server: RunningServer, contract: str, tmp_path: Path, flavors: Any, model: str) -> None:
    info = example(tmp_path / "m", {"columns": FIELDS, "data": ROWS[:2].tolist()})
    folder = mlmodel(tmp_path / "m", flavors, signature=SIGNATURE, saved_input_example_info=info)
    (folder / model).parent.mkdir(exist_ok=True)
    rows = ROWS.astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    made = [
        sys.executable,
        "-c",
        KERAS,
        str(folder / model),
        str(tmp_path / "expected.npy"),
        str(tmp_path / "rows.npy"),
    ]
    subprocess.run(made, check=True, capture_output=True, timeout=100)
    answer = deploy(server, contract, folder)
    assert answer.status_code == 200, answer.text
    (inputs,) = server.http.get(f"/{contract}/v1/metadata").json()["BasicMetaData"]["inputs"]
    assert (inputs["shape"], inputs["type"]) == (["4"], "Float32")
    assert inputs["description"] == "[" + ",".join(f"{i}:{name}" for i, name in enumerate(FIELDS)) + "]"
    found = column(score(server, contract, ROWS), "Float32")
    np.testing.assert_allclose(found, np.load(tmp_path / "expected.npy"), rtol=1e-6)
    body = {
        "schema": [{"type": "Float64", "fields": FIELDS[::-1]}],
        "datum": [{"tensors": [{"Float64": {"data": row[::-1]}}]} for row in ROWS.tolist()],
    }
    assert column(server.score(contract, body).json()["Prediction"], "Float32") == found


def test_a_function_and_what_cannot_be_served(server: RunningServer, contract: str, tmp_path: Path) -> None:
    folder = mlmodel(
        tmp_path / "f", {"python_function": pyfunc("row_sum", code="code")}, signature={"inputs": columns(a="double")}
    )
    (folder / "code").mkdir()
    (folder / "code" / "row_sum.py").write_text(
        "class Sum:\n    def predict(self, frame):\n        return frame.sum(axis=1)\n\n"
        "def _load_pyfunc(path):\n    return Sum()\n"
    )
    assert deploy(server, contract, folder).status_code == 200
    body = {"schema": [{"type": "Float64", "fields": ["a"]}], "datum": [{"tensors": [{"Float64": {"data": [1.5]}}]}]}
    assert column(server.score(contract, body).json()["Prediction"], "Float64") == [[1.5]]

    mlmodel(folder, {"python_function": pyfunc("mlflow.pyfunc.model", python_model="python_model.pkl"), "spark": {}})
    refused = deploy(server, contract, folder, "v2")
    assert refused.status_code == 422
    assert "needs the package mlflow, which is not installed" in refused.text
    (folder / "MLmodel").write_text("flavors: {spark: {}}")
    refused = deploy(server, contract, folder, "v2")
    assert refused.status_code == 422
    assert "'spark' is not supported" in refused.text
    assert column(server.score(contract, body).json()["Prediction"], "Float64") == [[1.5]]
