"""Models that come without a signature: what they were trained on is taken from what they keep, or they are refused."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import lightgbm
import numpy as np
import pandas
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, VotingRegressor
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from forestflow.domain.errors import InvalidInput, LoadFailed
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, TensorType
from forestflow.servables.estimators.inputs import Inputs
from forestflow.servables.estimators.scikit import of_scikit_learn
from forestflow.servables.estimators.servable import EstimatorServable

F64, I64, TEXT, BOOL = TensorType.Float64, TensorType.Int64, TensorType.String, TensorType.Bool
KINDS = {"i": F64, "f": F64, "b": BOOL, "U": TEXT}

ROWS = np.arange(60)
TABLE = pandas.DataFrame(
    {
        "size": ROWS % 7 / 2,
        "colour": np.array(["red", "green", "blue"])[ROWS % 3],
        "count": ROWS % 5,
        "name": np.array(["red wine", "blue sky", "green tea", "blue wine"])[ROWS % 4],
        "flag": ROWS % 2 == 0,
    }
)
TARGET = (ROWS % 3) + 3.0 * (ROWS % 2) + ROWS % 5
LABELS = np.array(["low", "high"])[(TARGET > 4).astype(int)]


def served(model: Any) -> EstimatorServable:
    """As it comes out of its file; a warning while it is deployed would be one at every call."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        servable = EstimatorServable(of_scikit_learn(pickle.loads(pickle.dumps(model)), 1))
        servable.warm_up()
    assert [str(warning.message) for warning in warned] == []
    return servable


def sent(table: pandas.DataFrame) -> Batch:
    columns = []
    for name in table.columns[::-1]:
        data = np.array(table[name].tolist())
        kind = KINDS[data.dtype.kind]
        columns.append(Column(kind, (str(name),), data.astype(DTYPES[kind])))
    return Batch(len(table), tuple(columns))


def one_hot(*columns: str, **options: Any) -> ColumnTransformer:
    return make_column_transformer((OneHotEncoder(**options), list(columns)), remainder="passthrough")


MODELS: dict[str, Any] = {
    "texts and numbers": make_pipeline(one_hot("colour"), DecisionTreeRegressor()),
    "unknown texts ignored": make_pipeline(one_hot("colour", handle_unknown="ignore"), DecisionTreeRegressor()),
    "ordinal": make_pipeline(
        make_column_transformer((OrdinalEncoder(), ["colour"]), remainder=StandardScaler()), DecisionTreeRegressor()
    ),
    "target encoder": make_pipeline(
        make_column_transformer((TargetEncoder(cv=2), ["colour"]), remainder="drop"), Ridge()
    ),
    "imputed before": make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["colour", "flag"]),
            (SimpleImputer(), ["size"]),
        ),
        Ridge(),
    ),
    "imputed alone": make_pipeline(
        make_column_transformer((SimpleImputer(strategy="most_frequent"), ["colour"]), remainder="drop"),
        OneHotEncoder(sparse_output=False),
        Ridge(),
    ),
    "by type": make_pipeline(
        make_column_transformer(
            (OneHotEncoder(), make_column_selector(dtype_exclude="number")),
            (StandardScaler(), make_column_selector(dtype_include="number")),
        ),
        Ridge(),
    ),
    "by slice": make_pipeline(
        ColumnTransformer([("a", OneHotEncoder(), slice("colour", "colour")), ("b", "passthrough", slice(0, 1))]),
        Ridge(),
    ),
    "by place": make_pipeline(ColumnTransformer([("a", OneHotEncoder(), [1, -2]), ("b", "passthrough", [0])]), Ridge()),
    "by mask": make_pipeline(
        ColumnTransformer([("a", OneHotEncoder(), [False, True, False, True, False]), ("b", "passthrough", [0])]),
        Ridge(),
    ),
    "a vectorizer of one column": make_pipeline(
        ColumnTransformer([("t", TfidfVectorizer(), "name"), ("n", "passthrough", ["size", "count"])]), Ridge()
    ),
    "a hashing vectorizer": make_pipeline(
        ColumnTransformer([("t", HashingVectorizer(n_features=16), "name"), ("n", StandardScaler(), ["size"])]), Ridge()
    ),
    "a union": make_pipeline(
        FeatureUnion([("a", one_hot("colour", "name")), ("b", ColumnTransformer([("n", StandardScaler(), ["size"])]))]),
        Ridge(),
    ),
    "searched": GridSearchCV(
        Pipeline([("e", one_hot("colour", "name")), ("m", Ridge())]), {"m__alpha": [0.1, 1.0]}, cv=2
    ),
    "another target": TransformedTargetRegressor(
        make_pipeline(one_hot("colour", "name"), Ridge()), func=np.log1p, inverse_func=np.expm1
    ),
    "voting": VotingRegressor(
        [
            ("a", make_pipeline(one_hot("colour", "name"), Ridge())),
            ("b", make_pipeline(one_hot("colour", "name"), Ridge())),
        ]
    ),
}


