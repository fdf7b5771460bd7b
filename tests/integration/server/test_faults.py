"""Processes are killed, restarted and stopped; what was acknowledged stays, and users notice as little as possible."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import httpx
import pytest

from tests.serving import MODELS, free_port, golden, rows_body, running, values, wait_for

CONTRACT = "faults/energy/0"
ROWS, EXPECTED = golden()
BODY = rows_body(ROWS[:2])
KEEP_TWO = {"expirationPolicy": {"KeepLatest": {"servablesToKeep": 2}}, "router": {"FairPhaseInPctBasedRouter": {}}}

pytestmark = pytest.mark.slow


class Load:
    """Users who score all the time, one after the other; remembers what went wrong."""

    def __init__(self, server, contract):
        self.server, self.contract = server, contract
        self.answered, self.failures = 0, []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self):
        with httpx.Client(base_url=self.server.url, timeout=60) as client:
            while not self._over.is_set():
                try:
                    reply = client.post(f"/{self.contract}/score", json=BODY)
                    if reply.status_code == 200:
                        self.answered += 1
                    else:
                        self.failures.append((reply.status_code, reply.text))
                except httpx.TransportError as error:
                    self.failures.append(repr(error))


@pytest.mark.parametrize("replicas", [1, 2])
def test_no_request_fails_when_replicas_are_killed(server, contract, replicas):
    server.deploy(contract, "v1", deploymentSettings={"replicas": replicas}).raise_for_status()
    wait_for(lambda: len(server.hosts_of(contract, "v1")) == replicas)
    with Load(server, contract) as load:
        for _ in range(3):
            victim = min(server.hosts_of(contract, "v1"))
            answered = load.answered
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda victim=victim: len(server.hosts_of(contract, "v1") - {victim}) == replicas)
            wait_for(lambda answered=answered: load.answered > answered + 20)
    assert load.failures == []
    status = server.http.get(f"/{contract}/v1/status").json()["ServableStatus"]
    assert status["state"] == "AVAILABLE"


def test_scoring_goes_on_while_the_registry_is_down(server, contract):
    server.deploy(contract, "v1").raise_for_status()
    hosts = server.hosts_of(contract, "v1")
    (registry,) = server.pids("registry")
    with Load(server, contract) as load:
        os.kill(registry, signal.SIGKILL)
        refused = server.http.get("/contracts/list")
        if refused.status_code != 200:  # unless it was back before we asked
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "UNAVAILABLE"
        wait_for(lambda: server.http.get("/contracts/list").status_code == 200)
        wait_for(lambda: server.http.get("/ready").status_code == 200)
        time.sleep(0.5)
    assert load.failures == []
    assert len(hosts) == 1
    assert server.hosts_of(contract, "v1") == hosts, "hosts live on without the registry"

    def counted():
        return int(server.http.get(f"/{contract}/stats").json()[0]["ServableMetrics"]["scoreCount"])

    wait_for(lambda: counted() >= load.answered)
    assert counted() == load.answered
    server.deploy(contract, "v2").raise_for_status()


def test_a_killed_router_serves_again(server, contract):
    server.deploy(contract, "v1").raise_for_status()
    (router,) = server.pids("router")
    os.kill(router, signal.SIGKILL)

    def answers():
        try:
            return server.score(contract, BODY).status_code == 200
        except httpx.TransportError:
            return False

    wait_for(answers)
    assert server.pids("router") != [router]


def test_a_second_start_brings_back_everything(tmp_path):
    data = tmp_path / "data"
    with running(data) as server:
        server.http.post(f"/contract/{CONTRACT}", json=KEEP_TWO).raise_for_status()
        server.deploy(CONTRACT, "v1").raise_for_status()
        server.deploy(CONTRACT, "v2", "energy_gbm_v2.zip").raise_for_status()
        for _ in range(10):
            values(server.score(CONTRACT, BODY))
        paths = [f"/{CONTRACT}/{what}" for what in ("list", "stats", "s-settings", "c-settings", "metadata")]
        before = [server.http.get(path).json() for path in paths]
        assert server.stop() == [], "every process of the server is gone"
    with running(data) as server:
        assert [server.http.get(path).json() for path in paths] == before
        answers = [server.score(CONTRACT, BODY).json()["Prediction"]["fqrv"]["releaseVersion"] for _ in range(4)]
        assert sorted(answers) == ["v1", "v1", "v2", "v2"]
        server.kill_all()  # and now without any order
    with running(data) as server:
        listed = server.http.get(f"/{CONTRACT}/list").json()
        assert [x["FQRV"]["releaseVersion"] for x in listed] == ["v1", "v2"]
        assert values(server.score(CONTRACT, BODY))
        for release in ("v1", "v2"):
            server.http.delete(f"/{CONTRACT}/{release}").raise_for_status()
        assert list((data / "artifacts").iterdir()) == []
        assert server.http.get("/contracts/list").json() == {"Contracts": {"contracts": []}}


def test_stops_on_sigint_and_answers_what_is_under_way(tmp_path):
    with running(tmp_path / "data") as server:
        server.deploy(CONTRACT, "v1").raise_for_status()
        body = rows_body(ROWS * 5000)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        # It returns when the last bytes are sent; so many that the server must have read most of them.
        connection.request("POST", f"/{CONTRACT}/score", json.dumps(body), {"Content-Type": "application/json"})
        replies = []
        reading = threading.Thread(target=lambda: replies.append(json.load(connection.getresponse())))
        reading.start()
        assert server.stop(signal.SIGINT) == []
        reading.join()
        connection.close()
        assert len(replies[0]["Prediction"]["datum"]) == len(body["datum"])


def test_what_keeps_it_from_serving_is_said_in_one_line(server, tmp_path):
    def start(*flags):
        return subprocess.run(
            [sys.executable, "-m", "forestflow.cli", "serve", "--grpc", f"127.0.0.1:{free_port()}", *flags],
            capture_output=True,
            text=True,
            timeout=60,
        )

    taken = start("--data-dir", str(tmp_path / "x"), "--http", f"127.0.0.1:{server.port}")
    assert taken.returncode == 4
    assert "cannot listen" in taken.stderr
    locked = start("--data-dir", str(server.data_dir), "--http", f"127.0.0.1:{free_port()}")
    assert locked.returncode == 4
    assert "another server uses" in locked.stderr
    public = start("--data-dir", str(tmp_path / "y"), "--http", "0.0.0.0:0")
    assert public.returncode == 2
    assert "allow_public_bind" in public.stderr.replace("-", "_")


def test_failed_deploys_leave_nothing_behind(server, contract, tmp_path):
    stored = {p.name for p in (server.data_dir / "artifacts").iterdir()}
    hosts = set(server.pids("host"))
    broken = tmp_path / "broken.zip"
    whole = (MODELS / "energy_gbm_v1.zip").read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    for path, mojo in [
        (MODELS, "missing.zip"),
        (MODELS, "energy_gbm_v1.json"),
        (tmp_path, "broken.zip"),
        (tmp_path / "nowhere", "x.zip"),
        (MODELS, "../models/energy_gbm_v1.zip"),
    ]:
        payload = {
            "path": path.as_uri(),
            "flavor": {"H2OMojo": {"mojoPath": mojo}},
            "servableSettings": {"policySettings": {"phaseInPolicy": {"ImmediatePhaseIn": {}}}},
        }
        reply = server.http.post(f"/servable/{contract}/v1", json=payload)
        assert reply.status_code == 422, reply.text
        error = reply.json()["CreateServableRequestInvalidError"]
        assert error["errorMessage"]
        assert error["serveRequest"]
    assert server.http.get(f"/{contract}/list").status_code == 404
    assert {p.name for p in (server.data_dir / "artifacts").iterdir()} <= stored
    wait_for(lambda: set(server.pids("host")) <= hosts)  # those of earlier tests may go meanwhile


def test_without_java_a_deploy_says_so(bare_server):
    reply = bare_server.deploy(CONTRACT, "v1")
    assert reply.status_code == 422
    assert "no Java found" in reply.json()["CreateServableRequestInvalidError"]["errorMessage"]
    assert bare_server.http.get("/contracts/list").json() == {"Contracts": {"contracts": []}}


def test_the_log_is_json_with_request_release_and_time(server, contract):
    server.deploy(contract, "v1").raise_for_status()
    (victim,) = server.hosts_of(contract, "v1")
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: server.score(contract, BODY).status_code == 200)
    lines = (server.data_dir / "logs" / "forestflow.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert any("lost" in e["message"] and e["release"].startswith("tests.") for e in entries)
    assert all({"time", "level", "logger", "pid", "message"} <= set(e) for e in entries)


def test_the_terminal_is_quiet(server):
    said = server.output.read_text().splitlines()
    assert len(said) == 1, said
    assert said[0].startswith("ForestFlow serves http://127.0.0.1:")


def test_the_journal_is_durable_sqlite(server):
    with sqlite3.connect(f"file:{server.data_dir / 'journal.db'}?mode=ro", uri=True) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT count(*) FROM events").fetchone()[0] > 0


def test_several_routers_share_the_port(tmp_path):
    with running(tmp_path / "data", "--routers", "2") as server:
        wait_for(lambda: len(server.pids("router")) == 2)
        server.deploy(CONTRACT, "v1").raise_for_status()
        for _ in range(20):  # a connection each, so that both routers get some
            with httpx.Client(base_url=server.url) as client:
                assert client.post(f"/{CONTRACT}/score", json=BODY).status_code == 200

        def count():
            return server.http.get(f"/{CONTRACT}/stats").json()[0]["ServableMetrics"]["scoreCount"]

        wait_for(lambda: count() == "20")
