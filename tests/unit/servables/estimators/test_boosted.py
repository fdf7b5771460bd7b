"""XGBoost's boosters of every kind and objective: the answers are those of its own predict, and of its own limits."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas
import pytest
import xgboost
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import make_pipeline

from forestflow.domain.errors import InvalidInput
from forestflow.domain.requests import SIGNATURE_KEY
from forestflow.domain.tensors import Batch, Column, Layout, TensorType
from forestflow.servables.estimators.files import load_estimator
from forestflow.servables.estimators.scikit import of_scikit_learn
from forestflow.servables.estimators.servable import EstimatorServable

MADE = np.random.default_rng(5)
ROWS = np.where(MADE.random((90, 4)) < 0.1, np.nan, MADE.random((90, 4)))
FULL = MADE.random((90, 4))
CLASSES = np.arange(90) % 3
TARGET = FULL @ [1.0, 2.0, -1.0, 0.5] + CLASSES


def answers(servable: EstimatorServable, rows: Any, **configs: str) -> list[Any]:
    batch = Batch(len(rows), (Column(TensorType.Float64, ("any",), rows),), Layout.TENSORS)
    found: list[Any] = servable.predict(batch, configs).columns[0].data.tolist()
    return found


def served(path: Path, **options: Any) -> EstimatorServable:
    servable = EstimatorServable(load_estimator(path, 1, framework="xgboost", **options))
    servable.warm_up()
    return servable


PARAMETERS: dict[str, dict[str, Any]] = {
    "gbtree": {},
    "gblinear": {"booster": "gblinear"},
    "gblinear of classes": {"booster": "gblinear", "objective": "multi:softprob", "num_class": 3},
    "dart": {"booster": "dart", "rate_drop": 0.3},
    "softmax": {"objective": "multi:softmax", "num_class": 3},
    "softprob": {"objective": "multi:softprob", "num_class": 3},
    "dart of classes": {"booster": "dart", "rate_drop": 0.3, "objective": "multi:softprob", "num_class": 3},
    "margins": {"objective": "binary:logitraw"},
    "counts": {"objective": "count:poisson"},
    "ranking": {"objective": "rank:ndcg"},
    "quantiles": {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]},
    "forest": {"num_parallel_tree": 3, "subsample": 0.5},
}


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("kind", PARAMETERS)
def test_boosters_of_every_kind(tmp_path: Path, kind: str, pickled: bool) -> None:
    parameters = PARAMETERS[kind]
    if "num_class" in parameters or parameters.get("objective") == "rank:ndcg":
        label = CLASSES
    else:
        label = (CLASSES > 0).astype(int) if kind == "margins" else TARGET - TARGET.min()
    rows = FULL if "gblinear" in kind else ROWS
    data = xgboost.DMatrix(rows, label)
    if kind == "ranking":
        data.set_group([30, 30, 30])
    booster = xgboost.train({"seed": 1, "nthread": 1, **parameters}, data, 6)
    path = tmp_path / ("model.pkl" if pickled else "model.ubj")
    if pickled:
        path.write_bytes(pickle.dumps(booster))
    else:
        booster.save_model(path)
    servable = served(path, serialization="pickle" if pickled else None)
    expected = booster.predict(xgboost.DMatrix(rows))
    assert answers(servable, rows) == expected.tolist()
    assert answers(servable, rows[4:5]) == expected[4:5].tolist()
    (output,) = servable.metadata.outputs
    assert (output.type, output.shape) == (TensorType.Float32, expected.shape[1:])


def test_gblinear_with_names_and_what_is_missing(tmp_path: Path) -> None:
    table = pandas.DataFrame(FULL, columns=list("abcd"))
    booster = xgboost.train({"booster": "gblinear", "nthread": 1}, xgboost.DMatrix(table, TARGET), 5)
    booster.save_model(tmp_path / "model.json")
    servable = served(tmp_path / "model.json")
    swapped = Column(TensorType.Float64, tuple("dcba"), ROWS[:, ::-1])
    found = servable.predict(Batch(len(ROWS), (swapped,)), {}).columns[0].data.tolist()
    assert found == booster.predict(xgboost.DMatrix(pandas.DataFrame(ROWS, columns=list("abcd")))).tolist()


@pytest.mark.parametrize("booster", ["gbtree", "gblinear", "dart"])
@pytest.mark.parametrize("cls", [xgboost.XGBClassifier, xgboost.XGBRegressor, xgboost.XGBRanker])
def test_models_of_every_booster(tmp_path: Path, cls: Any, booster: str) -> None:
    model = cls(n_estimators=5, booster=booster, random_state=1, n_jobs=1)
    more = {"group": [30, 30, 30]} if cls is xgboost.XGBRanker else {}
    model.fit(FULL, TARGET if cls is xgboost.XGBRegressor else CLASSES, **more)
    model.save_model(tmp_path / "model.ubj")
    servable = served(tmp_path / "model.ubj", model_class=f"xgboost.sklearn.{cls.__name__}")
    for method in servable.metadata.signatures:
        assert answers(servable, FULL, **{SIGNATURE_KEY: method}) == getattr(model, method)(FULL).tolist()


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("booster", ["gbtree", "gblinear", "dart"])
@pytest.mark.parametrize("cls", [xgboost.XGBClassifier, xgboost.XGBRegressor, xgboost.XGBRanker])
def test_models_trained_on_a_data_frame(tmp_path: Path, cls: Any, booster: str, pickled: bool) -> None:
    table = pandas.DataFrame(FULL, columns=list("abcd"))
    model = cls(n_estimators=5, booster=booster, random_state=1, n_jobs=1)
    more = {"group": [30, 30, 30]} if cls is xgboost.XGBRanker else {}
    model.fit(table, TARGET if cls is xgboost.XGBRegressor else CLASSES, **more)
    path = tmp_path / ("model.pkl" if pickled else "model.ubj")
    if pickled:
        path.write_bytes(pickle.dumps(model))
    else:
        model.save_model(path)
    name = f"xgboost.sklearn.{cls.__name__}"
    servable = served(path, model_class=name, serialization="pickle" if pickled else None)
    swapped = Batch(90, (Column(TensorType.Float64, tuple("dcba"), FULL[:, ::-1]),))
    for method in servable.metadata.signatures:
        expected = getattr(model, method)(table).tolist()
        assert servable.predict(swapped, {SIGNATURE_KEY: method}).columns[0].data.tolist() == expected
    with pytest.raises(InvalidInput, match="there is no input 'e'"):
        servable.predict(Batch(90, (Column(TensorType.Float64, tuple("abce"), FULL),)), {})


@pytest.mark.parametrize("booster", ["gbtree", "gblinear"])
@pytest.mark.parametrize("made", [lambda model: make_pipeline("passthrough", model), TransformedTargetRegressor])
def test_models_within_others_trained_on_a_data_frame(booster: str, made: Any) -> None:
    table = pandas.DataFrame(FULL, columns=list("abcd"))
    model = made(xgboost.XGBRegressor(n_estimators=5, booster=booster, n_jobs=1)).fit(table, TARGET)
    servable = EstimatorServable(of_scikit_learn(pickle.loads(pickle.dumps(model)), 1))
    swapped = Batch(90, (Column(TensorType.Float64, tuple("dcba"), FULL[:, ::-1]),))
    assert servable.predict(swapped, {}).columns[0].data.tolist() == model.predict(table).tolist()


def test_training_that_stopped_early(tmp_path: Path) -> None:
    """XGBoost's models stop at the best iteration, its boosters do not, and LightGBM's do."""
    noise = MADE.random(90)
    model = xgboost.XGBRegressor(n_estimators=40, early_stopping_rounds=3, learning_rate=1.0, random_state=1)
    model.fit(FULL, TARGET, eval_set=[(FULL[::-1], noise)], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    model.save_model(tmp_path / "model.ubj")
    best = served(tmp_path / "model.ubj", model_class="xgboost.sklearn.XGBRegressor")
    everything = served(tmp_path / "model.ubj")
    assert answers(best, FULL) == model.predict(FULL).tolist()
    assert answers(everything, FULL) == model.get_booster().predict(xgboost.DMatrix(FULL)).tolist()
    assert answers(best, FULL) != answers(everything, FULL)

    light = lightgbm.LGBMRegressor(n_estimators=40, learning_rate=1.0, verbose=-1, min_child_samples=1)
    light.fit(FULL, TARGET, eval_X=FULL[::-1], eval_y=noise, callbacks=[lightgbm.early_stopping(3, verbose=False)])
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(light))
    loaded = load_estimator(tmp_path / "model.pkl", 1, framework="lightgbm", serialization="pickle")
    assert answers(EstimatorServable(loaded), FULL) == light.predict(FULL).tolist()
