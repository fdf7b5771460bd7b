"""Models trained on pandas' categories: what a request says is the category, and the answer that of a DataFrame."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas
import pytest
import xgboost
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline

from forestflow.domain.errors import InvalidInput, LoadFailed
from forestflow.domain.requests import SIGNATURE_KEY
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, TensorType, concat
from forestflow.servables.estimators.files import load_estimator
from forestflow.servables.estimators.inputs import Inputs
from forestflow.servables.estimators.levels import Levels
from forestflow.servables.estimators.scikit import of_scikit_learn
from forestflow.servables.estimators.servable import EstimatorServable

F32, F64, I64, TEXT, BOOL = (
    TensorType.Float32, TensorType.Float64, TensorType.Int64, TensorType.String, TensorType.Bool,
)  # fmt: skip

LEVELS = {
    "whole numbers": [10, 20, 30],
    "fractions": [0.1, 0.25, 7.5],
    "texts": ["red", "green", "blau grün"],
    "booleans": [True, False],
}
KINDS = {"whole numbers": I64, "fractions": F64, "texts": TEXT, "booleans": BOOL}
TARGET = np.array([0.0, 1.0, 5.0] * 40)


def frame(levels: list[Any], rows: int = 120) -> pandas.DataFrame:
    """The category first, and a number that takes part, too."""
    values = (levels * rows)[:rows]
    return pandas.DataFrame({"c": pandas.Categorical(values), "x": np.arange(rows) % 7 / 2})


def target(levels: list[Any]) -> np.ndarray[Any, Any]:
    return np.array([levels.index(value) ** 2 + i % 7 for i, value in enumerate((levels * 120)[:120])], float)


def given(frame: pandas.DataFrame) -> Batch:
    """The rows as clients send them: values, columns in another order."""
    kinds = {"i": I64, "f": F64, "b": BOOL, "O": TEXT, "U": TEXT}
    columns = []
    for name in frame.columns[::-1]:
        data = np.array(frame[name].tolist())
        kind = kinds[data.dtype.kind]
        columns.append(Column(kind, (name,), data.astype(DTYPES[kind])))
    return Batch(len(frame), tuple(columns))


def answers(servable: EstimatorServable, batch: Batch, **configs: str) -> list[Any]:
    found: list[Any] = servable.predict(batch, configs).columns[0].data.tolist()
    return found


def lightgbm_booster(path: Path, table: pandas.DataFrame, y: Any, **_: Any) -> tuple[Any, EstimatorServable]:
    booster = lightgbm.train(
        {"verbose": -1, "min_data_in_leaf": 1, "min_data_per_group": 1}, lightgbm.Dataset(table, y), 20
    )
    booster.save_model(path / "model.lgb")
    return booster.predict, EstimatorServable(load_estimator(path / "model.lgb", 1, framework="lightgbm"))


def lightgbm_model(path: Path, table: pandas.DataFrame, y: Any, **_: Any) -> tuple[Any, EstimatorServable]:
    model = lightgbm.LGBMRegressor(n_estimators=20, min_child_samples=1, min_data_per_group=1, verbose=-1).fit(table, y)
    (path / "model.pkl").write_bytes(pickle.dumps(model))
    loaded = load_estimator(path / "model.pkl", 1, framework="lightgbm", serialization="pickle")
    return model.predict, EstimatorServable(loaded)


def xgboost_booster(
    path: Path, table: pandas.DataFrame, y: Any, booster: str = "gbtree"
) -> tuple[Any, EstimatorServable]:
    model = xgboost.train({"booster": booster, "seed": 1}, xgboost.DMatrix(table, y, enable_categorical=True), 20)
    model.save_model(path / "model.ubj")
    servable = EstimatorServable(load_estimator(path / "model.ubj", 1, framework="xgboost"))
    return lambda frame: model.predict(xgboost.DMatrix(frame, enable_categorical=True)), servable


def xgboost_dart(path: Path, table: pandas.DataFrame, y: Any) -> tuple[Any, EstimatorServable]:
    return xgboost_booster(path, table, y, "dart")


def xgboost_model(path: Path, table: pandas.DataFrame, y: Any) -> tuple[Any, EstimatorServable]:
    model = xgboost.XGBRegressor(n_estimators=20, enable_categorical=True, random_state=1).fit(table, y)
    model.save_model(path / "model.json")
    loaded = load_estimator(path / "model.json", 1, framework="xgboost", model_class="xgboost.sklearn.XGBRegressor")
    return model.predict, EstimatorServable(loaded)


def pipeline(path: Path, table: pandas.DataFrame, y: Any) -> tuple[Any, EstimatorServable]:
    """Of which the last step alone knows the categories, and takes them from a DataFrame."""
    last = lightgbm.LGBMRegressor(n_estimators=20, min_child_samples=1, min_data_per_group=1, verbose=-1)
    model = make_pipeline("passthrough", last).fit(table, y)
    return model.predict, EstimatorServable(of_scikit_learn(pickle.loads(pickle.dumps(model)), 1))


def xgboost_pipeline(path: Path, table: pandas.DataFrame, y: Any) -> tuple[Any, EstimatorServable]:
    last = xgboost.XGBRegressor(n_estimators=20, enable_categorical=True, random_state=1)
    model = make_pipeline("passthrough", last).fit(table, y)
    return model.predict, EstimatorServable(of_scikit_learn(pickle.loads(pickle.dumps(model)), 1))


def histogram(path: Path, table: pandas.DataFrame, y: Any) -> tuple[Any, EstimatorServable]:
    model = HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=20, min_samples_leaf=1).fit(
        table, y
    )
    return model.predict, EstimatorServable(of_scikit_learn(model, 1))


LIGHTGBM = [lightgbm_booster, lightgbm_model, pipeline]
XGBOOST = [xgboost_booster, xgboost_dart, xgboost_model, xgboost_pipeline]


@pytest.mark.parametrize(
    ("make", "levels"),
    [(make, levels) for make in (*LIGHTGBM, histogram) for levels in LEVELS]
    + [(make, levels) for make in XGBOOST for levels in ("whole numbers", "texts")],  # it refuses to train on others
)
def test_values_are_categories_and_no_codes(tmp_path: Path, make: Any, levels: str) -> None:
    values = [value for value in LEVELS[levels] if make not in XGBOOST or value != "blau grün"]
    table = frame(values)
    predict, servable = make(tmp_path, table, target(values))
    servable.warm_up()
    kind = F64 if make is histogram and levels != "texts" else KINDS[levels]
    assert [(io.name, io.type) for io in servable.metadata.inputs] == [
        ("c", kind),
        ("x", servable.metadata.inputs[1].type),
    ]
    rows = table.tail(20)
    batch = given(rows.astype({"c": float}) if make is histogram and levels == "booleans" else rows)
    expected = predict(rows).tolist()
    assert len(set(expected)) > 7
    assert answers(servable, batch) == expected
    one_by_one = [answers(servable, batch.slice(i, i + 1))[0] for i in range(batch.rows)]
    assert one_by_one == expected
    merged = servable.predict(concat([batch.slice(0, 3), batch.slice(3, 20)]), {})
    assert merged.columns[0].data.tolist() == expected
    tensors = Batch(batch.rows, batch.columns, Layout.TENSORS)
    assert answers(servable, tensors) == expected
    assert servable.predict(tensors, {}).layout is Layout.TENSORS


@pytest.mark.parametrize("make", [*LIGHTGBM, *XGBOOST, histogram])
def test_one_matrix_of_numbers_holds_values_too(tmp_path: Path, make: Any) -> None:
    table = frame(LEVELS["whole numbers"])
    predict, servable = make(tmp_path, table, TARGET)
    expected = predict(table.head(9)).tolist()
    matrix = table.head(9).astype(float).to_numpy()
    for kind, fields, layout in (
        (F64, ("anything",), Layout.TENSORS),
        (F32, ("anything",), Layout.TENSORS),
        (F64, ("c", "x"), Layout.RECORDS),
    ):
        batch = Batch(9, (Column(kind, fields, matrix.astype(DTYPES[kind])),), layout)
        assert answers(servable, batch) == expected
    swapped = Batch(9, (Column(F64, ("x", "c"), matrix[:, ::-1]),))
    assert answers(servable, swapped) == expected


def unusual(levels: list[Any]) -> tuple[pandas.DataFrame, Batch]:
    """One that training has not seen, and a missing one: as a DataFrame of the training's categories, and as sent."""
    seen = pandas.CategoricalDtype(pandas.Categorical(levels).categories)
    other = "zinc" if isinstance(levels[0], str) else 99
    values = [levels[0], other, None if isinstance(levels[0], str) else np.nan]
    known = pandas.Categorical([values[0], None, None], dtype=seen)
    kind = TEXT if isinstance(levels[0], str) else F64
    sent = Column(kind, ("c",), np.array(values, DTYPES[kind]))
    x = np.array([0.5, 0.5, np.nan])
    return pandas.DataFrame({"c": known, "x": x}), Batch(3, (sent, Column(F64, ("x",), x)))


