"""The original's quick start, payloads verbatim, against a real server and a real MOJO."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.serving import MODELS, golden, rows_body, values

RELEASE = "StackedEnsemble_AllModels_AutoML_20191002_103122"
FQRV = {
    "contract": {"organization": "samples", "project": "energy_output", "contractNumber": 0},
    "releaseVersion": RELEASE,
}
DEPLOY = """{
  "path": "file://%s",
  "fqrv" : {"contract" : {"organization": "samples", "project": "energy_output", "contract_number": 0},
            "release_version": "StackedEnsemble_AllModels_AutoML_20191002_103122"},
  "flavor": {"H2OMojo" : {"mojoPath": "StackedEnsemble_AllModels_AutoML_20191002_103122.zip", "version": "3.22.0.2"}},
  "servableSettings": {
    "policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}},
    "loggingSettings": {"logLevel": "FULL", "keyFeatures": ["reqid"]}
  }
}"""
SCORE = """{
  "schema": [
    { "type": "Float64", "fields": ["TemperatureCelcius", "ExhaustVacuumHg", "AmbientPressureMillibar",
      "RelativeHumidity"] }
  ],
  "datum": [
    { "tensors": [ { "Float64": { "data": [33.2, 60.5, 1010.7, 30]  } } ] },
    { "tensors": [ { "Float64": { "data": [29.6, 62, 998.5, 40.62]  } } ] }
  ],
  "configs" : {"reqid":  "123-456-789"}
}"""
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def quickstart(server, tmp_path_factory):
    """The quick start's model is not ours to ship: its name stands for our own model of the same four inputs."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(MODELS / "energy_gbm_v1.zip", folder / f"{RELEASE}.zip")
    deploy = (DEPLOY % folder).encode()
    created = server.http.post("/servable", content=deploy, headers=JSON)
    assert (created.status_code, created.json()) == (200, {"ServableCreatedSuccessfully": {"fqrv": FQRV}})
    yield server, deploy
    server.http.delete(f"/samples/energy_output/0/{RELEASE}").raise_for_status()


def test_the_contract_is_listed(quickstart):
    server, _ = quickstart
    assert {"organization": "samples", "project": "energy_output", "contractNumber": 0} in server.http.get(
        "/contracts/list"
    ).json()["Contracts"]["contracts"]
    assert server.http.get("/samples/energy_output/0/list").json() == [{"FQRV": FQRV}]
    assert server.http.get("/samples/energy_output/0/releases").json() == [{"FQRV": FQRV}]


def test_metadata(quickstart):
    server, _ = quickstart
    metadata = server.http.get(f"/samples/energy_output/0/{RELEASE}/metadata").json()["BasicMetaData"]
    assert metadata["description"] == (
        "ServableSettings(PolicySettings(List(ImmediatelyValid()),ImmediatePhaseIn()),"
        "Some(LoggingSettings(FULL,List(reqid),None)))"
    )
    assert (metadata["fqrv"], metadata["name"], metadata["server"]) == (FQRV, "prediction", "ForestFlow")
    assert metadata["inputs"] == [
        {
            "name": "numeric",
            "description": "[0:TemperatureCelcius,1:ExhaustVacuumHg,2:AmbientPressureMillibar,3:RelativeHumidity]",
            "shape": ["4"],
            "type": "Float64",
        }
    ]
    assert "outputs" not in metadata, "as in the original"
    assert server.http.get("/samples/energy_output/0/metadata").json() == [{"BasicMetaData": metadata}]


def test_score_is_h2os_own_prediction_in_the_originals_form(quickstart):
    server, _ = quickstart
    before = _stats(server)
    reply = server.http.post("/samples/energy_output/0/score", content=SCORE.encode(), headers=JSON)
    assert reply.status_code == 200
    rows, expected = golden()
    assert rows[:2] == [[33.2, 60.5, 1010.7, 30.0], [29.6, 62.0, 998.5, 40.62]]
    assert values(reply) == pytest.approx(expected[:2], rel=1e-9)
    datum = ",".join('{"tensors":[{"Float64":{"data":[' + json.dumps(v) + "]}}]}" for v in values(reply))
    assert reply.text == (
        '{"Prediction":{"fqrv":{"contract":{"organization":"samples","project":"energy_output","contractNumber":0},'
        f'"releaseVersion":"{RELEASE}"}},"schema":[{{"type":"Float64","fields":["Regression"]}}],"datum":[{datum}]}}}}'
    )
    after = _stats(server)
    assert int(after["scoreCount"]) == int(before["scoreCount"]) + 1, "one request counts once, whatever its rows"
    assert after["shadeCount"] == "0"


def _stats(server):
    (entry,) = server.http.get("/samples/energy_output/0/stats").json()
    metrics = entry["ServableMetrics"]
    assert list(metrics) == [
        "fqrv", "scoreCount", "shadeCount", "createdAtMS", "becameValidAtMS", "currentPhaseInPct",
    ]  # fmt: skip
    assert metrics["fqrv"] == FQRV
    assert metrics["currentPhaseInPct"] == 100
    assert int(metrics["becameValidAtMS"]) >= int(metrics["createdAtMS"]) > 1_700_000_000_000
    return metrics


def test_settings(quickstart):
    server, deploy = quickstart
    settings = json.loads(deploy)["servableSettings"]
    assert server.http.get("/samples/energy_output/0/s-settings").json() == [{"ServableSettings": settings}]
    assert server.http.get(f"/samples/energy_output/0/{RELEASE}/settings").json() == {"ServableSettings": settings}
    default = {
        "ContractSettings": {
            "expirationPolicy": {"KeepLatest": {"servablesToKeep": 1}},
            "router": {"FairPhaseInPctBasedRouter": {}},
        }
    }
    assert server.http.get("/samples/energy_output/0/c-settings").json() == default


def test_deploying_it_again_is_refused_with_its_settings(quickstart):
    server, deploy = quickstart
    again = server.http.post("/servable", content=deploy, headers=JSON)
    assert again.status_code == 409
    assert again.json() == {
        "ServableAlreadyExistsError": {"fqrv": FQRV, "servableSettings": json.loads(deploy)["servableSettings"]}
    }


def test_every_row_equals_h2os_prediction(quickstart):
    server, _ = quickstart
    rows, expected = golden()
    reply = server.score("samples/energy_output/0", rows_body(rows))
    assert values(reply) == pytest.approx(expected, rel=1e-9)
    # a long batch is cut into slices and put together again
    many = server.score("samples/energy_output/0", rows_body(rows * 1000))
    assert values(many) == values(reply) * 1000