NAMELESS = ("texts and numbers", "unknown texts ignored", "ordinal")  # of which the rest is passed on as numbers


@pytest.mark.parametrize("name", MODELS)
def test_types_come_from_the_fitted_parts(name: str) -> None:
    table = TABLE.drop(columns="name") if name in NAMELESS else TABLE
    model = MODELS[name].fit(table, TARGET)
    servable = served(model)
    types = {io.name: io.type for io in servable.metadata.inputs if io.description != "not used"}
    assert TEXT in types.values()
    assert all(kind is TEXT for column, kind in types.items() if column in ("colour", "name"))
    for rows in (table, table.iloc[::-1], table.iloc[7:8]):
        assert answers(servable, sent(rows)) == pytest.approx(model.predict(rows).tolist(), rel=1e-12)


def answers(servable: EstimatorServable, batch: Batch) -> list[Any]:
    found: list[Any] = servable.predict(batch, {}).columns[0].data.tolist()
    return found


def test_a_classifier_whose_labels_are_texts() -> None:
    """Rows of what the encoder knows show what the answers are; made-up texts would be refused."""
    table = TABLE[["size", "colour"]]
    model = CalibratedClassifierCV(make_pipeline(one_hot("colour"), DecisionTreeClassifier()), cv=2).fit(table, LABELS)
    servable = served(model)
    assert servable.metadata.outputs == (IOMetadata("prediction", TEXT),)
    assert servable.metadata.signatures["predict_proba"].outputs[0].shape == (2,)
    assert answers(servable, sent(table)) == model.predict(table).tolist()
    with pytest.raises(InvalidInput, match=r"the model refuses the input: Found unknown categories \['pink'\]"):
        servable.predict(sent(pandas.DataFrame({"size": [1.0], "colour": ["pink"]})), {})


@pytest.mark.parametrize("kind", [HistGradientBoostingClassifier, HistGradientBoostingRegressor])
def test_histogram_boosting_keeps_its_categories(kind: Any) -> None:
    table = TABLE[["size", "colour", "count"]].astype({"colour": "category", "count": "category"})
    table.loc[::7, "colour"] = None
    target = LABELS if kind is HistGradientBoostingClassifier else TARGET
    model = kind(categorical_features="from_dtype", max_iter=5, min_samples_leaf=1).fit(table, target)
    servable = served(model)
    assert [(io.name, io.type) for io in servable.metadata.inputs] == [("size", F64), ("colour", TEXT), ("count", F64)]
    assert answers(servable, sent(table.dropna())) == model.predict(table.dropna()).tolist()
    other = pandas.DataFrame({"size": [1.0, 1.0], "colour": ["pink", "red"], "count": [9, 1]})
    assert answers(servable, sent(other)) == model.predict(other).tolist()


def test_columns_that_are_dropped_need_not_come_and_may_be_anything() -> None:
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["colour"]), (StandardScaler(), ["size"])), Ridge()
    ).fit(TABLE, TARGET)
    servable = served(model)
    described = {io.name: io.description for io in servable.metadata.inputs}
    assert described == {"size": None, "colour": None, "count": "not used", "name": "not used", "flag": "not used"}
    expected = pytest.approx(model.predict(TABLE).tolist())
    assert answers(servable, sent(TABLE)) == expected
    assert answers(servable, sent(TABLE[["size", "colour"]])) == expected
    texts = np.array([["x", colour] for colour in TABLE["colour"]], object)
    grouped = Batch(60, (Column(TEXT, ("name", "colour"), texts), Column(F64, ("size",), TABLE["size"].to_numpy())))
    assert answers(servable, grouped) == expected
    with pytest.raises(InvalidInput, match="input 'colour' is missing"):
        servable.predict(sent(TABLE[["size", "name"]]), {})