@pytest.mark.parametrize("levels", ["whole numbers", "fractions", "texts", "booleans"])
@pytest.mark.parametrize("make", [*LIGHTGBM, histogram])
def test_what_training_has_not_seen_is_missing_to_lightgbm_and_scikit_learn(
    tmp_path: Path, make: Any, levels: str
) -> None:
    table = frame(LEVELS[levels])
    table.loc[::5, "c"] = None
    predict, servable = make(tmp_path, table, target(LEVELS[levels]))
    rows, batch = unusual(LEVELS[levels])
    assert answers(servable, batch) == predict(rows).tolist()


@pytest.mark.parametrize("levels", ["whole numbers", "texts"])
@pytest.mark.parametrize("make", XGBOOST)
def test_what_training_has_not_seen_is_refused_by_xgboost(tmp_path: Path, make: Any, levels: str) -> None:
    values = [value for value in LEVELS[levels] if value != "blau grün"]
    table = frame(values)
    table.loc[::5, "c"] = None
    predict, servable = make(tmp_path, table, target(values))
    rows, batch = unusual(values)
    other, name = ("zinc", "zinc") if levels == "texts" else (99, r"99\.0")
    with pytest.raises(xgboost.core.XGBoostError, match="Found a category not in the training set"):
        predict(pandas.DataFrame({"c": pandas.Categorical([values[0], other]), "x": [0.5, 0.5]}))
    with pytest.raises(InvalidInput, match=rf"input 'c': {name} is none of the {len(values)} categories of"):
        servable.predict(batch, {})
    for missing in ("", None) if levels == "texts" else (np.nan,):
        data = batch.columns[0].data.copy()
        data[1:] = missing
        sent = Batch(3, (Column(batch.columns[0].type, ("c",), data), batch.columns[1]))
        assert answers(servable, sent) == predict(rows).tolist()


