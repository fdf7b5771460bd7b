"""Version directories of a real server: versions come, go, break and replace each other under load."""

from __future__ import annotations

import json
import shutil
import threading
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.serving import MODELS, golden, rows_body, values

ROWS, ODD = golden("energy_gbm_v1")
_, EVEN = golden("energy_gbm_v2")
WAIT_SECONDS = 60


def truth(version):
    return ODD if int(version) % 2 else EVEN


def put(base, version, *, broken=False):
    """Write a version elsewhere and rename it; ``broken``: a MOJO that passes every check and does not load."""
    new = base / f".{version}"
    new.mkdir()
    model = MODELS / f"energy_gbm_{'v1' if version % 2 else 'v2'}.zip"
    if broken:
        with zipfile.ZipFile(model) as good, zipfile.ZipFile(new / "model.zip", "w", zipfile.ZIP_DEFLATED) as bad:
            for name in good.namelist():
                bad.writestr(name, good.read(name).replace(b"n_trees = ", b"n_trees = x"))
    else:
        shutil.copy(model, new / "model.zip")
    new.rename(base / str(version))


def watch(server, contract, base, policy):
    organization, project, number = contract.split("/")
    payload = {
        "path": base if isinstance(base, str) else base.as_uri(),
        "fqrv": {"contract": {"organization": organization, "project": project, "contractNumber": int(number)}},
        "flavor": {"H2OMojo": {"mojoPath": "model.zip"}},
        "servableSettings": {
            "policySettings": {
                "validityPolicy": [{"ImmediatelyValid": {}}],
                "phaseInPolicy": {"ImmediatePhaseIn": {}},
            }
        },
        "versions": policy,
        "pollSeconds": 0.2,
    }
    reply = server.http.post("/servable", json=payload)
    assert reply.status_code == 200, reply.text
    return {v["version"]: v["state"] for v in reply.json()["VersionsStatus"]["versions"]}


def become(server, contract, expected):
    """Wait until the versions stand as expected."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        status = server.http.get(f"/{contract}/versions").json()["VersionsStatus"]
        if {v["version"]: v["state"] for v in status.get("versions", [])} == expected:
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.05)


class Load:
    """Two clients that score one request after another; counts answers by release, and keeps what was no answer."""

    def __init__(self, server, contract):
        self.answers = Counter()
        self.failures = []
        self._stop = threading.Event()
        self._url = f"{server.url}/{contract}/score"
        self._pool = ThreadPoolExecutor(2)
        self._clients = [self._pool.submit(self._score) for _ in range(2)]

    def _score(self):
        body = json.dumps(rows_body(ROWS)).encode()
        with httpx.Client(timeout=30) as client:
            while not self._stop.is_set():
                reply = client.post(self._url, content=body, headers={"Content-Type": "application/json"})
                if reply.status_code != 200:
                    self.failures.append(reply.text)
                    continue
                version = reply.json()["Prediction"]["fqrv"]["releaseVersion"]
                assert values(reply) == pytest.approx(truth(version), rel=1e-9)
                self.answers[version] += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._pool.shutdown()
        for client in self._clients:
            client.result()


def answered_since(load, version):
    deadline = time.monotonic() + WAIT_SECONDS
    while not load.answers[version]:
        assert time.monotonic() < deadline, load.answers
        time.sleep(0.01)


def test_swaps_under_load_fail_no_request(server, contract, tmp_path):
    put(tmp_path, 1)
    assert watch(server, contract, tmp_path, {"latest": {}}) == {"1": "AVAILABLE"}
    with Load(server, contract) as load:
        for version in (2, 3, 4):
            put(tmp_path, version)
            shutil.rmtree(tmp_path / str(version - 1))  # before the new one answers
            become(server, contract, {str(version): "AVAILABLE"})
            answered_since(load, str(version))
        put(tmp_path, 5, broken=True)
        status = become(server, contract, {"4": "AVAILABLE", "5": "FAILED"})
        assert status["versions"][1]["message"]
        shutil.rmtree(tmp_path / "5")
        put(tmp_path, 6)
        become(server, contract, {"4": "RETIRED", "6": "AVAILABLE"})
        answered_since(load, "6")
    assert load.failures == []
    assert load.answers.keys() == {"1", "2", "3", "4", "6"}


def test_that_a_gap_would_be_seen(server, contract, tmp_path):
    """Negative control: who deletes first and deploys then fails requests, and the load notices."""
    put(tmp_path, 1)
    watch(server, contract, tmp_path, {"latest": {}})
    with Load(server, contract) as load:
        answered_since(load, "1")
        server.http.delete(f"/{contract}/1").raise_for_status()
        assert watch(server, contract, tmp_path, {"latest": {}}) == {"1": "AVAILABLE"}
    assert load.failures


def test_several_versions_share_and_leave(server, contract, tmp_path):
    for version in (1, 2):
        put(tmp_path, version)
    server.http.post(
        f"/contract/{contract}",
        json={"expirationPolicy": {"KeepAll": {}}, "router": {"FairPhaseInPctBasedRouter": {}}},
    )
    assert watch(server, contract, tmp_path, {"all": {}}) == {"1": "AVAILABLE", "2": "AVAILABLE"}
    releases = [server.score(contract, rows_body(ROWS)).json() for _ in range(4)]
    assert Counter(r["Prediction"]["fqrv"]["releaseVersion"] for r in releases) == {"1": 2, "2": 2}
    server.http.put(f"/{contract}/versions", json={"versions": {"specific": {"versions": [2]}}}).raise_for_status()
    become(server, contract, {"1": "RETIRED", "2": "AVAILABLE"})
    server.http.delete(f"/{contract}/versions").raise_for_status()
    assert server.http.get(f"/{contract}/versions").status_code == 404
    assert values(server.score(contract, rows_body(ROWS))) == pytest.approx(EVEN, rel=1e-9)
