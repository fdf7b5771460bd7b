"""The offset column: most MOJOs add it, that of deep learning takes it and leaves it out; the metadata say so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from forestflow.domain.tensors import Batch
from forestflow.servables.base import Servable
from tests.integration.h2o.batches import basic
from tests.integration.h2o.training import Case
from tests.serving import RunningServer

Get = Callable[[str], Servable]


def rows(case: Case, offset: float | None = None) -> Batch:
    given = dict(case.rows)
    if offset is not None:
        given["off"] = [offset] * len(given["off"])
    return basic(given, case.types)


def numbers(case: Case) -> np.ndarray:
    """What the cluster answered: its last column."""
    return np.array(list(case.expected.values())[-1], dtype=float)


@pytest.mark.parametrize("name", ["gbm_poisson_offset", "gbm_binomial_offset", "xgb_offset"])
def test_models_that_use_it_say_nothing(name: str, trained: dict[str, Case], servable: Get) -> None:
    model, outputs = servable(name), {"h2o.outputs": "probabilities" if "binomial" in name else "prediction"}
    assert model.metadata.warnings == ()
    without, with_it = (model.predict(rows(trained[name], offset), outputs).columns[0].data for offset in (0.0, 1.0))
    assert (without != with_it).any()


def test_deep_learning_says_that_it_drops_it(trained: dict[str, Case], servable: Get) -> None:
    case, model = trained["deep_offset"], servable("deep_offset")
    assert model.metadata.warnings == (
        "the model was trained with the offset column 'off', but its MOJO does not use it: H2O's own answers differ "
        "where the offset is not 0",
    )
    assert (model.metadata.inputs[-1].description or "").endswith(":off]"), "it is still an input"
    given, without, with_it = (model.predict(rows(case, offset), {}).columns[0].data for offset in (None, 0.0, 1.0))
    assert given.tolist() == without.tolist() == with_it.tolist()
    assert not np.allclose(given, numbers(case), rtol=1e-3)


def test_models_without_one_are_not_asked(servable: Get) -> None:
    assert servable("deep_regression").metadata.warnings == ()


def test_metadata_and_log_of_a_deploy_have_it(trained: dict[str, Case], server: RunningServer) -> None:
    case = trained["deep_offset"]
    payload = {
        "path": case.mojo.parent.as_uri(),
        "flavor": {"H2OMojo": {"mojoPath": case.mojo.name}},
        "servableSettings": {"policySettings": {"phaseInPolicy": {"ImmediatePhaseIn": {}}}},
    }
    server.http.post("/servable/h2o/offset/0/v1", json=payload).raise_for_status()
    try:
        (warning,) = server.http.get("/h2o/offset/0/v1/metadata").json()["BasicMetaData"]["warnings"]
        assert warning.startswith("the model was trained with the offset column 'off'")
        log = (server.data_dir / "logs" / "forestflow.jsonl").read_text()
        assert [line for line in log.splitlines() if warning in line and '"h2o.offset.0.v1"' in line]
    finally:
        server.http.delete("/h2o/offset/0/v1").raise_for_status()