def test_every_method_of_a_classifier_codes_its_input(tmp_path: Path) -> None:
    table = frame(["a", "b", "c"])
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, min_child_samples=1, min_data_per_group=1)
    model.fit(table, np.array(["no", "yes", "perhaps"] * 40))
    servable = EstimatorServable(of_scikit_learn(model, 1))
    for method in ("predict", "predict_proba"):
        assert (
            answers(servable, given(table.head(6)), **{SIGNATURE_KEY: method})
            == getattr(model, method)(table.head(6)).tolist()
        )


def test_a_wrong_type_is_refused(tmp_path: Path) -> None:
    for levels, kind, data, message in (
        ("whole numbers", TEXT, ["10"], "input 'c' takes Int64, got String"),
        ("texts", I64, [0], "input 'c' takes String, got Int64"),
        ("whole numbers", BOOL, [True], "input 'c' takes Int64, got Bool"),
        ("whole numbers", F64, [[10.0, 20.0]], "input 'c' takes one value a row, got 2"),
    ):
        _, servable = lightgbm_booster(tmp_path, frame(LEVELS[levels]), TARGET)
        x = Column(F64, ("x",), np.zeros(1))
        with pytest.raises(InvalidInput) as caught:
            servable.predict(Batch(1, (Column(kind, ("c",), np.array(data, DTYPES[kind])), x)), {})
        assert caught.value.message == message
        with pytest.raises(InvalidInput, match="input 'c' is missing; the model takes 'c', 'x'"):
            servable.predict(Batch(1, (x,)), {})
        c = Column(TEXT if levels == "texts" else I64, ("c",), np.array([LEVELS[levels][0]]))
        with pytest.raises(InvalidInput, match="there is no input 'd'; the model takes 'c', 'x'"):
            servable.predict(Batch(1, (c, x, Column(F64, ("d",), np.zeros(1)))), {})


def test_the_metadata_lists_the_categories(tmp_path: Path) -> None:
    _, servable = lightgbm_booster(tmp_path, frame(["a", "b", "c"]), TARGET)
    assert servable.metadata.inputs == (IOMetadata("c", TEXT, (), "[0:a,1:b,2:c]"), IOMetadata("x", F64))
    many = Levels([f"level {i}" for i in range(101)])
    assert many.described == "101 categories"


