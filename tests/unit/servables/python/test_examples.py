"""The example scripts, each with a model that is trained here, against what its framework itself predicts."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import forestflow.examples
from forestflow.domain.errors import InvalidInput
from forestflow.domain.requests import Python
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType
from forestflow.servables import python

pytestmark = pytest.mark.slow

EXAMPLES = Path(forestflow.examples.__file__).parent / "python"
RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(200, 4))
Y = X @ [1.0, -2.0, 0.5, 0.0] + RANDOM.normal(size=200) / 10


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load an example from a directory in which ``tmp_path``'s files lie."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = set(sys.modules)

    def load(script):
        shutil.copy(EXAMPLES / script, tmp_path)
        flavor = Python(script)
        python.check(tmp_path, flavor)
        servable = python.load(tmp_path, flavor, Resources())
        servable.warm_up()
        assert servable.merge_key({}) is not None
        return servable

    yield load
    for name in set(sys.modules) - before:
        if name in {path.stem for path in EXAMPLES.glob("*.py")}:
            del sys.modules[name]


def rows(data, kind=TensorType.Float64):
    names = tuple(f"x{i}" for i in range(data.shape[1]))
    return Batch(len(data), (Column(kind, names, data.astype(DTYPES[kind])),))


def same(column, expected):
    assert column.data.dtype == expected.dtype
    np.testing.assert_array_equal(column.data, expected)


def test_scikit_learn(tmp_path, load):
    import joblib
    from sklearn.ensemble import RandomForestClassifier

    labels = np.where(Y > 0.5, "high", np.where(Y < -0.5, "low", "mid"))
    model = RandomForestClassifier(10, random_state=0).fit(X, labels)
    joblib.dump(model, tmp_path / "model.joblib")
    servable = load("scikit_learn.py")
    (label,) = servable.predict(rows(X), {}).columns
    assert label.type is TensorType.String
    assert label.data.tolist() == model.predict(X).tolist()
    classified = servable.predict(rows(X), {"forestflow.signature": "classify"})
    assert [column.fields[0] for column in classified.columns] == ["high", "low", "mid"]
    for column, expected in zip(classified.columns, model.predict_proba(X).T, strict=True):
        same(column, expected)


def test_xgboost(tmp_path, load):
    import xgboost

    data = X.astype(np.float32)
    booster = xgboost.train({"seed": 0, "max_depth": 3, "nthread": 1}, xgboost.DMatrix(data, Y), 10)
    booster.save_model(tmp_path / "model.json")
    servable = load("xgboost_booster.py")
    expected = booster.predict(xgboost.DMatrix(data))
    for method in ("predict", "regress"):
        answer = servable.predict(rows(X, TensorType.Float32), {"forestflow.signature": method})
        assert answer.columns[0].type is TensorType.Float32
        same(answer.columns[0], expected)
    with pytest.raises(InvalidInput, match="expected 4 numbers"):
        servable.predict(rows(X[:, :3]), {})


def test_lightgbm(tmp_path, load):
    import lightgbm

    levels = ["Berlin", "Lima", "Oslo"]
    age = RANDOM.integers(18, 90, 300)
    income = RANDOM.lognormal(size=300)
    city = RANDOM.integers(0, 3, 300)
    target = (age / 90 + (city == 1) > 0.8).astype(int)
    table = np.column_stack([age, income, city])
    parameters = {"objective": "binary", "seed": 0, "verbose": -1, "num_threads": 1, "deterministic": True}
    dataset = lightgbm.Dataset(table, target, categorical_feature=[2], free_raw_data=False)
    booster = lightgbm.train(parameters, dataset, 10)
    booster.save_model(tmp_path / "model.txt")
    (tmp_path / "levels.json").write_text(json.dumps(levels))
    servable = load("lightgbm_booster.py")
    names = np.array([*levels, "unknown"], object)[np.where(age > 80, 3, city)]
    table[age > 80, 2] = np.nan
    batch = Batch(
        300,
        (
            Column(TensorType.String, ("city",), names.reshape(-1, 1)),
            Column(TensorType.Int64, ("age",), age.reshape(-1, 1)),
            Column(TensorType.Float64, ("income",), income.reshape(-1, 1)),
        ),
    )
    (answer,) = servable.predict(batch, {}).columns
    assert answer.fields == ("probability",)
    same(answer, booster.predict(table))
    assert [io.name for io in servable.metadata.inputs] == ["age", "income", "city"]
    with pytest.raises(InvalidInput, match="city, income missing"):
        servable.predict(Batch(300, batch.columns[1:2]), {})


def test_onnx_runtime(tmp_path, load):
    import onnxruntime
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression

    data = X.astype(np.float32)
    model = to_onnx(LinearRegression().fit(X, Y), data[:1])
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    servable = load("onnx_runtime.py")
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"X": data})
    (answer,) = servable.predict(rows(X), {}).columns
    assert answer.type is TensorType.Float32
    same(answer, expected)
