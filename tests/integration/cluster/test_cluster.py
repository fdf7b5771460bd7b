"""ForestFlow on a Ray cluster of several nodes that was there before it and stays when it goes.

The head node has no CPUs, so a replica that asks for one lands on a worker, which does not see the data directory.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import struct
import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.cluster.conftest import HEAD
from tests.serving import golden, rows_body, running, values
from tests.unit.artifacts.test_environment import wheel

CONTRACT = "cluster/energy/0"
ROWS, EXPECTED = golden()
BODY = rows_body(ROWS[:2])
ONE_CPU = {"replicas": 1, "resources": {"cpu": 1}}
FIRST, SECOND = "127.0.0.3", "127.0.0.4"
NODE_LOSS_SECONDS = 60

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def first_worker(nodes, hidden):
    nodes.worker(FIRST, 2, hidden=hidden)


def scores(server):
    assert values(server.score(CONTRACT, BODY)) == pytest.approx(EXPECTED[:2], rel=1e-9)


def cached(data_dir):
    """What nodes that do not see the data directory keep of its artifacts, and the folder that it is in."""
    name = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:8]
    return [
        path
        for folder in Path(tempfile.gettempdir()).glob(f"forestflow-{name}-*-artifacts")
        for path in (folder, *folder.iterdir())
    ]


def test_joins_places_scores_and_leaves(nodes, hidden, until):
    data = hidden / "joins"
    with running(data, "--address", nodes.address) as server:
        server.deploy(CONTRACT, "v1", deploymentSettings=ONE_CPU).raise_for_status()
        scores(server)
        ((ip, pid),) = nodes.hosts()
        assert ip == FIRST
        assert {a["ip"] for a in nodes.actors("ForestFlowR")} == {HEAD}, "registry and router are with the data"

        # its requests come over TCP, and only from who proves to know the secret
        (router,) = nodes.actors("ForestFlowRouter")
        links = [c for c in psutil.Process(router["pid"]).net_connections("tcp") if c.raddr and c.raddr.ip == FIRST]
        ports = {c.laddr.port for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        (link,) = [c for c in links if c.raddr.port in ports]
        assert link.status == psutil.CONN_ESTABLISHED
        with socket.create_connection((FIRST, link.raddr.port), timeout=5) as stranger:
            assert stranger.recv(100)[4] == 1  # HELLO
            stranger.sendall(struct.pack("<IB", 49, 2) + b"0" * 48)  # PROOF, wrong
            try:
                rest = stranger.recv(100)
            except ConnectionResetError:
                rest = b""
            assert rest == b"", "hung up on"
        scores(server)

        # its artifact was fetched: the worker does not see the data directory
        assert len(cached(data)) == 3  # the artifact and its lock, in their folder

        # every registry that watches a host takes one of its threads; the earlier ones must give theirs back
        for _ in range(9):
            (registry,) = nodes.actors("ForestFlowRegistry")
            os.kill(registry["pid"], signal.SIGKILL)
            until(lambda old=registry: [a["pid"] for a in nodes.actors("ForestFlowRegistry")] != [old["pid"]])
            until(lambda: server.http.get("/ready").status_code == 200)
        assert nodes.hosts() == [(FIRST, pid)]
        scores(server)
    assert nodes.actors() == []
    assert cached(data) == []
    assert nodes.alive() == [HEAD, FIRST], "the cluster was there before, and stays"


def test_a_start_after_kill_9_takes_the_hosts_over(nodes, hidden):
    data = hidden / "killed"
    with running(data, "--address", nodes.address) as server:
        server.deploy(CONTRACT, "v1", deploymentSettings=ONE_CPU).raise_for_status()
        hosts = nodes.hosts()
        server.process.kill()
        server.process.wait()
    began = time.monotonic()
    with running(data, "--address", nodes.address) as server:
        print(f"up again {time.monotonic() - began:.1f} s after kill -9")
        scores(server)
        assert nodes.hosts() == hosts
        server.process.kill()
        server.process.wait()
    # hosts that were started with other settings are of no use
    with running(data, "--address", nodes.address, "--max-queued-per-replica", "7") as server:
        scores(server)
        (fresh,) = nodes.hosts()
        assert fresh not in hosts
    assert nodes.actors() == []


def test_a_python_model_on_another_node_has_its_requirements_and_its_log(nodes, hidden, tmp_path):
    wheel(tmp_path / "wheels", "forestflow_only_here", "1.2")
    model = tmp_path / "model"
    model.mkdir()
    (model / "serve.py").write_text(
        "import forestflow_only_here as other\nprint('loading', flush=True)\nclass Predict:\n"
        "  def predict(self, inputs):\n    print('scored')\n    return [other.__version__] * len(inputs)\n"
    )
    settings = {
        "policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}},
        "deploymentSettings": ONE_CPU,
    }
    requirements = ["--no-index", f"--find-links {tmp_path / 'wheels'}", "forestflow-only-here"]
    payload = {"path": model.as_uri(), "servableSettings": settings}
    with running(hidden / "python", "--address", nodes.address) as server:
        flavor = {"Python": {"script": "serve.py", "requirements": requirements}}
        server.http.post(f"/servable/{CONTRACT}/v1", json={**payload, "flavor": flavor}).raise_for_status()
        ((ip, pid),) = nodes.hosts()
        assert ip == FIRST
        answer = server.score(CONTRACT, BODY).json()["Prediction"]["datum"]
        assert [datum["tensors"][0]["String"]["data"] for datum in answer] == [["1.2"]] * 2
        log = server.http.get(f"/{CONTRACT}/v1/logs").text
        assert "Successfully installed forestflow-only-here-1.2" in log
        assert log.endswith("\nloading\nscored\n")
        (replica,) = server.http.get(f"/{CONTRACT}/v1/replicas").json()
        assert replica["ReplicaStatus"]["pid"] == pid

        flavor = {"Python": {"script": "serve.py"}}
        refused = server.http.post(f"/servable/{CONTRACT}/v2", json={**payload, "flavor": flavor})
        assert "No module named 'forestflow_only_here'" in refused.text
        assert "import forestflow_only_here as other" in server.http.get(f"/{CONTRACT}/v2/logs").text, "brought here"
    assert nodes.actors() == []


def test_replicas_of_a_dead_node_come_back_on_another(nodes, hidden, until):
    with running(hidden / "dies", "--address", nodes.address) as server:
        server.deploy(CONTRACT, "v1", deploymentSettings=ONE_CPU).raise_for_status()
        assert [ip for ip, _ in nodes.hosts()] == [FIRST]
        nodes.worker(SECOND, 2, hidden=hidden)
        failures, times, over = [], [], threading.Event()

        def user():
            began = time.monotonic()
            headers = {"X-Request-Timeout": str(NODE_LOSS_SECONDS)}
            reply = httpx.post(f"{server.url}/{CONTRACT}/score", json=BODY, headers=headers, timeout=100)
            times.append(time.monotonic() - began)
            if reply.status_code != 200:
                failures.append(reply.text)

        def arrivals():  # one by one, so that somebody asks at every moment of the recovery
            users = []
            while not over.wait(0.1):
                users.append(threading.Thread(target=user))
                users[-1].start()
            for thread in users:
                thread.join()

        crowd = threading.Thread(target=arrivals)
        crowd.start()
        time.sleep(0.5)
        nodes.kill(FIRST)
        try:
            until(lambda: [ip for ip, _ in nodes.hosts()] == [SECOND], NODE_LOSS_SECONDS)
            until(lambda: server.http.get(f"/{CONTRACT}/v1/status").json()["ServableStatus"]["replicas"] == ["READY"])
            scores(server)
        finally:
            over.set()
            crowd.join()
        print(f"replica on another node: of {len(times)} requests the slowest took {max(times):.1f} s")
        assert failures == []
    assert nodes.actors() == []
