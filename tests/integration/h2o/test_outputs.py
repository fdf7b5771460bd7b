"""The further outputs that ``h2o.outputs`` asks for, against EasyPredict."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from forestflow.domain.errors import InvalidInput, NotImplementedByModel
from forestflow.domain.tensors import Column, TensorType
from forestflow.servables.base import Servable
from tests.integration.h2o.easy_predict import EasyPredict, same
from tests.integration.h2o.test_categories import batch_of, java_rows
from tests.integration.h2o.training import Case

Get = Callable[[str], Servable]


def ask(model: Servable, case: Case, outputs: str) -> tuple[Column, ...]:
    return model.predict(batch_of(case), {"h2o.outputs": outputs}).columns


@pytest.mark.parametrize("name", ["gbm_binomial", "gbm_multinomial", "glm_ordinal", "gbm_platt", "gbm_isotonic"])
def test_probabilities(name: str, trained: dict[str, Case], servable: Get) -> None:
    case = trained[name]
    label, plain, *calibrated = ask(servable(name), case, "probabilities,prediction")
    easy = EasyPredict(case.mojo)
    labels = [str(level) for level in easy.wrapper.getResponseDomainValues()]
    assert plain.fields == tuple(f"p.{level}" for level in labels)
    assert bool(calibrated) == (name in ("gbm_platt", "gbm_isotonic"))
    for i, (row, _) in enumerate(java_rows(case, None)):
        theirs = easy.predict(row)
        assert label.data[i] == str(theirs.label)
        assert same(plain.data[i].tolist(), list(map(float, theirs.classProbabilities)))
        if calibrated:
            assert calibrated[0].fields == tuple(f"calibrated.{level}" for level in labels)
            assert same(calibrated[0].data[i].tolist(), list(map(float, theirs.calibratedClassProbabilities)))


@pytest.mark.parametrize(
    "name", ["gbm_regression", "gbm_binomial", "gbm_multinomial", "drf_binomial", "xgb_regression", "isolation_forest"]
)
def test_leaf_assignments(name: str, trained: dict[str, Case], servable: Get) -> None:
    case = trained[name]
    (leaves,) = ask(servable(name), case, "leaf_assignments")
    assert leaves.type is TensorType.String
    assert leaves.fields[0] == "T1.C1"
    assert len(set(leaves.fields)) == len(leaves.fields)
    easy = EasyPredict(case.mojo, leaves=True)
    for ours, (row, _) in zip(leaves.data.tolist(), java_rows(case, None), strict=True):
        if name.startswith("xgb"):  # EasyPredict asks XGBoost for node ids too, which takes another way to the paths
            raw = easy.wrapper.leafNodeAssignment(_row_data(easy, row))
        else:
            raw = easy.predict(row).leafNodeAssignments
        assert ours == [str(path) for path in raw]


def _row_data(easy: EasyPredict, row: dict[str, object]) -> object:
    data = easy.row_data()
    for name, value in row.items():
        data.put(name, value)
    return data


@pytest.mark.parametrize("name", ["gbm_regression", "gbm_binomial", "drf_regression", "drf_binomial", "xgb_binomial"])
def test_contributions(name: str, trained: dict[str, Case], servable: Get) -> None:
    case = trained[name]
    (ours,) = ask(servable(name), case, "contributions")
    easy = EasyPredict(case.mojo, contributions=True)
    assert ours.fields == tuple(str(n) for n in easy.wrapper.getContributionNames())
    assert ours.fields[-1] == "BiasTerm"
    for values, (row, _) in zip(ours.data.tolist(), java_rows(case, None), strict=True):
        assert same(values, list(map(float, easy.predict(row).contributions)))


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("gbm_regression", "probabilities"), ("kmeans", "probabilities"), ("glm_regression", "leaf_assignments"),
        ("gbm_multinomial", "contributions"), ("drf_double_trees", "contributions"), ("kmeans", "contributions"),
    ],
)  # fmt: skip
def test_an_output_the_model_lacks(name: str, output: str, trained: dict[str, Case], servable: Get) -> None:
    with pytest.raises(NotImplementedByModel):
        ask(servable(name), trained[name], output)


def test_an_unknown_output(trained: dict[str, Case], servable: Get) -> None:
    with pytest.raises(InvalidInput, match=r"unknown h2o\.outputs odds"):
        ask(servable("gbm_binomial"), trained["gbm_binomial"], "prediction, odds")


def test_order_and_default(trained: dict[str, Case], servable: Get) -> None:
    model, case = servable("gbm_binomial"), trained["gbm_binomial"]
    columns = ask(model, case, " contributions,leaf_assignments ,prediction,probabilities")
    assert [c.fields[0] for c in columns] == ["Binomial", "p.no", "T1.C1", columns[3].fields[0]]
    assert [c.fields for c in ask(model, case, "")] == [("Binomial",)]


def test_requests_with_different_outputs_do_not_merge(servable: Get) -> None:
    model = servable("gbm_binomial")
    assert model.merge_key({"reqid": "1"}) == model.merge_key({"reqid": "2"})
    assert model.merge_key({"h2o.outputs": "probabilities"}) != model.merge_key({})
