"""Every servable with named inputs says the same of names that it does not have, before its model runs."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from forestflow.domain.errors import InvalidInput, UnknownInputs
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, ModelMetadata, TensorType
from forestflow.servables.binding import Bindings
from forestflow.servables.estimators.scikit import of_scikit_learn
from forestflow.servables.estimators.servable import EstimatorServable
from forestflow.servables.h2o.inputs import Feature, InputRows
from forestflow.servables.python.servable import PythonServable

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # of scikit-learn, for arrays

F64, TEXT = TensorType.Float64, TensorType.String
FRAME = pandas.DataFrame({"a": [1.0, 2.0, 4.0], "b": [7.0, 5.0, 3.0]})
ESTIMATOR = of_scikit_learn(LinearRegression().fit(FRAME, [1.0, 2.0, 3.0]), 1)
_BY_NAME = ColumnTransformer([("b", "passthrough", ["b"]), ("a", "passthrough", ["a"])])
OF_A_FRAME = of_scikit_learn(make_pipeline(_BY_NAME, LinearRegression()).fit(FRAME, [1.0, 2.0, 3.0]), 1)


class Columns:
    inputs = "columns"
    batched = True
    metadata = {"inputs": [{"name": "a", "type": "Float64"}, {"name": "b", "type": "Float64"}]}  # noqa: RUF012

    def predict(self, columns):
        assert columns.keys() <= {"a", "b", ""}
        return sum(columns.values())


def bindings() -> Bindings:
    ios = (IOMetadata("a", F64), IOMetadata("b", F64))
    return Bindings(
        ModelMetadata(ios, (IOMetadata("sum", F64),)), lambda _, given, __: {"sum": given["a"] + given["b"]}
    )


def records(**columns: float) -> Batch:
    return Batch(1, (Column(F64, tuple(columns), np.array([list(columns.values())])),))


def tensors(**columns: float) -> Batch:
    return Batch.of_tensors([Column(F64, (name,), np.array([value])) for name, value in columns.items()])


@pytest.mark.parametrize("form", [records, tensors])
@pytest.mark.parametrize(
    "servable",
    [bindings(), EstimatorServable(ESTIMATOR), PythonServable(Columns())],
    ids=["bindings", "estimator", "python"],
)
def test_names_beside_those_of_the_model(servable, form):
    expected = servable.predict(form(b=3.0, a=2.0), {}).columns[0].data.tolist()
    odd = form(b=3.0, A=9.0, a=2.0, c=8.0)
    with pytest.raises(UnknownInputs, match=r"there is no input 'A'; .* takes 'a', 'b'") as caught:
        servable.predict(odd, {})
    assert caught.value.names == ("A", "c")
    assert servable.predict(odd.without(caught.value.names), {}).columns[0].data.tolist() == expected


@pytest.mark.parametrize("form", [records, tensors])
@pytest.mark.parametrize("servable", [bindings(), EstimatorServable(ESTIMATOR)], ids=["bindings", "estimator"])
def test_what_stands_in_the_place_of_a_required_input_is_never_tolerated(servable, form):
    with pytest.raises(InvalidInput, match="there is no input 'A'") as caught:
        servable.predict(form(A=2.0, b=3.0), {})
    assert not isinstance(caught.value, UnknownInputs)


@pytest.mark.parametrize("other", [np.zeros(5), np.array(0.0)])
@pytest.mark.parametrize(
    "servable",
    [bindings(), EstimatorServable(ESTIMATOR), EstimatorServable(OF_A_FRAME)],
    ids=["bindings", "estimator", "frame"],
)
def test_a_tensor_too_many_may_be_of_another_length(servable, other):
    odd = Batch.of_tensors([*tensors(a=2.0, b=3.0).columns, Column(F64, ("c",), other)])
    assert odd.layout is Layout.WHOLE
    with pytest.raises(UnknownInputs) as caught:
        servable.predict(odd, {})
    known = odd.without(caught.value.names)
    assert known.layout is Layout.TENSORS
    expected = servable.predict(records(a=2.0, b=3.0), {}).columns[0].data
    assert servable.predict(known, {}).columns[0].data.tolist() == expected.tolist()


def test_the_name_of_a_single_scalar_input_counts():
    """Of several values in one input no model knows the names; of one value it does."""
    metadata = ModelMetadata((IOMetadata("x", F64),), (IOMetadata("y", F64),))
    scalar = Bindings(metadata, lambda _, given, __: {"y": given["x"]})
    assert scalar.predict(records(x=2.0), {}).columns[0].data.tolist() == [2.0]
    with pytest.raises(InvalidInput, match="there is no input 'X'; signature 'serving_default' takes 'x'"):
        scalar.predict(records(X=2.0), {})


def test_a_class_that_lists_no_inputs_or_takes_no_names_gets_everything():
    free = type("Free", (Columns,), {"metadata": {}, "predict": lambda self, columns: list(columns)})
    assert PythonServable(free()).predict(records(anything=1.0), {}).rows == 1
    matrix = type("Matrix", (Columns,), {"inputs": "numpy", "predict": lambda self, rows: rows.sum(axis=1)})
    assert PythonServable(matrix()).predict(records(x=1.0, y=2.0), {}).columns[0].data.tolist() == [3.0]


def test_tensors_without_names_are_not_unknown():
    one = Batch.of_tensors([Column(F64, ("",), np.array([4.0]))])
    assert PythonServable(Columns()).predict(one, {}).columns[0].data.tolist() == [4.0]


@pytest.mark.parametrize("layout", Layout)
def test_a_batch_without_names(layout):
    """One field of a group that is left, all of it, and none."""
    if layout is Layout.RECORDS:
        texts = Column(TEXT, ("s", "t"), np.array([["x", "y"]], DTYPES[TEXT]))
        batch = Batch(1, (Column(F64, ("a", "b", "c"), np.array([[1.0, 2.0, 3.0]])), texts))
        left = batch.without({"a", "s", "t"})
        assert [(c.type, c.fields, c.data.tolist()) for c in left.columns] == [(F64, ("b", "c"), [[2.0, 3.0]])]
        (one,) = batch.without({"a", "c", "s", "t"}).columns
        assert (one.fields, one.data.tolist()) == (("b",), [2.0])
    else:
        columns = [Column(F64, ("a",), np.ones((2, 3))), Column(F64, ("b",), np.ones(2))]
        batch = Batch.of_tensors([*columns, Column(F64, ("c",), np.ones(2 if layout is Layout.TENSORS else 7))])
        assert batch.layout is layout
        left = batch.without({"c"})
        assert (left.layout, left.rows) == (Layout.TENSORS, 2)
        assert [(c.fields, c.data.shape) for c in left.columns] == [(("a",), (2, 3)), (("b",), (2,))]
    names = {name for column in batch.columns for name in column.fields}
    assert batch.without(names).columns == ()
    assert [c.fields for c in batch.without({"nowhere"}).columns] == [c.fields for c in batch.columns]


@pytest.mark.parametrize("kind", [F64, TEXT])
@pytest.mark.parametrize("beside", [(), (Column(F64, (), np.empty((1, 0))),)], ids=["one entry", "two"])
@pytest.mark.parametrize("name", ["bindings", "of one input", "estimator", "frame", "python", "H2O"])
def test_a_request_without_any_field_is_refused(name, beside, kind):
    rows = InputRows([Feature("a", 0), Feature("b", 1)], 2)
    one = (IOMetadata("x", F64, (2,)),)
    predict = {
        "bindings": bindings().predict,
        "of one input": Bindings(ModelMetadata(one, one), lambda _, given, __: given).predict,
        "estimator": EstimatorServable(ESTIMATOR).predict,
        "frame": EstimatorServable(OF_A_FRAME).predict,
        "python": PythonServable(Columns()).predict,
        "H2O": lambda batch, _: (rows.check(batch), rows.write(batch, 0, 1, np.zeros((1, 3)))),
    }[name]
    empty = Column(kind, (), np.empty((1, 0), DTYPES[kind]))
    with pytest.raises(InvalidInput, match=r"takes|missing") as caught:
        predict(Batch(1, (empty, *beside)), {})
    assert not isinstance(caught.value, UnknownInputs)
