"""Threads share the rows of long batches: the cluster's own answers, row for row, whatever their number."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from forestflow.domain.settings import Resources
from forestflow.servables.h2o.servable import load_mojo
from tests.integration.h2o.batches import basic
from tests.integration.h2o.conftest import EXAMPLES

TYPES = {"channel": "enum", "weekday": "enum"}


def tiled(name: str, rows: int) -> tuple[dict[str, list[Any]], dict[str, str], dict[str, list[Any]]]:
    """The example's rows over and over, their types, and what the cluster that trained it predicted for each."""
    data = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    order = np.arange(rows) % len(data["rows"])
    columns = {field: [data["rows"][i][place] for i in order] for place, field in enumerate(data["fields"])}
    expected = {field: [values[i] for i in order] for field, values in data["predictions"].items()}
    return columns, {field: TYPES.get(field, "numeric") for field in columns}, expected


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 255, 256, 1_001, 20_000])
def test_rows_are_answered_in_order(threads: int, rows: int) -> None:
    model = load_mojo(EXAMPLES / "visits_gbm.zip", Resources(threads=threads))
    columns, types, expected = tiled("visits_gbm", rows)
    batch = basic(columns, types)
    labels, chances = model.predict(batch, {"h2o.outputs": "prediction,probabilities"}).columns
    assert labels.data.tolist() == expected["predict"]
    for i, name in enumerate(("basket", "browse", "buy")):
        np.testing.assert_allclose(chances.data[:, i], expected[name], rtol=1e-9)
    model.close()


def test_further_threads_are_there_for_trees_and_end_with_the_model(trained: dict[str, Any]) -> None:
    linear = next(case for name, case in trained.items() if "glm" in name.lower())
    model = load_mojo(linear.mojo, Resources(threads=3))
    model.predict(basic({name: values * 40 for name, values in linear.rows.items()}, linear.types), {})
    assert becomes(0), "another algorithm may keep something between two rows"
    model.close()
    model = load_mojo(EXAMPLES / "energy_gbm_v1.zip", Resources(threads=3))
    columns, types, expected = tiled("energy_gbm_v1", 1_000)
    (answer,) = model.predict(basic(columns, types), {}).columns
    assert answer.data.tolist() == pytest.approx(expected["predict"], rel=1e-9)
    assert becomes(2)
    model.close()
    assert becomes(0)


def becomes(count: int) -> bool:
    """Whether so many threads of scorers live in this process's JVM, after five seconds at most."""
    import jpype

    stacks = jpype.JClass("java.lang.Thread").getAllStackTraces
    for _ in range(100):
        if sum(str(thread.getName()) == "scoring" for thread in stacks().keySet()) == count:
            return True
        time.sleep(0.05)
    return False
