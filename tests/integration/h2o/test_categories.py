"""Every model that H2O exports answers as EasyPredict does, bit for bit, and as the cluster that trained it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from forestflow.domain.tensors import Batch, TensorType
from forestflow.servables.base import Servable
from tests.integration.h2o.batches import basic
from tests.integration.h2o.easy_predict import EasyPredict, java_value, same
from tests.integration.h2o.training import Case

MODELS = [
    "gbm_regression", "gbm_binomial", "gbm_multinomial", "gbm_poisson_offset", "gbm_binomial_offset",
    "gbm_quasibinomial", "gbm_balanced", "gbm_platt", "gbm_isotonic", "drf_regression", "drf_binomial",
    "drf_double_trees", "drf_many_levels", "xgb_regression", "xgb_binomial", "xgb_multinomial", "xgb_offset",
    "isolation_forest", "isolation_forest_flag", "extended_isolation_forest", "uplift", "gbm_one_hot_explicit",
    "gbm_binary", "gbm_eigen", "gbm_label_encoder", "gbm_sort_by_response", "gbm_enum", "gbm_enum_limited",
    "xgb_sort_by_response", "deep_binary", "deep_eigen", "deep_label_encoder", "glm_regression", "glm_binomial",
    "glm_multinomial", "glm_poisson", "glm_ordinal", "gam_regression", "gam_binomial", "coxph", "rulefit",
    "rulefit_binomial", "isotonic_regression", "deep_regression", "deep_offset", "deep_binomial", "deep_multinomial",
    "autoencoder", "kmeans", "pca", "glrm", "ensemble", "ensemble_binomial", "ensemble_multinomial",
    "target_encoder",
]  # fmt: skip

# H2O's own MOJO scoring (EasyPredict, which ours equals) differs from its cluster in these encodings.
MOJO_UNLIKE_CLUSTER = {"gbm_eigen", "deep_eigen", "gbm_enum_limited", "deep_offset"}


def java_rows(case: Case, offset: str | None) -> list[tuple[dict[str, Any], float | None]]:
    """The case's rows as RowData values, and the offset of each; a missing level is the missing Double."""
    rows = []
    for i in range(len(next(iter(case.rows.values())))):
        row = {}
        for name, values in case.rows.items():
            value = values[i]
            if name != offset:
                text = case.types[name] != "numeric" and value is not None
                row[name] = java_value(
                    TensorType.String if text else TensorType.Float64, math.nan if value is None else value
                )
        rows.append((row, case.rows[offset][i] if offset in case.rows else None))
    return rows


def batch_of(case: Case) -> Batch:
    return basic(case.rows, case.types)


def test_every_trained_model_is_tested(trained: dict[str, Case]) -> None:
    assert set(trained) == {*MODELS, "word2vec"}


@pytest.mark.parametrize("name", MODELS)
def test_equals_easy_predict_bit_for_bit(
    name: str, trained: dict[str, Case], servable: Callable[[str], Servable]
) -> None:
    case = trained[name]
    answer = servable(name).predict(batch_of(case), {})
    easy = EasyPredict(case.mojo)
    offset = easy.model.getOffsetName()
    (column,) = answer.columns
    assert easy.category == case.category
    for ours, (row, its_offset) in zip(column.data.tolist(), java_rows(case, offset and str(offset)), strict=True):
        assert same(ours, easy.plain(row, its_offset))


