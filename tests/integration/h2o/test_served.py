"""Every category through the whole server: deployed over REST, scored as BASIC JSON, equal to the training cluster."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.integration.h2o.training import Case
from tests.serving import RunningServer

# One of each category that H2O can export.
CATEGORIES = {
    "Regression": "gbm_regression",
    "Binomial": "gbm_binomial",
    "Multinomial": "gbm_multinomial",
    "Ordinal": "glm_ordinal",
    "Clustering": "kmeans",
    "AutoEncoder": "autoencoder",
    "DimReduction": "pca",
    "AnomalyDetection": "isolation_forest",
    "CoxPH": "coxph",
    "BinomialUplift": "uplift",
    "TargetEncoder": "target_encoder",
    "WordEmbedding": "word2vec",
}


def request_of(case: Case) -> tuple[dict[str, Any], list[int]]:
    """A BASIC request of the case's rows that miss nothing (JSON has no missing text), and which rows these are."""
    names = list(case.rows)
    count = len(case.rows[names[0]])
    whole = [i for i in range(count) if all(case.rows[name][i] is not None for name in names)]
    texts = [name for name in names if case.types[name] != "numeric"]
    numbers = [name for name in names if case.types[name] == "numeric"]
    groups = [(kind, fields) for kind, fields in (("String", texts), ("Float64", numbers)) if fields]
    return {
        "schema": [{"type": kind, "fields": fields} for kind, fields in groups],
        "datum": [
            {"tensors": [{kind: {"data": [case.rows[name][i] for name in fields]}} for kind, fields in groups]}
            for i in whole
        ],
    }, whole


def columns_of(prediction: dict[str, Any]) -> list[list[list[Any]]]:
    """The rows of each schema entry of an answer."""
    found = []
    for position, entry in enumerate(prediction["schema"]):
        key = "Byte" if entry["type"] == "Bytes" else entry["type"]
        found.append([datum["tensors"][position][key]["data"] for datum in prediction["datum"]])
    return found


def numbers(cells: list[list[Any]], rows: list[int]) -> np.ndarray[Any, Any]:
    """Columns of the cluster's answer as an array of those rows."""
    return np.array([[float(column[i]) if column[i] != "" else math.nan for i in rows] for column in cells]).T


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_server_answers_as_the_cluster(category: str, trained: dict[str, Case], server: RunningServer) -> None:
    case = trained[CATEGORIES[category]]
    assert case.category == category
    contract = f"h2o/{category}/0"
    payload = {
        "path": case.mojo.parent.as_uri(),
        "flavor": {"H2OMojo": {"mojoPath": case.mojo.name}},
        "servableSettings": {"policySettings": {"phaseInPolicy": {"ImmediatePhaseIn": {}}}},
    }
    server.http.post(f"/servable/{contract}/v1", json=payload).raise_for_status()
    try:
        body, rows = request_of(case)
        assert len(rows) > 1
        classifier = category in ("Binomial", "Multinomial", "Ordinal")
        if classifier:
            body["configs"] = {"h2o.outputs": "prediction,probabilities"}
        reply = server.score(contract, body)
        assert reply.status_code == 200, reply.text
        columns = columns_of(reply.json()["Prediction"])
        expected = list(case.expected.values())
        if classifier:
            assert [row[0] for row in columns[0]] == [expected[0][i] for i in rows]
            assert np.allclose(columns[1], numbers(expected[1:], rows), rtol=1e-9, atol=0)
        elif category == "AnomalyDetection":
            assert np.allclose(np.array(columns[0])[:, ::-1], numbers(expected[-2:], rows), rtol=1e-9)
        else:
            ours = np.array(columns[0], dtype=float)
            single = category == "WordEmbedding"
            assert np.allclose(
                ours,
                numbers(expected[: ours.shape[1]], rows),
                rtol=1e-6 if single else 1e-9,
                atol=1e-12,
                equal_nan=True,
            )
    finally:
        server.http.delete(f"/{contract}/v1").raise_for_status()