def test_texts_without_a_name() -> None:
    texts = TABLE["name"].tolist()
    for first in (CountVectorizer(), HashingVectorizer(n_features=16)):
        model = make_pipeline(first, LogisticRegression()).fit(texts, LABELS)
        servable = served(model)
        assert servable.metadata.inputs == (IOMetadata("X", TEXT),)
        for layout, name in ((Layout.RECORDS, "text"), (Layout.TENSORS, "X")):
            batch = Batch(60, (Column(TEXT, (name,), np.array(texts, object)),), layout)
            assert answers(servable, batch) == model.predict(texts).tolist()
    matrix = TABLE[["colour", "name"]].to_numpy(object)
    encoded = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(matrix, LABELS)
    servable = served(encoded)
    assert servable.metadata.inputs == (IOMetadata("X", TEXT, (2,)),)
    batch = Batch(60, (Column(TEXT, ("a", "b"), matrix),))
    assert answers(servable, batch) == encoded.predict(matrix).tolist()


class Opaque(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Needs a text, and keeps nothing of it."""

    def fit(self, X: Any, y: Any = None) -> Opaque:  # noqa: N803
        self.feature_names_in_ = np.array(list(X.columns), object)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        return np.stack([X["colour"].str.len(), X["size"]], axis=1)


def compared(table: pandas.DataFrame) -> pandas.DataFrame:
    """Takes numbers as well, which are no colour."""
    return table[["size"]].assign(red=(table["colour"] == "red") * 1.0)


class Passing(Opaque):
    """Takes anything, and is none of scikit-learn's."""

    def transform(self, X: Any) -> Any:  # noqa: N803
        return compared(X)


IS_RED = np.frompyfunc(lambda value: float(value == "red"), 1, 1)

OPAQUE: dict[str, Any] = {
    "refuses numbers": make_pipeline(Opaque(), Ridge()),
    "takes numbers": make_pipeline(Passing(), Ridge()),
    "a function": make_pipeline(FunctionTransformer(compared), Ridge()),
    "made a function of NumPy": make_pipeline(FunctionTransformer(IS_RED), Ridge()),
    "behind a name": make_pipeline("passthrough", FunctionTransformer(compared), Ridge()),
    "before a scaler": make_pipeline(FunctionTransformer(compared), StandardScaler(), Ridge()),
    "searched": GridSearchCV(
        Pipeline([("f", FunctionTransformer(compared)), ("m", Ridge())]), {"m__alpha": [0.1, 1.0]}, cv=2
    ),
    "another target": TransformedTargetRegressor(make_pipeline(FunctionTransformer(compared), Ridge())),
    "of columns": make_pipeline(
        ColumnTransformer([("f", FunctionTransformer(compared), ["size", "colour"])], remainder="drop"), Ridge()
    ),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_what_keeps_too_little_is_refused_at_deploy(name: str) -> None:
    table = TABLE[["size", "colour"]]
    model = OPAQUE[name].fit(table, TARGET)
    with pytest.raises(
        LoadFailed,
        match=r"save it with an input example or a signature, .* The model's own code reads 'size', 'colour': texts",
    ):
        EstimatorServable(of_scikit_learn(model, 1))
    example = {"size": np.array([1.0]), "colour": np.array(["red"], object)}
    inputs = Inputs((IOMetadata("size", F64), IOMetadata("colour", TEXT)))
    for shown in (example, None):
        servable = EstimatorServable(of_scikit_learn(model, 1), inputs, example=shown)
        assert answers(servable, sent(table)) == pytest.approx(model.predict(table).tolist())


def lowered(table: Any) -> Any:
    return table.assign(colour=table["colour"].str.lower())


class Scaled(StandardScaler):  # type: ignore[misc]
    """Reads its input with scikit-learn's own code."""


def doubled(numbers: Any) -> Any:
    return numbers * 2


PLAIN: dict[str, Any] = {
    "a plain estimator": Ridge(),
    "a scaler": make_pipeline(StandardScaler(), Ridge()),
    "a function of NumPy": make_pipeline(FunctionTransformer(np.log1p), Ridge()),
    "no function": make_pipeline(FunctionTransformer(), Ridge()),
    "a function behind a check": make_pipeline(FunctionTransformer(doubled, validate=True), Ridge()),
    "a scaler of its author's": make_pipeline(Scaled(), Ridge()),
    "beside a model of numbers": VotingRegressor(
        [("a", Ridge()), ("b", make_pipeline(FunctionTransformer(doubled), Ridge()))]
    ),
    "a function that lost the search": GridSearchCV(
        Pipeline([("f", FunctionTransformer(doubled)), ("m", Ridge())]), {"f": [StandardScaler()]}, cv=2
    ),
    "a function behind a scaler": make_pipeline(StandardScaler(), FunctionTransformer(doubled), Ridge()),
    "beside a scaler": make_pipeline(
        FeatureUnion([("a", StandardScaler()), ("b", FunctionTransformer(doubled))]), Ridge()
    ),
    "of a column that is a number elsewhere": make_pipeline(
        ColumnTransformer([("a", FunctionTransformer(doubled), ["size"]), ("b", StandardScaler(), ["size", "count"])]),
        Ridge(),
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_can_only_be_numbers_is_served(name: str) -> None:
    table = TABLE[["size", "count"]]
    model = PLAIN[name].fit(table, TARGET)
    servable = EstimatorServable(of_scikit_learn(pickle.loads(pickle.dumps(model)), 1))
    assert [(io.name, io.type) for io in servable.metadata.inputs] == [("size", F64), ("count", F64)]
    assert answers(servable, sent(table)) == pytest.approx(model.predict(table).tolist(), rel=1e-12)


def test_parts_behind_a_function_say_what_their_columns_are() -> None:
    """A pipeline is refused only for columns that none of its fitted parts describes."""
    last = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="drop")
    table = TABLE[["colour"]]
    model = make_pipeline(FunctionTransformer(lowered), last, Ridge()).fit(table, TARGET)
    servable = served(model)
    assert servable.metadata.inputs == (IOMetadata("colour", TEXT),)
    assert answers(servable, sent(table)) == pytest.approx(model.predict(table).tolist())
    with pytest.raises(LoadFailed, match=r"The model's own code reads 'size': texts"):
        EstimatorServable(of_scikit_learn(model.fit(TABLE[["size", "colour"]], TARGET), 1))


def test_a_mixed_matrix_without_names_is_refused_at_deploy() -> None:
    matrix = TABLE[["size", "colour"]].to_numpy(object)
    model = make_pipeline(ColumnTransformer([("one", OneHotEncoder(), [1])], remainder="passthrough"), Ridge()).fit(
        matrix, TARGET
    )
    with pytest.raises(
        LoadFailed, match=r"save it with an input example or a signature, .*the model failed: TypeError"
    ):
        EstimatorServable(of_scikit_learn(model, 1))


@pytest.mark.parametrize(
    ("transform", "names"), [(np.log, ["a"]), (lambda shares: np.log(shares / (1 - shares)), None)]
)
def test_models_that_refuse_zeros_are_tried_with_others(transform: Any, names: bool) -> None:
    """A function of its author's own is served where it was trained on an array: this has no columns of texts."""
    table = pandas.DataFrame({"a": np.linspace(0.1, 0.9, 60)})
    rows = table if names else table.to_numpy()
    steps = make_pipeline(FunctionTransformer(transform), Ridge()).fit(rows, TARGET)
    with np.errstate(all="ignore"):
        servable = EstimatorServable(of_scikit_learn(steps, 1))
        assert answers(servable, sent(table)) == pytest.approx(steps.predict(rows).tolist())
        with pytest.raises(InvalidInput, match="the model refuses the input: Input X contains infinity"):
            servable.predict(sent(pandas.DataFrame({"a": [0.0]})), {})


def test_parts_that_take_categories_and_parts_that_take_values() -> None:
    """Codes in a matrix would be right for one of them and wrong for the other."""
    table = TABLE[["size", "count"]].astype({"count": "category"})
    table["count"] = pandas.Categorical(TABLE["count"] * 10)
    light = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1, min_child_samples=1, min_data_per_group=1)
    histogram = HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=5, min_samples_leaf=1)
    model = VotingRegressor([("a", light), ("b", histogram)]).fit(table, TARGET)
    servable = served(model)
    assert [io.type for io in servable.metadata.inputs] == [F64, I64]
    assert answers(servable, sent(table)) == pytest.approx(model.predict(table).tolist(), rel=1e-12)
