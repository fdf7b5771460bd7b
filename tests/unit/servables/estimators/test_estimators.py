"""Estimators of three frameworks as servables: every number is what the framework's own method answers, dtype too."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import lightgbm
import numpy as np
import pandas
import pytest
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    BaggingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from forestflow.domain.errors import InvalidInput, LoadFailed, ModelFailed
from forestflow.domain.requests import SIGNATURE_KEY
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, TensorType
from forestflow.servables.estimators.estimator import Estimator
from forestflow.servables.estimators.files import load_estimator, runs_code
from forestflow.servables.estimators.inputs import Inputs
from forestflow.servables.estimators.scikit import of_scikit_learn
from forestflow.servables.estimators.servable import EstimatorServable

F32, F64, I64, TEXT, BOOL = (
    TensorType.Float32, TensorType.Float64, TensorType.Int64, TensorType.String, TensorType.Bool,
)  # fmt: skip
ROWS, CLASSES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])


def served(model: Any, inputs: Inputs | None = None, **options: Any) -> EstimatorServable:
    servable = EstimatorServable(of_scikit_learn(model, 1), inputs, **options)
    servable.warm_up()
    return servable


def records(*columns: tuple[TensorType, tuple[str, ...], Any]) -> Batch:
    made = tuple(Column(kind, fields, np.array(data, DTYPES[kind])) for kind, fields, data in columns)
    return Batch(len(made[0].data), made)


def tensor(name: str, data: Any) -> Batch:
    kinds = {dtype: kind for kind, dtype in DTYPES.items() if kind is not TensorType.Bytes}
    return Batch(len(data), (Column(kinds[data.dtype], (name,), data),), Layout.TENSORS)


def same(column: Column, expected: Any) -> None:
    assert column.data.tolist() == np.asarray(expected).tolist()
    if column.type is not TEXT:
        assert column.data.dtype == np.asarray(expected).dtype


def test_each_method_is_a_signature() -> None:
    model = LogisticRegression(max_iter=500).fit(ROWS, NAMES[CLASSES])
    servable = served(model)
    metadata = servable.metadata
    assert metadata.inputs == (IOMetadata("X", F64, (4,)),)
    assert metadata.default == "predict"
    outputs = {name: signature.outputs[0] for name, signature in metadata.signatures.items()}
    assert outputs == {
        "predict": IOMetadata("prediction", TEXT),
        "predict_proba": IOMetadata("probabilities", F64, (3,), "[0:setosa,1:versicolor,2:virginica]"),
        "predict_log_proba": IOMetadata("log_probabilities", F64, (3,), "[0:setosa,1:versicolor,2:virginica]"),
        "decision_function": IOMetadata("decision", F64, (3,)),
    }
    batch = records((F64, ("a", "b", "c", "d"), ROWS))
    for name in outputs:
        (column,) = servable.predict(batch, {SIGNATURE_KEY: name}).columns
        same(column, getattr(model, name)(ROWS))
    (column,) = servable.predict(batch, {SIGNATURE_KEY: "predict_proba"}).columns
    assert column.fields == tuple(NAMES)
    (column,) = servable.predict(tensor("anything", ROWS), {SIGNATURE_KEY: "predict_proba"}).columns
    assert column.fields == ("probabilities",)
    assert servable.merge_key({SIGNATURE_KEY: "predict_proba"}) != servable.merge_key({})
    with pytest.raises(InvalidInput, match="no signature 'transform'; it has 'predict', 'predict_proba'"):
        servable.predict(batch, {SIGNATURE_KEY: "transform"})


def test_columns_with_names_are_put_in_the_order_of_the_model() -> None:
    frame = pandas.DataFrame({"a": [3.0, 2.0, 4.0], "b": [7.0, 5.0, 3.0], "c": [0.5, 0.25, 1.0]})
    model = DecisionTreeRegressor(random_state=1).fit(frame, [1.0, 2.0, 3.0])
    servable = served(model)
    assert servable.metadata.inputs == tuple(IOMetadata(name, F64) for name in "abc")
    expected = model.predict(pandas.DataFrame({"a": [3.0, 5.0], "b": [7.0, 2.0], "c": [0.0, 8.0]}))
    assert len(set(expected)) == 2
    apart = {"b": [7.0, 2.0], "a": [3.0, 5.0], "c": [0.0, 8.0]}
    for batch in (
        records((F64, ("a", "b", "c"), [[3, 7, 0], [5, 2, 8]])),
        records((F64, ("c", "a"), [[0, 3], [8, 5]]), (I64, ("b",), [[7], [2]])),
        records((I64, ("b", "c", "a"), [[7, 0, 3], [2, 8, 5]])),
        tensor("input-0", np.array([[3, 7, 0], [5, 2, 8]], np.float32)),
        Batch(2, tuple(Column(F64, (name,), np.array(values)) for name, values in apart.items()), Layout.TENSORS),
    ):
        same(servable.predict(batch, {}).columns[0], expected)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (records((F64, ("a", "b"), [[1, 2]])), "input 'c' is missing; the model takes 'a', 'b', 'c'"),
        (records((F64, ("a", "b", "c", "d"), [[1, 2, 3, 4]])), "there is no input 'd'; the model takes 'a', 'b', 'c'"),
        (records((F64, ("a", "b"), [[1, 2]]), (TEXT, ("c",), [["x"]])), "input 'c' takes Float64, got String"),
        (records((F64, ("a",), [[1, 2]]), (F64, ("b", "c"), [[1, 2]])), "input 'a' takes one value a row, got 2"),
        (records((F64, ("a", "b", "c"), [[1, np.nan, 2]])), "the model refuses the input: Input X contains NaN."),
    ],
)
def test_what_does_not_fit_is_named(batch: Batch, message: str) -> None:
    frame = pandas.DataFrame({"a": [1.0, 2.0, 4.0], "b": [7.0, 5.0, 3.0], "c": [0.5, 0.25, 1.0]})
    servable = served(LinearRegression().fit(frame, [1.0, 2.0, 3.0]))
    with pytest.raises(InvalidInput) as caught:
        servable.predict(batch, {})
    assert caught.value.message == message


def test_booleans_are_numbers_where_nothing_says_otherwise() -> None:
    frame = pandas.DataFrame({"a": [True, False, True, True], "b": [7.0, 5.0, 3.0, 1.0]})
    model = LinearRegression().fit(frame, [1.0, 2.0, 3.0, 7.0])
    batch = records((F64, ("b",), frame[["b"]]), (BOOL, ("a",), frame[["a"]]))
    same(served(model).predict(batch, {}).columns[0], model.predict(frame))
    both = records((BOOL, ("b", "a"), [[True, False]]))
    same(served(model).predict(both, {}).columns[0], model.predict(pandas.DataFrame({"a": [False], "b": [True]})))
    with pytest.raises(InvalidInput, match="input 'a' takes Float64, got Bool"):
        served(model, Inputs((IOMetadata("a", F64), IOMetadata("b", F64)))).predict(batch, {})


def test_a_model_without_names_still_knows_how_many_features_it_has() -> None:
    servable = served(LinearRegression().fit(ROWS, CLASSES))
    with pytest.raises(
        InvalidInput, match=r"input 'X' takes Float64 of shape \[-1, 4\], got Float64 of shape \[1, 3\]"
    ):
        servable.predict(records((F64, ("a", "b", "c"), [[1, 2, 3]])), {})


def test_a_pipeline_of_texts_and_numbers_gets_a_frame() -> None:
    frame = pandas.DataFrame({"colour": ["red", "blue", "red", "green"], "size": [1, 2, 3, 4]})
    encoder = ColumnTransformer([("one", OneHotEncoder(handle_unknown="ignore"), ["colour"])], remainder="passthrough")
    model = make_pipeline(encoder, DecisionTreeClassifier(random_state=1)).fit(frame, ["s", "m", "m", "l"])
    inputs = Inputs((IOMetadata("colour", TEXT), IOMetadata("size", I64)))
    servable = served(model, inputs)
    batch = records((I64, ("size",), [[2], [4], [1]]), (TEXT, ("colour",), [["blue"], ["green"], ["none"]]))
    expected = model.predict(pandas.DataFrame({"colour": ["blue", "green", "none"], "size": [2, 4, 1]}))
    same(servable.predict(batch, {}).columns[0], expected)
    with pytest.raises(InvalidInput, match="input 'size' takes Int64, got Float64"):
        servable.predict(records((F64, ("size",), [[2.0]]), (TEXT, ("colour",), [["blue"]])), {})


def test_numbers_that_are_chosen_by_name_get_a_frame_too() -> None:
    frame = pandas.DataFrame({"a": [1.0, 2.0, 4.0], "b": [7.0, 5.0, 3.0]})
    model = make_pipeline(ColumnTransformer([("b", StandardScaler(), ["b"])]), LinearRegression()).fit(frame, [1, 2, 3])
    servable = served(model)
    batch = records((F64, ("b", "a"), [[7, 1], [5, 2]]))
    same(servable.predict(batch, {}).columns[0], model.predict(frame[:2]))


def test_a_vectorizer_gets_the_texts_themselves() -> None:
    texts = ["red wine", "blue sky", "white wine", "dark sky"]
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, ["drink", "air", "drink", "air"])
    servable = served(model, Inputs((IOMetadata("text", TEXT),)))
    answer = servable.predict(records((TEXT, ("text",), [["sky"], ["wine"], ["sky"]])), {})
    same(answer.columns[0], model.predict(["sky", "wine", "sky"]))


def test_a_transformer_and_several_targets() -> None:
    model = KMeans(2, n_init=1, random_state=1).fit(ROWS)
    batch = records((F64, ("a", "b", "c", "d"), ROWS))
    servable = served(model)
    same(servable.predict(batch, {}).columns[0], model.predict(ROWS))
    same(servable.predict(batch, {SIGNATURE_KEY: "transform"}).columns[0], model.transform(ROWS))
    assert served(StandardScaler().fit(ROWS)).metadata.default == "transform"

    both = DecisionTreeClassifier(random_state=1).fit(ROWS, np.stack([CLASSES, CLASSES % 2], axis=1))
    answer = served(both).predict(batch, {SIGNATURE_KEY: "predict_proba"})
    assert [column.fields for column in answer.columns] == [("probabilities_0",), ("probabilities_1",)]
    for column, expected in zip(answer.columns, both.predict_proba(ROWS), strict=True):
        same(column, expected)


def test_the_file_may_say_which_method_answers() -> None:
    model = LogisticRegression(max_iter=500).fit(ROWS, CLASSES)
    servable = served(model, default="predict_proba")
    assert servable.metadata.default == "predict_proba"
    same(servable.predict(tensor("X", ROWS), {}).columns[0], model.predict_proba(ROWS))
    assert served(model, default="nothing").metadata.default == "predict"


def test_a_signature_of_another_width_is_refused() -> None:
    model = LinearRegression().fit(ROWS, CLASSES)
    with pytest.raises(LoadFailed, match="the signature has 2 columns, the model was trained with 4 features"):
        served(model, Inputs((IOMetadata("a", F64), IOMetadata("b", F64))))


def test_no_more_jobs_than_threads() -> None:
    forest = RandomForestClassifier(3, n_jobs=-1, random_state=1).fit(ROWS, CLASSES)
    pipeline = make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=2)).fit(ROWS, CLASSES)
    of_scikit_learn(forest, 2)
    assert forest.n_jobs == 2
    of_scikit_learn(pipeline, 1)
    assert pipeline[-1].n_jobs == 1
    assert '"nthread":"1"' in pipeline[-1].get_booster().save_config()


def test_no_more_jobs_than_threads_within_wrappers() -> None:
    """The parts that answer are copies of the prototype that ``get_params`` shows."""
    searched = GridSearchCV(xgboost.XGBClassifier(n_estimators=2), {"max_depth": [2, 3]}, cv=2).fit(ROWS, CLASSES)
    each = MultiOutputRegressor(RandomForestRegressor(2, n_jobs=-1)).fit(ROWS, ROWS[:, :2])
    light = CalibratedClassifierCV(lightgbm.LGBMClassifier(n_estimators=2, verbose=-1), cv=2).fit(ROWS, CLASSES)
    other = TransformedTargetRegressor(make_pipeline(StandardScaler(), RandomForestRegressor(2, n_jobs=8)))
    other.fit(ROWS, CLASSES)
    for model in (searched, each, light, other):
        of_scikit_learn(model, 1)
    assert '"nthread":"1"' in searched.best_estimator_.get_booster().save_config()
    assert [forest.n_jobs for forest in each.estimators_] == [1, 1]
    assert [part.estimator.n_jobs for part in light.calibrated_classifiers_] == [1, 1]
    assert other.regressor_[-1].n_jobs == 1


def test_code_of_a_model_that_fails_is_its_own_fault() -> None:
    def broken(rows: Any) -> Any:
        raise ValueError("no")

    servable = EstimatorServable(Estimator({"predict": broken}, width=2, refusals=()))
    with pytest.raises(ModelFailed, match="the model failed: ValueError: no"):
        servable.predict(tensor("X", np.zeros((1, 2))), {})


# --- XGBoost and LightGBM ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".ubj", ".json"])
@pytest.mark.parametrize("named", [True, False])
def test_a_booster_of_xgboost(tmp_path: Path, suffix: str, named: bool) -> None:
    holes = np.where(np.random.default_rng(7).random(ROWS.shape) < 0.2, np.nan, ROWS)
    data = xgboost.DMatrix(holes, label=CLASSES, feature_names=list("abcd") if named else None)
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 3, "seed": 1}, data, 5)
    path = tmp_path / f"model{suffix}"
    booster.save_model(path)
    servable = EstimatorServable(load_estimator(path, 1, framework="xgboost"))
    servable.warm_up()
    assert servable.metadata.inputs[0].type is F32
    answer = servable.predict(records((F64, tuple("abcd"), holes)), {})
    same(answer.columns[0], booster.predict(data))
    if not named:
        answer = servable.predict(tensor("X", holes.astype(np.float32)), {})
        same(answer.columns[0], booster.predict(data))


@pytest.mark.parametrize("cls", [xgboost.XGBClassifier, xgboost.XGBRegressor])
def test_models_of_xgboost(tmp_path: Path, cls: Any) -> None:
    model = cls(n_estimators=5, random_state=1).fit(ROWS, CLASSES)
    path = tmp_path / "model.ubj"
    model.save_model(path)
    estimator = load_estimator(path, 1, framework="xgboost", model_class=f"xgboost.sklearn.{cls.__name__}")
    servable = EstimatorServable(estimator)
    for name in servable.metadata.signatures:
        (column,) = servable.predict(tensor("X", ROWS), {SIGNATURE_KEY: name}).columns
        same(column, getattr(model, name)(ROWS))
    with pytest.raises(InvalidInput, match=r"takes Float32, up to 3\.40282e\+38; got 1e\+300"):
        servable.predict(tensor("X", np.full((1, 4), 1e300)), {})
    with pytest.raises(LoadFailed, match=r"XGBoost has no model class 'os\.system'"):
        load_estimator(path, 1, framework="xgboost", model_class="os.system")


def regressor() -> Any:
    return xgboost.XGBRegressor(n_estimators=4, random_state=1)


WRAPPERS: dict[str, Any] = {
    "another target": TransformedTargetRegressor(regressor(), func=np.log1p, inverse_func=np.expm1),
    "searched": GridSearchCV(regressor(), {"max_depth": [2, 3]}, cv=2),
    "searched pipeline": GridSearchCV(Pipeline([("m", regressor())]), {"m__max_depth": [2, 3]}, cv=2),
    "stacked": StackingRegressor([("a", regressor()), ("b", DecisionTreeRegressor(max_depth=2))], regressor(), cv=2),
    "voting": VotingRegressor([("a", regressor()), ("b", DecisionTreeRegressor(max_depth=2))]),
    "calibrated": CalibratedClassifierCV(xgboost.XGBClassifier(n_estimators=4, random_state=1), cv=2),
    "bagged": BaggingRegressor(regressor(), 2, random_state=1),
    "many targets": MultiOutputRegressor(regressor()),
    "wrapped twice": MultiOutputRegressor(TransformedTargetRegressor(regressor())),
}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_around_models_of_xgboost(name: str, named: bool, tmp_path: Path) -> None:
    rows = pandas.DataFrame(ROWS, columns=list("abcd")) if named else ROWS
    target = np.stack([CLASSES, ROWS[:, 0]], axis=1) if name in ("many targets", "wrapped twice") else CLASSES
    model = WRAPPERS[name].fit(rows, target)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    servable = EstimatorServable(load_estimator(tmp_path / "model.pkl", 1, framework="sklearn"))
    servable.warm_up()
    (column,) = servable.predict(records((F64, tuple("abcd"), ROWS)), {}).columns
    same(column, model.predict(rows))


def test_a_model_of_xgboost_that_was_not_fitted_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(xgboost.XGBRegressor()))
    with pytest.raises(LoadFailed, match=r"'model\.pkl' cannot be loaded: NotFittedError"):
        load_estimator(tmp_path / "model.pkl", 1, framework="xgboost", serialization="pickle")


@pytest.mark.parametrize("suffix", [".lgb", ".txt"])
def test_a_booster_of_lightgbm(tmp_path: Path, suffix: str) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1, random_state=1).fit(ROWS, CLASSES)
    path = tmp_path / f"model{suffix}"
    model.booster_.save_model(path)
    servable = EstimatorServable(load_estimator(path, 1, framework="lightgbm"))
    assert servable.metadata.inputs == (IOMetadata("X", F64, (4,)),)
    same(servable.predict(tensor("X", ROWS), {}).columns[0], model.booster_.predict(ROWS))
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(model))
    servable = EstimatorServable(load_estimator(path, 1, framework="lightgbm", serialization="pickle"))
    for name in ("predict", "predict_proba"):
        (column,) = servable.predict(tensor("X", ROWS), {SIGNATURE_KEY: name}).columns
        same(column, getattr(model, name)(ROWS))


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serialization", ["pickle", "cloudpickle", "joblib", None])
def test_pickles_of_every_kind(tmp_path: Path, serialization: str | None) -> None:
    model = LinearRegression().fit(ROWS, CLASSES)
    path = tmp_path / "model.pkl"
    if serialization == "cloudpickle":
        path.write_bytes(cloudpickle.dumps(model))
    elif serialization == "joblib":
        joblib.dump(model, path)
    else:
        path.write_bytes(pickle.dumps(model))
    assert runs_code(path, "sklearn", serialization)
    servable = EstimatorServable(load_estimator(path, 1, framework="sklearn", serialization=serialization))
    same(servable.predict(tensor("X", ROWS), {}).columns[0], model.predict(ROWS))


def test_files_that_cannot_be_loaded_say_why(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"nothing")
    with pytest.raises(LoadFailed, match=r"'model.pkl' cannot be loaded: .*written by sklearn 0\.20, here is"):
        load_estimator(path, 1, framework="sklearn", serialization="pickle", written_by="0.20")
    path.write_bytes(b"cnot_a_module\nThing\n.")
    with pytest.raises(LoadFailed, match=r"needs a package that is not installed: No module named 'not_a_module'"):
        load_estimator(path, 1, framework="sklearn", serialization="pickle")
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(LoadFailed, match="holds a dict, which can neither predict nor transform"):
        load_estimator(path, 1, framework="sklearn", serialization="pickle")
    with pytest.raises(LoadFailed, match="format 'marshal' is not supported"):
        load_estimator(path, 1, framework="sklearn", serialization="marshal")


def test_only_pickles_run_code() -> None:
    assert not runs_code(Path("model.ubj"), "xgboost", None)
    assert not runs_code(Path("model.lgb"), "lightgbm", "skops")
    assert not runs_code(Path("model.skops"), "sklearn", "skops")
    assert not runs_code(Path("model.skops"), "sklearn", None)
    assert runs_code(Path("model.ubj"), "xgboost", "pickle")
    assert runs_code(Path("model.ubj"), "sklearn", None), "joblib reads it"
    assert runs_code(Path("model"), "sklearn", None)


# --- rows ------------------------------------------------------------------------------------------------------------


def independent(servable: EstimatorServable) -> dict[str, bool]:
    return {method: found.shown for method, found in servable.independence().items()}


def test_rows_of_estimators_of_scikit_learn_are_tried() -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(ROWS, NAMES[CLASSES])
    assert independent(served(model)) == dict.fromkeys(served(model).metadata.signatures, True)
    forest = RandomForestClassifier(10, random_state=1).fit(ROWS, CLASSES)
    assert all(independent(served(forest, example={"X": ROWS[:4]})).values())


@pytest.mark.parametrize(
    "step",
    [
        lambda rows: rows - rows.mean(axis=0),
        lambda rows: rows / rows.max(axis=0),
        lambda rows: rows[::-1],
        lambda rows: np.where(np.isnan(rows), np.nanmean(rows, axis=0), rows),
    ],
)
def test_a_step_that_looks_at_the_batch_is_seen(step: Any) -> None:
    model = make_pipeline(FunctionTransformer(step), LinearRegression()).fit(ROWS, CLASSES)
    assert independent(served(model)) == {"predict": False}
    kept = make_pipeline(FunctionTransformer(np.tanh), LinearRegression()).fit(ROWS, CLASSES)
    assert independent(served(kept)) == {"predict": True}


def test_an_example_has_values_that_a_pipeline_takes() -> None:
    frame = pandas.DataFrame({"city": ["Bern", "Oslo", "Rome", "Oslo"], "age": [20.0, 30.0, 40.0, 50.0]})
    encoder = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(encoder, LinearRegression()).fit(frame, [1.0, 2.0, 3.0, 4.0])
    inputs = Inputs((IOMetadata("city", TEXT), IOMetadata("age", F64)))
    example = {"city": frame["city"].to_numpy(object), "age": frame["age"].to_numpy()}
    assert independent(served(model, inputs, example=example)) == {"predict": True}
    assert independent(served(model, inputs)) == {"predict": True}, "the encoder knows cities, too"


def test_a_pipeline_that_takes_nothing_made_up_is_not_trusted() -> None:
    def only_bern(frame: Any) -> Any:
        if set(frame["city"]) - {"Bern"}:
            raise ValueError("no such city")
        return frame[["age"]]

    frame = pandas.DataFrame({"city": ["Bern"] * 4, "age": [20.0, 30.0, 40.0, 50.0]})
    model = make_pipeline(FunctionTransformer(only_bern), LinearRegression()).fit(frame, [1.0, 2.0, 3.0, 4.0])
    found = served(model, Inputs((IOMetadata("city", TEXT), IOMetadata("age", F64)))).independence()["predict"]
    assert not found.shown, "no city is known without an example, and it may be that rows depend on each other"
    assert "refuses made-up inputs" in found.reason


def test_trees_of_xgboost_and_lightgbm_have_independent_rows_by_construction(tmp_path: Path) -> None:
    boosted = xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(ROWS, CLASSES)
    light = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(ROWS, CLASSES)
    for model in (boosted, light):
        found = served(model).independence()
        assert all(one.shown and "by construction" in one.reason for one in found.values())
    boosted.get_booster().save_model(tmp_path / "m.ubj")
    light.booster_.save_model(tmp_path / "m.txt")
    for name, framework in (("m.ubj", "xgboost"), ("m.txt", "lightgbm")):
        found = EstimatorServable(load_estimator(tmp_path / name, 1, framework=framework)).independence()
        assert found["predict"].shown

    class Centered(xgboost.XGBRegressor):
        def predict(self, rows: Any, **options: Any) -> Any:
            return super().predict(rows - rows.mean(axis=0), **options)

    assert independent(served(Centered(n_estimators=5).fit(ROWS, CLASSES))) == {"predict": False}