# --- which column has which categories --------------------------------------------------------------------------------


def test_lightgbm_with_many_columns_of_categories(tmp_path: Path) -> None:
    rows = np.arange(120)
    table = pandas.DataFrame(
        {
            "x": rows / 3,
            "text": pandas.Categorical(np.array(["a", "b", "c"])[rows % 3]),
            "one": pandas.Categorical(["z"] * 120),
            "n": rows % 5,
            "unused": pandas.Categorical(np.array(["u", "v"])[rows % 2], categories=["w", "v", "u"]),
            "flag": pandas.Categorical(rows % 4 == 0),
        }
    )
    y = (rows % 3) ** 2 + 3 * (rows % 2) + (rows % 4 == 0) + rows % 5
    predict, servable = lightgbm_booster(tmp_path, table, y)
    types = [io.type for io in servable.metadata.inputs]
    assert types == [F64, TEXT, TEXT, F64, TEXT, BOOL]
    assert answers(servable, given(table.head(30))) == predict(table.head(30)).tolist()


def test_lightgbm_with_an_ordered_column_whose_place_is_plain(tmp_path: Path) -> None:
    rows = np.arange(120)
    sizes = pandas.Categorical(np.array(["s", "m", "l"])[rows % 3], categories=["s", "m", "l"], ordered=True)
    table = pandas.DataFrame({"x": rows / 3, "size": sizes, "c": pandas.Categorical([10, 20, 30, 40] * 30)})
    predict, servable = lightgbm_booster(tmp_path, table, (rows % 3) + 2 * (rows % 4))
    assert [io.type for io in servable.metadata.inputs] == [F64, TEXT, I64]
    assert answers(servable, given(table.head(30))) == predict(table.head(30)).tolist()


def test_lightgbm_where_two_columns_could_be_the_ordered_one(tmp_path: Path) -> None:
    rows = np.arange(120)
    sizes = pandas.Categorical(np.array(["s", "m", "l"])[rows % 3], categories=["s", "m", "l"], ordered=True)
    table = pandas.DataFrame({"n": rows % 2, "size": sizes})
    y = (rows % 3) + 2 * (rows % 2)
    with pytest.raises(
        LoadFailed, match=r"categories of 1 columns that its files do not hold .*metadata=\{\"categories\""
    ):
        lightgbm_booster(tmp_path, table, y)
    told = load_estimator(tmp_path / "model.lgb", 1, framework="lightgbm", categories={"size": ["s", "m", "l"]})
    expected = lightgbm.Booster(model_file=tmp_path / "model.lgb").predict(table.head(9)).tolist()
    assert answers(EstimatorServable(told), given(table.head(9))) == expected


def test_more_columns_than_python_may_recurse(tmp_path: Path) -> None:
    rows = np.arange(120)
    table = pandas.DataFrame({f"x{i}": rows / 7 + i for i in range(1500)})
    table["size"] = pandas.Categorical(np.array(["s", "m"])[rows % 2], categories=["s", "m"], ordered=True)
    predict, servable = lightgbm_booster(tmp_path, table, rows % 2)
    assert answers(servable, given(table.head(4))) == predict(table.head(4)).tolist()


def stripped(path: Path, into: Path) -> Path:
    """The model as XGBoost before 3.1 wrote it: which columns have categories, but not which ones."""
    import json

    document = json.loads(path.read_text())
    document["learner"]["gradient_booster"]["model"].pop("cats")
    document["version"] = [3, 0, 5]
    into.write_text(json.dumps(document))
    return into


