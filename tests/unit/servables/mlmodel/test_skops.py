"""Files of skops, MLflow's own choice for scikit-learn: what is trusted, by whom, and what a refusal says."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas
import pytest
import skops.io
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from forestflow.domain.errors import LoadFailed
from forestflow.domain.requests import MLmodel
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import Batch, Column, Layout, TensorType
from forestflow.servables import loading
from tests.mlmodels import columns, lightgbm_folder, mlmodel, sklearn_folder

ROWS, CLASSES = load_iris(return_X_y=True)
TREES = ["sklearn.tree._tree.Tree"]


def served(folder: Path) -> Any:
    loading.check(folder, MLmodel())
    servable = loading.load(folder, MLmodel(), Resources())
    servable.warm_up()
    return servable


def answers(servable: Any, rows: Any) -> Any:
    batch = Batch(len(rows), (Column(TensorType.Float64, ("any",), rows),), Layout.TENSORS)
    return servable.predict(batch, {}).columns[0].data.tolist()


def refused(folder: Path) -> str:
    with pytest.raises(LoadFailed) as caught:
        served(folder)
    return caught.value.message


@pytest.mark.parametrize("serialization", ["skops", "joblib", "cloudpickle", "pickle"])
def test_every_serialization_of_scikit_learn(tmp_path: Path, serialization: str) -> None:
    model = LogisticRegression(max_iter=500).fit(ROWS, CLASSES)
    folder = sklearn_folder(tmp_path / "m", model, serialization=serialization)
    assert answers(served(folder), ROWS) == model.predict(ROWS).tolist()
    assert loading.runs_code(folder, MLmodel()) is (serialization != "skops")
    if serialization == "skops":
        loading.refuse_code(folder, MLmodel())
    else:
        with pytest.raises(LoadFailed, match="turned off by code_servables"):
            loading.refuse_code(folder, MLmodel())


def test_a_pipeline_of_texts_without_signature_or_example(tmp_path: Path) -> None:
    table = pandas.DataFrame({"colour": ["red", "blue", "red", "green"], "size": [1, 2, 3, 4]})
    encoder = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(table, ["s", "m", "m", "l"])
    servable = served(sklearn_folder(tmp_path / "m", model, serialization="skops"))
    sizes = Column(TensorType.Int64, ("size",), table["size"].to_numpy())
    colours = Column(TensorType.String, ("colour",), np.array(table["colour"].tolist(), object))
    assert servable.predict(Batch(4, (sizes, colours)), {}).columns[0].data.tolist() == model.predict(table).tolist()


def test_types_that_skops_does_not_trust_are_named_with_what_to_do(tmp_path: Path) -> None:
    forest = RandomForestClassifier(3, random_state=1).fit(ROWS, CLASSES)
    message = refused(sklearn_folder(tmp_path / "m", forest, serialization="skops"))
    assert message == (
        "'model.skops' holds types that skops does not trust: sklearn.tree._tree.Tree; if you do, save the model with "
        "save_model(..., skops_trusted_types=['sklearn.tree._tree.Tree'])"
    )
    folder = sklearn_folder(tmp_path / "t", forest, serialization="skops", trusted=TREES)
    assert answers(served(folder), ROWS) == forest.predict(ROWS).tolist()


def test_what_its_writer_alone_trusts_counts_as_code(tmp_path: Path) -> None:
    """A file may name any type of any module: that its own MLmodel file trusts it says nothing."""
    steps = make_pipeline(FunctionTransformer(partial(np.clip, a_min=0, a_max=5)), LogisticRegression(max_iter=500))
    model = steps.fit(ROWS, CLASSES)
    message = refused(sklearn_folder(tmp_path / "m", model, serialization="skops"))
    assert "holds types that skops does not trust: functools.partial, numpy.clip;" in message
    folder = sklearn_folder(tmp_path / "t", model, serialization="skops", trusted=["functools.partial", "numpy.clip"])
    assert answers(served(folder), ROWS) == model.predict(ROWS).tolist()
    assert loading.runs_code(folder, MLmodel())
    forest = RandomForestClassifier(3, random_state=1).fit(ROWS, CLASSES)
    with pytest.raises(LoadFailed, match="turned off by code_servables"):
        loading.refuse_code(sklearn_folder(tmp_path / "f", forest, serialization="skops", trusted=TREES), MLmodel())


def test_boosters_come_as_their_own_formats_and_run_no_code(tmp_path: Path) -> None:
    table = pandas.DataFrame({"c": pandas.Categorical([10, 20, 30] * 40), "x": np.arange(120) % 7})
    target = np.array([0.0, 1.0, 5.0] * 40)
    light = lightgbm.LGBMRegressor(n_estimators=5, min_child_samples=1, verbose=-1).fit(table, target)
    folder = lightgbm_folder(tmp_path / "l", light)
    assert not loading.runs_code(folder, MLmodel())
    rows = table.head(9).astype(float).to_numpy()
    assert answers(served(folder), rows) == light.predict(table.head(9)).tolist()
    last = xgboost.XGBRegressor(n_estimators=5, enable_categorical=True)
    model = make_pipeline("passthrough", last).fit(table, target)
    trusted = ["xgboost.core.Booster", "xgboost.sklearn.XGBRegressor"]
    folder = sklearn_folder(tmp_path / "x", model, serialization="skops", trusted=trusted)
    assert not loading.runs_code(folder, MLmodel())
    assert answers(served(folder), rows) == model.predict(table.head(9)).tolist()


def test_histogram_boosting_with_categories(tmp_path: Path) -> None:
    table = pandas.DataFrame({"c": pandas.Categorical(["a", "b", "c"] * 40), "x": np.arange(120) % 7 / 2})
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=3)
    model.fit(table, np.array(["no", "yes", "no"] * 40))
    trusted = [
        "functools.partial",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.utils.validation.check_array",
    ]
    servable = served(sklearn_folder(tmp_path / "m", model, serialization="skops", trusted=trusted))
    c = Column(TensorType.String, ("c",), np.array(table["c"].tolist(), object))
    x = Column(TensorType.Float64, ("x",), table["x"].to_numpy())
    assert servable.predict(Batch(120, (x, c)), {}).columns[0].data.tolist() == model.predict(table).tolist()


def test_a_file_that_is_no_skops_file(tmp_path: Path) -> None:
    folder = sklearn_folder(tmp_path / "m", LogisticRegression(max_iter=500).fit(ROWS, CLASSES), serialization="skops")
    (folder / "model.skops").write_bytes(b"nothing")
    assert "'model.skops' cannot be loaded: BadZipFile" in refused(folder)


def test_the_suffix_tells_where_the_file_does_not(tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500).fit(ROWS, CLASSES)
    folder = mlmodel(tmp_path / "m", {"sklearn": {"pickled_model": "model.skops"}})
    skops.io.dump(model, folder / "model.skops")
    assert not loading.runs_code(folder, MLmodel())
    assert answers(served(folder), ROWS) == model.predict(ROWS).tolist()


# --- siblings: what else runs code ------------------------------------------------------------------------------------


def test_modules_beside_a_model_are_code(tmp_path: Path) -> None:
    """They go before all others: one called like a framework would be imported in its place."""
    folder = mlmodel(tmp_path / "x", {"xgboost": {"data": "model.ubj", "code": "code"}})
    (folder / "code").mkdir()
    xgboost.train({}, xgboost.DMatrix(ROWS, label=CLASSES), 1).save_model(folder / "model.ubj")
    assert loading.runs_code(folder, MLmodel())


def test_a_pickle_that_is_called_like_a_booster_is_code(tmp_path: Path) -> None:
    folder = sklearn_folder(tmp_path / "m", LogisticRegression(max_iter=500).fit(ROWS, CLASSES))
    (folder / "model.pkl").rename(folder / "model.json")
    mlmodel(folder, {"sklearn": {"pickled_model": "model.json"}})
    assert loading.runs_code(folder, MLmodel())
    assert served(folder).metadata.outputs[0].name == "prediction", "for it is one, and joblib reads it"


# --- categories that the metadata lists -------------------------------------------------------------------------------


def test_categories_in_the_metadata_of_the_file(tmp_path: Path) -> None:
    table = pandas.DataFrame({"n": [0, 1] * 60, "size": pandas.Categorical(["s", "m", "l"] * 40, ordered=True)})
    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(table, np.arange(120.0)), 5)
    flavors = {"lightgbm": {"data": "model.lgb", "lgb_version": "4.7.0"}}
    folder = mlmodel(tmp_path / "l", flavors, signature={"inputs": columns(n="long", size="string")})
    booster.save_model(folder / "model.lgb")
    assert 'metadata={"categories": {name: list(frame[name].cat.categories)}}' in refused(folder)
    mlmodel(folder, flavors, metadata={"categories": {"size": table["size"].cat.categories.tolist()}, "team": "blue"})
    size = Column(TensorType.String, ("size",), np.array(["s", "m", "l"], object))
    batch = Batch(3, (size, Column(TensorType.Int64, ("n",), np.array([0, 1, 0]))))
    assert served(folder).predict(batch, {}).columns[0].data.tolist() == booster.predict(table.head(3)).tolist()
    mlmodel(folder, flavors, metadata={"categories": ["s", "m", "l"]})
    with pytest.raises(
        Exception, match="'categories' in the metadata of the MLmodel file must be lists by column name"
    ):
        loading.load(folder, MLmodel(), Resources())
