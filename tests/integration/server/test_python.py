"""Python models through the real server: scored, failing, exiting, with requirements of their own, and turned off."""

from __future__ import annotations

import json
import threading
import time

import httpx
import pytest

from tests.serving import wait_for
from tests.unit.artifacts.test_environment import wheel

pytestmark = pytest.mark.slow

SCRIPT = """
import os, sys
from forestflow.serving import BadInput

print("loading", __name__)

class Predict:
    def __init__(self):
        self.factor = float(open(os.path.join(self.path, "factor.txt")).read())
        print("loaded", file=sys.stderr)

    def predict(self, inputs):
        for a, b in inputs:
            if a == 1: raise ValueError("one is not a number")
            if a == 2: raise BadInput("two is too much")
            if a == 3: sys.exit("three")
            if a == 4: os._exit(4)
        return [self.factor * (a + b) for a, b in inputs]

    def classify(self, inputs):
        return "not implemented"

    def regress(self, inputs):
        return {"sum": [a + b for a, b in inputs], "name": [f"{a}+{b}" for a, b in inputs]}
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "factor.txt").write_text("0.5")
    (tmp_path / "model" / "serve.py").write_text(SCRIPT)
    return tmp_path / "model"


def deploy(server, contract, model, release="v1", replicas=1, **flavor):
    payload = {
        "path": model.as_uri(),
        "flavor": {"Python": {"script": "serve.py", **flavor}},
        "servableSettings": {
            "policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}},
            "deploymentSettings": {"replicas": replicas},
        },
    }
    return server.http.post(f"/servable/{contract}/{release}", json=payload)


def score(server, contract, *rows, **configs):
    schema = [{"type": "Float64", "fields": ["a", "b"]}]
    datum = [{"tensors": [{"Float64": {"data": row}}]} for row in rows]
    return server.score(contract, {"schema": schema, "datum": datum, "configs": configs})


def answer(response):
    assert response.status_code == 200, response.text
    prediction = response.json()["Prediction"]
    return {
        entry["fields"][0]: [next(iter(datum["tensors"][i].values()))["data"][0] for datum in prediction["datum"]]
        for i, entry in enumerate(prediction["schema"])
    }


def states(server, contract, release="v1"):
    listed = server.http.get(f"/{contract}/{release}/replicas").json()
    return [entry["ReplicaStatus"]["state"] for entry in listed]


def message(response, status):
    assert response.status_code == status, response.text
    assert "Traceback" not in response.text
    assert "serve.py" not in response.text
    return response.text


def test_scores_and_its_faults(server, contract, model):
    deploy(server, contract, model).raise_for_status()
    assert answer(score(server, contract, [10, 5], [7, 1])) == {"prediction": [7.5, 4.0]}
    regressed = score(server, contract, [10, 5], **{"forestflow.signature": "regress"})
    assert answer(regressed) == {"sum": [15.0], "name": ["10.0+5.0"]}

    assert "predict raised ValueError: one is not a number" in message(score(server, contract, [1, 0]), 500)
    assert "two is too much" in message(score(server, contract, [2, 0]), 422)
    assert "predict raised SystemExit: three" in message(score(server, contract, [3, 0]), 500)
    for method in ("classify", "missing"):
        told = message(score(server, contract, [5, 0], **{"forestflow.signature": method}), 501)
        assert method in told
    assert answer(score(server, contract, [10, 5])) == {"prediction": [7.5]}, "the same replica goes on"
    (replica,) = server.http.get(f"/{contract}/v1/replicas").json()
    assert replica["ReplicaStatus"]["state"] == "READY"

    log = server.http.get(f"/{contract}/v1/logs").text
    assert log.startswith("loading serve\nloaded\n")
    assert 'raise ValueError("one is not a number")' in log
    assert log.count("Traceback") == 2, "ValueError and SystemExit; the client's fault is not the model's"
    assert log.count("one is not a number") == 2, "line and message, once"


def test_exits_of_the_process_restart_the_replica(server, contract, model):
    deploy(server, contract, model).raise_for_status()
    (before,) = server.http.get(f"/{contract}/v1/replicas").json()
    killed = score(server, contract, [4, 0])
    assert killed.status_code == 503, killed.text
    assert answer(score(server, contract, [10, 5])) == {"prediction": [7.5]}
    (after,) = server.http.get(f"/{contract}/v1/replicas").json()
    assert after["ReplicaStatus"]["replica"] == before["ReplicaStatus"]["replica"]
    assert after["ReplicaStatus"]["pid"] != before["ReplicaStatus"]["pid"]
    assert server.http.get(f"/{contract}/v1/logs").text.count("loaded\n") >= 2, "its log goes on"


def test_merging_can_be_seen(server, contract, model):
    (model / "serve.py").write_text(
        "class Predict:\n  batched = True\n  inputs = 'numpy'\n"
        "  example = [[0.0, 0.0]]\n  def __init__(self):\n    import numpy\n    self.example = numpy.zeros((1, 2))\n"
        "  def predict(self, inputs): return inputs.sum(axis=1)\n"
    )
    settings = {
        "path": model.as_uri(),
        "flavor": {"Python": {"script": "serve.py"}},
        "servableSettings": {
            "policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}},
            "deploymentSettings": {"merging": {"maxRows": 4, "maxWaitMS": 10000}},
        },
    }
    server.http.post(f"/servable/{contract}/v1", json=settings).raise_for_status()
    answers = []
    users = [
        threading.Thread(
            target=lambda n=n: answers.append(answer(score(server, contract, [n, 1]))["prediction"][0] - n)
        )
        for n in range(4)
    ]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert answers == [1.0] * 4
    (replica,) = server.http.get(f"/{contract}/v1/replicas").json()
    assert replica["ReplicaStatus"]["batchSizes"] == [{"minRows": "4", "maxRows": "7", "calls": "1"}]
    assert (replica["ReplicaStatus"]["queued"], replica["ReplicaStatus"]["shadowBacklog"]) == (0, 0)


def test_logs_are_followed(server, contract, model):
    (model / "serve.py").write_text(
        "class Predict:\n  def predict(self, inputs):\n    print('scored', inputs)\n    return [0]\n"
    )
    deploy(server, contract, model).raise_for_status()
    parts = []
    with httpx.stream("GET", f"{server.url}/{contract}/v1/logs?follow=true&tail=1", timeout=30) as response:
        assert response.headers["content-type"].startswith("text/plain")
        for number in (1, 2):
            score(server, contract, [number, 5]).raise_for_status()
            for part in response.iter_text() if number == 1 else ():
                parts.append(part)
                if "scored [[1.0, 5.0]]" in part:
                    break
    assert any("scored [[1.0, 5.0]]" in part for part in parts)


def test_a_deploy_that_fails_leaves_its_log(server, contract, model):
    (model / "factor.txt").unlink()
    refused = deploy(server, contract, model)
    assert refused.status_code == 422
    assert "serve.py: FileNotFoundError" in refused.text
    log = server.http.get(f"/{contract}/v1/logs").text
    assert 'open(os.path.join(self.path, "factor.txt"))' in log
    assert server.http.get(f"/{contract}/v2/logs").status_code == 404


def test_requirements_of_its_own(server, contract, model, tmp_path):
    wheels = tmp_path / "wheels"
    wheel(wheels, "forestflow_only_here", "1.2")
    wheel(wheels, "tabulate", "99.0")
    (model / "requirements.txt").write_text(f"--no-index\n--find-links {wheels}\nforestflow-only-here\ntabulate==99\n")
    (model / "serve.py").write_text(
        "import forestflow_only_here, tabulate, numpy\nclass Predict:\n"
        "  def predict(self, inputs):\n"
        "    return [f'{forestflow_only_here.__version__} {tabulate.__version__}'] * len(inputs)\n"
    )
    without = deploy(server, contract, model)
    assert without.status_code == 422
    assert "No module named 'forestflow_only_here'" in without.text

    began = time.monotonic()
    made = deploy(server, contract, model, requirements=["-r requirements.txt"], replicas=2)
    assert made.status_code == 200, made.text
    first = time.monotonic() - began
    wait_for(lambda: states(server, contract) == ["READY", "READY"])
    for _ in range(4):
        assert answer(score(server, contract, [0, 0])) == {"prediction": ["1.2 99.0"]}
    began = time.monotonic()
    deploy(server, contract, model, "v2", requirements=["-r requirements.txt"]).raise_for_status()
    print(f"first deploy {first:.1f} s, with the environment made {time.monotonic() - began:.1f} s")

    (model / "requirements.txt").write_text(f"--no-index\n--find-links {wheels}\nforestflow-only-here==7\n")
    refused = deploy(server, contract, model, "v3", requirements=["-r requirements.txt"])
    assert refused.status_code == 422
    assert "No matching distribution found for forestflow-only-here==7" in json.dumps(refused.json())
    assert "does not exist" in deploy(server, contract, model, "v4", requirements=["-r other.txt"]).text


def test_python_models_can_be_turned_off(bare_server, model):
    refused = deploy(bare_server, "o/p/0", model)
    assert refused.status_code == 422
    assert "turned off by code_servables" in refused.text
    assert bare_server.http.get("/o/p/0/v1/status").status_code == 404