def test_xgboost_that_kept_no_categories_is_told_them(tmp_path: Path) -> None:
    table = frame([10, 20, 30])
    predict, _ = xgboost_model(tmp_path, table, TARGET)
    path = stripped(tmp_path / "model.json", tmp_path / "old.json")
    with pytest.raises(
        LoadFailed, match=r"categories of column 'c' that its files do not hold \(XGBoost keeps them from"
    ):
        load_estimator(path, 1, framework="xgboost")
    servable = EstimatorServable(load_estimator(path, 1, framework="xgboost", categories={"c": [10, 20, 30]}))
    assert answers(servable, given(table.head(9))) == predict(table.head(9)).tolist()
    old = xgboost.Booster(model_file=path)
    rows, batch = unusual([10, 20, 30])
    expected = old.predict(xgboost.DMatrix(rows, enable_categorical=True)).tolist()
    assert answers(servable, batch) == expected, "a model without categories takes an unseen one for a missing one"
    with pytest.raises(LoadFailed, match="the metadata has categories of 'd', which is no column of the model"):
        load_estimator(path, 1, framework="xgboost", categories={"c": [10], "d": [1]})
    with pytest.raises(
        LoadFailed, match="column 'c': categories must be all texts, all booleans or all numbers, not of"
    ):
        load_estimator(path, 1, framework="xgboost", categories={"c": [10, "a"]})


def test_texts_that_xgboost_keeps_badly_have_to_be_told(tmp_path: Path) -> None:
    table = frame(["grün", "rot", "weiß"])
    with pytest.raises(LoadFailed, match=r"from 3\.1 on, and only texts of ASCII"):
        xgboost_model(tmp_path, table, TARGET)
    model = xgboost.XGBRegressor()
    model.load_model(tmp_path / "model.json")
    told = load_estimator(
        tmp_path / "model.json",
        1,
        framework="xgboost",
        model_class="xgboost.sklearn.XGBRegressor",
        categories={"c": ["grün", "rot", "weiß"]},
    )
    assert answers(EstimatorServable(told), given(table.head(9))) == model.predict(table.head(9)).tolist()


def test_codes_of_an_array_are_codes(tmp_path: Path) -> None:
    matrix = np.array([[0.0, 1], [1, 2], [2, 3]] * 40)
    data = xgboost.DMatrix(matrix, TARGET, feature_types=["c", "q"], enable_categorical=True)
    booster = xgboost.train({}, data, 5)
    booster.save_model(tmp_path / "model.ubj")
    servable = EstimatorServable(load_estimator(tmp_path / "model.ubj", 1, framework="xgboost"))
    batch = Batch(3, (Column(F64, ("a", "b"), matrix[:3]),))
    assert answers(servable, batch) == booster.predict(data)[:3].tolist()
    whole = lightgbm.Dataset(pandas.DataFrame(matrix, columns=["a", "b"]), TARGET, categorical_feature=["a"])
    model = lightgbm.train({"verbose": -1, "min_data_per_group": 1}, whole, 5)
    model.save_model(tmp_path / "model.lgb")
    servable = EstimatorServable(load_estimator(tmp_path / "model.lgb", 1, framework="lightgbm"))
    assert answers(servable, batch) == model.predict(matrix[:3]).tolist()


@pytest.mark.parametrize("last", [lightgbm.LGBMRegressor(verbose=-1), xgboost.XGBRegressor(enable_categorical=True)])
def test_whole_numbers_of_every_width(tmp_path: Path, last: Any) -> None:
    """XGBoost compares the types of categories, too."""
    for dtype in (np.int8, np.int32, np.int64, np.uint8):
        table = frame([1, 2, 3])
        table["c"] = pandas.Categorical(np.array([1, 2, 3] * 40, dtype))
        model = make_pipeline("passthrough", last).fit(table, TARGET)
        servable = EstimatorServable(of_scikit_learn(model, 1))
        assert answers(servable, given(table.head(9))) == model.predict(table.head(9)).tolist()


# --- with a signature -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lightgbm_booster, xgboost_model, pipeline])
def test_a_signature_may_have_the_columns_in_another_order(tmp_path: Path, make: Any) -> None:
    table = frame(["a", "b", "c"])
    predict, servable = make(tmp_path, table, TARGET)
    inputs = Inputs((IOMetadata("x", F64), IOMetadata("c", TEXT)), optional=frozenset({"c"}))
    example = {"x": np.array([1.0]), "c": np.array(["b"], object)}
    servable = EstimatorServable(servable._estimator, inputs, example=example)
    servable.warm_up()
    assert answers(servable, given(table.head(9))) == predict(table.head(9)).tolist()
    without = pandas.DataFrame({"c": pandas.Categorical([None], categories=["a", "b", "c"]), "x": [1.0]})
    assert answers(servable, Batch(1, (Column(F64, ("x",), np.array([1.0])),))) == predict(without).tolist()


