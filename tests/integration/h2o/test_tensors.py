"""Tensors in, tensors out: the values are those of the records, bit by bit."""

from __future__ import annotations

import json

import numpy as np
import pytest

from forestflow.domain.errors import InvalidInput
from forestflow.domain.tensors import Batch, Column, Layout, TensorType
from tests.integration.h2o.conftest import EXAMPLES, load

F64 = TensorType.Float64


def rows_of(name: str) -> tuple[list[str], list[list[object]]]:
    document = json.loads((EXAMPLES / f"{name}.json").read_text())
    return document["fields"], document["rows"]


def tensors(*named: tuple[str, TensorType, np.ndarray]) -> Batch:
    columns = tuple(Column(kind, (name,), data) for name, kind, data in named)
    return Batch(len(named[0][2]), columns, Layout.TENSORS)


def test_a_matrix_of_numbers() -> None:
    model = load(EXAMPLES / "energy_gbm_v1.zip")
    fields, rows = rows_of("energy_gbm_v1")
    matrix = np.array(rows, dtype=np.float64)
    (expected,) = model.predict(Batch(len(rows), (Column(F64, tuple(fields), matrix),)), {}).columns
    for batch in (
        tensors(("", F64, matrix)),
        tensors(*((field, F64, matrix[:, i]) for i, field in reversed(list(enumerate(fields))))),
    ):
        answer = model.predict(batch, {})
        assert answer.layout is Layout.TENSORS
        assert [(c.type, c.fields) for c in answer.columns] == [(F64, ("Regression",))]
        assert answer.columns[0].data.tobytes() == expected.data.tobytes()


def test_a_batch_longer_than_the_buffer() -> None:
    model = load(EXAMPLES / "energy_gbm_v1.zip")
    fields, rows = rows_of("energy_gbm_v1")
    matrix = np.resize(np.array(rows, dtype=np.float64), (20_000, len(fields)))
    (expected,) = model.predict(Batch(len(matrix), (Column(F64, tuple(fields), matrix),)), {}).columns
    answer = model.predict(tensors(("numeric", F64, matrix)), {"forestflow.outputs": "prediction,contributions"})
    assert [(c.fields, c.data.shape) for c in answer.columns] == [
        (("prediction",), (20_000,)),
        (("contributions",), (20_000, 5)),
    ]
    assert answer.columns[0].data.tobytes() == expected.data.tobytes()


def test_outputs_in_the_order_in_which_they_are_asked_for() -> None:
    model = load(EXAMPLES / "visits_gbm.zip")
    fields, rows = rows_of("visits_gbm")
    text = np.array([[r[fields.index(f)] or "" for f in ("channel", "weekday")] for r in rows], dtype=object)
    numbers = np.array([[r[fields.index(f)] for f in ("minutes", "price")] for r in rows], dtype=np.float64)
    batch = tensors(("", TensorType.String, text), ("", F64, numbers))
    records = Batch(
        len(rows),
        (Column(TensorType.String, ("channel", "weekday"), text), Column(F64, ("minutes", "price"), numbers)),
    )
    plain = model.predict(records, {"h2o.outputs": "probabilities,prediction"}).columns
    answer = model.predict(batch, {"forestflow.outputs": "probabilities, Multinomial"}).columns
    assert [c.fields for c in answer] == [("probabilities",), ("Multinomial",)]
    assert answer[0].data.tobytes() == plain[1].data.tobytes()
    assert answer[1].data.tolist() == plain[0].data.tolist()
    fields_of_records = model.predict(records, {"forestflow.outputs": "probabilities"}).columns[0].fields
    assert fields_of_records == ("p.basket", "p.browse", "p.buy")
    with pytest.raises(InvalidInput, match=r"unknown outputs Regression; known are prediction, probabilities"):
        model.predict(batch, {"forestflow.outputs": "Regression"})
