"""The MOJOs that ship with ForestFlow answer as the cluster that trained them did, and as BASIC expects."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from forestflow.domain.errors import InvalidInput, UnknownInputs
from forestflow.domain.tensors import Batch, Column, IOMetadata, TensorType
from forestflow.servables.base import Servable
from tests.integration.h2o.batches import basic, column
from tests.integration.h2o.conftest import EXAMPLES, load

RESPONSE = "EnergyOutputMW"
ENERGY = ("TemperatureCelcius", "ExhaustVacuumHg", "AmbientPressureMillibar", "RelativeHumidity")


@pytest.fixture(scope="module")
def energy() -> Servable:
    return load(EXAMPLES / "energy_gbm_v1.zip")


def golden(name: str) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    data = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    columns = {field: [row[i] for row in data["rows"]] for i, field in enumerate(data["fields"])}
    return columns, data["predictions"]


@pytest.mark.parametrize("name", ["energy_gbm_v1", "energy_gbm_v2"])
def test_energy(name: str) -> None:
    columns, expected = golden(name)
    model = load(EXAMPLES / f"{name}.zip")
    (answer,) = model.predict(basic(columns, dict.fromkeys(columns, "numeric")), {}).columns
    assert answer.data.tolist() == pytest.approx(expected["predict"], rel=1e-9)
    assert all(415 < value < 500 for value in answer.data.tolist())
    assert model.metadata.inputs == (
        IOMetadata("numeric", TensorType.Float64, (4,), "[" + ",".join(f"{i}:{n}" for i, n in enumerate(ENERGY)) + "]"),
    )
    assert model.metadata.outputs == (IOMetadata("Regression", TensorType.Float64),)


def test_visits() -> None:
    columns, expected = golden("visits_gbm")
    model = load(EXAMPLES / "visits_gbm.zip")
    types = {name: "enum" if name in ("channel", "weekday") else "numeric" for name in columns}
    labels, chances = model.predict(basic(columns, types), {"h2o.outputs": "prediction,probabilities"}).columns
    assert labels.data.tolist() == expected["predict"]
    assert chances.fields == ("p.basket", "p.browse", "p.buy")
    for i, name in enumerate(("basket", "browse", "buy")):
        assert chances.data[:, i].tolist() == pytest.approx(expected[name], rel=1e-9)
    assert [io.description for io in model.metadata.inputs] == ["[0:channel,1:weekday]", "[0:minutes,1:price]"]


def test_no_data_and_the_wrong_number_of_inputs(energy: Servable) -> None:
    one = column(TensorType.Float64, ENERGY, [[33.2, 60.5, 1010.7, 30.0]])
    for batch in (Batch(0, ()), Batch(1, ()), Batch(0, (Column(one.type, one.fields, one.data[:0]),))):
        with pytest.raises(InvalidInput, match=r"^No input data provided$"):
            energy.predict(batch, {})
    two = column(TensorType.Int64, ENERGY[:1], [[33]])
    with pytest.raises(InvalidInput) as caught:
        energy.predict(Batch(1, (one, two)), {})
    assert caught.value.message == (
        "Number of inputs (Found min: 2 max: 2) does not match expected number for a request 1"
    )


def test_answers_do_not_share_memory(energy: Servable) -> None:
    first = energy.predict(Batch(1, (column(TensorType.Float64, ENERGY, [[33.2, 60.5, 1010.7, 30.0]]),)), {})
    kept = first.columns[0].data.tolist()
    energy.predict(Batch(1, (column(TensorType.Float64, ENERGY, [[3.2, 40.5, 1010.7, 90.0]]),)), {})
    assert first.columns[0].data.tolist() == kept


def test_a_field_left_out_is_missing(energy: Servable) -> None:
    alone = Batch(1, (column(TensorType.Float64, ENERGY[:1], [[33.2]]),))
    missing = Batch(1, (column(TensorType.Float64, ENERGY, [[33.2, *[math.nan] * 3]]),))
    ours, theirs = (energy.predict(batch, {}).columns[0].data.tolist() for batch in (alone, missing))
    assert ours == theirs


def test_a_row_without_a_field_that_it_scores_is_refused(energy: Servable) -> None:
    """Neither a misspelt field nor the column that it was trained to predict makes an answer out of nothing."""
    for fields in (["Temp"], ["Temp", "nothing it knows"], [RESPONSE], ["Temp", RESPONSE]):
        strange = Batch(1, (column(TensorType.Float64, fields, [[1.0] * len(fields)]),))
        for batch in (strange, Batch.of_tensors([Column(TensorType.Float64, (f,), np.ones(1)) for f in fields])):
            with pytest.raises(UnknownInputs, match=f"there is no input '{fields[0]}'; the model takes num") as caught:
                energy.predict(batch, {})
            assert caught.value.names == tuple(fields)


def test_a_row_of_the_training_frame_is_a_right_one(energy: Servable) -> None:
    row = [33.2, 60.5, 1010.7, 30.0]
    (expected,) = energy.predict(Batch(1, (column(TensorType.Float64, ENERGY, [row]),)), {}).columns
    whole = column(TensorType.Float64, [*ENERGY, RESPONSE], [[*row, 470.0]])
    apart = [Column(TensorType.Float64, (name,), whole.data[:, i]) for i, name in enumerate(whole.fields)]
    for batch in (Batch(1, (whole,)), Batch.of_tensors(apart)):
        assert energy.predict(batch, {}).columns[0].data.tolist() == expected.data.tolist()