def test_a_signature_of_other_types_is_refused(tmp_path: Path) -> None:
    estimator = lightgbm_booster(tmp_path, frame([10, 20, 30]), TARGET)[1]._estimator
    with pytest.raises(LoadFailed, match="the signature has String for 'c', the categories of the model are Int64"):
        EstimatorServable(estimator, Inputs((IOMetadata("c", TEXT), IOMetadata("x", F64))))
    with pytest.raises(LoadFailed, match="the signature has String for 'x', of which the model has no categories"):
        EstimatorServable(estimator, Inputs((IOMetadata("c", I64), IOMetadata("x", TEXT))))


def test_a_signature_of_other_names_goes_by_place(tmp_path: Path) -> None:
    """LightGBM writes underscores for blanks, and keeps no other name."""
    table = frame([10, 20, 30]).rename(columns={"c": "my c"})
    predict, servable = lightgbm_booster(tmp_path, table, TARGET)
    assert [io.name for io in servable.metadata.inputs] == ["my_c", "x"]
    servable = EstimatorServable(servable._estimator, Inputs((IOMetadata("my c", I64), IOMetadata("x", F64))))
    assert answers(servable, given(table.head(9))) == predict(table.head(9)).tolist()
    with pytest.raises(LoadFailed, match="the model has categories of 'my_c', the signature other columns"):
        EstimatorServable(servable._estimator, Inputs((IOMetadata("x", F64), IOMetadata("my c", I64))))


def test_large_numbers_are_told_apart() -> None:
    levels = Levels([2**62, 2**62 + 1, -5])
    data = np.array([2**62 + 1, 2**62, -5, 0])
    np.testing.assert_array_equal(levels.codes("c", I64, data), [1, 0, 2, np.nan])
    unsigned = np.array([2**64 - 5, 2**62], np.uint64)
    np.testing.assert_array_equal(levels.codes("c", TensorType.UInt64, unsigned), [np.nan, 0])
    np.testing.assert_array_equal(Levels([]).codes("c", F64, np.array([1.0])), [np.nan])
    np.testing.assert_array_equal(
        Levels(["a"]).codes("c", TensorType.Bytes, np.array([b"a", b"\xff"], object)), [0, np.nan]
    )
    np.testing.assert_array_equal(Levels([0.1]).codes("c", F32, np.array([0.1], np.float32)), [0])


@pytest.mark.parametrize(
    ("kind", "exact"), [(F64, 2**53), (F32, 2**24), (TensorType.Float16, 2**11)]
)  # up to these a type of IEEE 754 holds every whole number
def test_fractions_do_not_stand_for_large_whole_numbers(kind: TensorType, exact: int) -> None:
    """JSON's NaN makes a column one of fractions, in which neighbours have one value."""
    dtype = DTYPES[kind]
    levels = Levels([exact - 1, exact, exact + 1, exact + 2, -exact - 1])
    np.testing.assert_array_equal(levels.codes("c", kind, np.array([exact - 1, np.nan], dtype)), [0, np.nan])
    for value in (exact, exact + 1, exact + 2, -exact - 1):
        whole = np.array([value], np.int64)
        assert levels.values[int(levels.codes("c", I64, whole)[0])] == value
        with pytest.raises(InvalidInput, match=rf"input 'c': {kind.name} does not tell whole numbers from {exact} on"):
            levels.codes("c", kind, np.array([np.nan, value], dtype))
    unseen = np.array([exact * 4, np.inf], dtype)
    np.testing.assert_array_equal(levels.codes("c", kind, unseen), [np.nan, np.nan])
    fractions = Levels([0.5, float(exact)])
    np.testing.assert_array_equal(fractions.codes("c", kind, np.array([exact], dtype)), [1])


@pytest.mark.parametrize("make", [lightgbm_booster, lightgbm_model, xgboost_booster])
def test_large_numbers_beside_a_missing_one(tmp_path: Path, make: Any) -> None:
    values = [2**53, 2**53 + 1, 2**53 + 2]
    table = frame(values)
    predict, servable = make(tmp_path, table, target(values))
    rows = table.head(9)
    assert answers(servable, given(rows)) == predict(rows).tolist()
    sent = Column(F64, ("c",), np.array([2**53 + 1, np.nan]))
    with pytest.raises(InvalidInput, match=r"Float64 does not tell whole numbers from 9007199254740992 on apart"):
        servable.predict(Batch(2, (sent, Column(F64, ("x",), np.zeros(2)))), {})