@pytest.mark.parametrize("name", MODELS)
def test_equals_the_cluster(name: str, trained: dict[str, Case], servable: Callable[[str], Servable]) -> None:
    case = trained[name]
    if not case.expected:
        pytest.skip("GLRM: the cluster keeps the factors of its training rows and does not score new ones")
    if name in MOJO_UNLIKE_CLUSTER:
        pytest.skip("H2O's MOJO and cluster disagree in this encoding, or in the use of an offset")
    classifier = case.category in ("Binomial", "Multinomial", "Ordinal")
    outputs = "prediction,probabilities" if classifier else "prediction"
    columns = servable(name).predict(batch_of(case), {"h2o.outputs": outputs}).columns
    expected = list(case.expected.values())
    if classifier:
        assert columns[0].data.tolist() == expected[0]
        ours = np.hstack([c.data for c in columns[1:]])
        assert np.allclose(ours, numbers(expected[1 : 1 + ours.shape[1]]), rtol=1e-9, atol=0)
        assert len(expected) == 1 + ours.shape[1]
    elif case.category == "AnomalyDetection":
        assert np.allclose(columns[0].data[:, ::-1], numbers(expected[-2:]), rtol=1e-9)
    else:
        ours = columns[0].data.reshape(len(expected[0]), -1)
        assert np.allclose(ours, numbers(expected[: ours.shape[1]]), rtol=1e-9, atol=1e-12, equal_nan=True)


def numbers(columns: list[list[str]]) -> np.ndarray[Any, Any]:
    return np.array([[float(cell) if cell else math.nan for cell in column] for column in columns]).T


def test_words(trained: dict[str, Case], servable: Callable[[str], Servable]) -> None:
    case = trained["word2vec"]
    model = servable("word2vec")
    (column,) = model.predict(batch_of(case), {}).columns
    assert (column.type, column.fields) == (TensorType.Float32, ("words",))
    assert np.array_equal(column.data, numbers(list(case.expected.values())).astype(np.float32), equal_nan=True)
    assert np.isnan(column.data[2]).all()
    easy = EasyPredict(case.mojo)
    theirs = easy.predict({"words": java_value(TensorType.String, "river")}).wordEmbeddings.get("words")
    assert column.data[1].tolist() == list(map(float, theirs))


EXPECTED_FORM = {
    "gbm_regression": (TensorType.Float64, ("Regression",), ()),
    "gbm_binomial": (TensorType.String, ("Binomial",), ()),
    "gbm_multinomial": (TensorType.String, ("Multinomial",), ()),
    "glm_ordinal": (TensorType.String, ("Ordinal",), ()),
    "kmeans": (TensorType.Int32, ("Clustering",), ()),
    "autoencoder": (TensorType.Float64, ("AutoEncoder",), (32,)),
    "pca": (TensorType.Float64, ("DimReduction",), (3,)),
    "isolation_forest": (TensorType.Float64, ("score", "normalizedScore"), (2,)),
    "coxph": (TensorType.Float64, ("CoxPH",), ()),
    "uplift": (TensorType.Float64, ("uplift_predict", "p_y1_with_treatment", "p_y1_without_treatment"), (3,)),
    "target_encoder": (TensorType.Float64, ("cat_te", "grade_te"), (2,)),
}


@pytest.mark.parametrize(("name", "form"), EXPECTED_FORM.items())
def test_form_of_the_answer(
    name: str, form: tuple[Any, ...], trained: dict[str, Case], servable: Callable[[str], Servable]
) -> None:
    model = servable(name)
    answer = model.predict(batch_of(trained[name]), {})
    (column,) = answer.columns
    assert (column.type, column.fields, column.data.shape[1:]) == form
    assert answer.rows == len(column.data)
    (declared,) = model.metadata.outputs
    assert (declared.type, declared.shape) == (form[0], form[2])


@pytest.mark.parametrize("name", MODELS)
def test_one_row_is_answered_as_in_company(
    name: str, trained: dict[str, Case], servable: Callable[[str], Servable]
) -> None:
    model, batch = servable(name), batch_of(trained[name])
    whole = model.predict(batch, {}).columns[0].data.tolist()
    singles = [model.predict(batch.slice(i, i + 1), {}).columns[0].data.tolist()[0] for i in range(5)]
    assert all(map(same, singles, whole[:5]))


@pytest.mark.parametrize("name", MODELS)
def test_warm_up_leaves_a_slice_of_a_few_milliseconds(
    name: str, trained: dict[str, Case], servable: Callable[[str], Servable]
) -> None:
    model = servable(name)
    model.warm_up()
    assert 1 <= model.slice_rows <= 16_384
