"""Replicas whose model does not come back, that are stopped, or that run out of memory: only they are ended, and are
back soon; the request that did it is refused when it comes again.
"""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.integration.server.test_given_up import basic
from tests.serving import wait_for

pytestmark = pytest.mark.slow

SCRIPT = """
import ctypes, os, time

class Predict:
    def predict(self, inputs):
        for a, b in inputs:
            if a == 1:
                while True: pass
            if a == 2: ctypes.PyDLL(None).sleep(1000)  # holds the GIL
            if a == 3: os.kill(os.getpid(), 19)  # SIGSTOP
            if a == 4: os._exit(1)
            if a == 5: self.kept = [bytearray(os.urandom(1) * (1 << 24)) for _ in range(1000)]
            time.sleep(b)
        return [a for a, b in inputs]
"""
TIMEOUT = 1.0  # of the release
PATIENT = {"X-Request-Timeout": "60"}
ENDED = {1: "did not come back from its model", 2: "did not come back from its model", 3: "was stopped by a signal"}


def deploy(server, contract, directory, replicas=1, memory=None):
    (directory / "model").mkdir()
    (directory / "model" / "serve.py").write_text(SCRIPT)
    deployment = {"replicas": replicas, "timeoutSeconds": TIMEOUT}
    if memory is not None:
        deployment["resources"] = {"memoryMB": memory}
    payload = {
        "path": (directory / "model").as_uri(),
        "flavor": {"Python": {"script": "serve.py"}},
        "servableSettings": {
            "policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}},
            "deploymentSettings": deployment,
        },
    }
    server.http.post(f"/servable/{contract}/v1", json=payload).raise_for_status()
    wait_for(lambda: len(server.hosts_of(contract, "v1")) == replicas)
    return server.hosts_of(contract, "v1")


def score(server, contract, a, seconds=0.0, **headers):
    return server.score(contract, basic(a, seconds), **headers)


def messages(server, contract):
    entries = server.http.get(f"/{contract}/v1/replicas").json()
    return [entry["ReplicaStatus"].get("message", "") for entry in entries]


@pytest.mark.parametrize("how", ENDED)
def test_a_replica_that_does_not_come_back_is_replaced(server, contract, tmp_path, how):
    (hung,) = deploy(server, contract, tmp_path)
    assert score(server, contract, how).status_code == 504
    wait_for(lambda: not psutil.pid_exists(hung))
    reply = score(server, contract, 0, **PATIENT)
    assert reply.status_code == 200, "it waits for the replica that comes in its place"
    assert any(ENDED[how] in message for message in messages(server, contract))
    assert server.http.get(f"/{contract}/v1/status").json()["ServableStatus"]["state"] == "AVAILABLE"


def test_a_replica_that_is_stopped_while_idle_is_replaced(server, contract, tmp_path):
    (stopped,) = deploy(server, contract, tmp_path)
    os.kill(stopped, signal.SIGSTOP)
    assert score(server, contract, 0, **PATIENT).status_code == 200
    assert not psutil.pid_exists(stopped)


def test_others_are_not_sent_to_a_replica_that_hangs(server, contract, tmp_path):
    hosts = deploy(server, contract, tmp_path, replicas=2)
    assert score(server, contract, 1).status_code == 504
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: score(server, contract, 0, 0.05, **PATIENT).status_code, range(40)))
    assert set(replies) == {200}
    wait_for(lambda: len(hosts & server.hosts_of(contract, "v1")) == 1)
    wait_for(lambda: len(server.hosts_of(contract, "v1")) == 2)


def test_a_call_longer_than_its_clients_patience_is_let_run(server, contract, tmp_path):
    """What counts is the release's time and the longest of those that the requests gave."""
    (host,) = deploy(server, contract, tmp_path)
    assert score(server, contract, 0, 1.5, **{"X-Request-Timeout": "0.2"}).status_code == 504
    assert score(server, contract, 0, 6.0, **{"X-Request-Timeout": "30"}).status_code == 200
    assert server.hosts_of(contract, "v1") == {host}


@pytest.mark.parametrize("how", [1, 4])
def test_a_request_that_two_replicas_were_lost_over_is_refused(server, contract, tmp_path, how):
    deploy(server, contract, tmp_path)

    def refused():
        reply = score(server, contract, how)
        return reply.status_code == 422 and "two replicas" in reply.text

    wait_for(refused, 150)
    (host,) = wait_until_hosted(server, contract)
    assert refused()
    assert score(server, contract, 0, **PATIENT).status_code == 200
    assert server.hosts_of(contract, "v1") == {host}, "what is refused harms nobody"

    def counted():
        return int(server.http.get(f"/{contract}/stats").json()[0]["ServableMetrics"].get("refusedCount", 0))

    wait_for(lambda: counted() >= 2)


def wait_until_hosted(server, contract):
    wait_for(lambda: server.hosts_of(contract, "v1"))
    return server.hosts_of(contract, "v1")


def test_who_takes_too_much_memory_is_ended_alone(server, contract, tmp_path):
    hosts = deploy(server, contract, tmp_path, replicas=2, memory=400)
    others = set(server.pids("host")) - hosts
    with ThreadPoolExecutor(8) as pool:
        bomb = pool.submit(score, server, contract, 5, **PATIENT)
        time.sleep(0.05)  # it runs, and of these some wait behind it
        beside = [pool.submit(score, server, contract, 0, 0.01, **PATIENT) for _ in range(20)]
        assert {reply.result().status_code for reply in beside} == {200}
        reply = bomb.result()
    assert reply.status_code == 507, reply.text
    assert "MiB" in reply.text
    assert "Retry-After" not in reply.headers
    assert len(hosts & server.hosts_of(contract, "v1")) == 1, "it was not sent to the other one"
    assert others <= set(server.pids("host"))
    wait_for(lambda: len(server.hosts_of(contract, "v1")) == 2)
    assert any("raise resources.memoryMB" in message for message in messages(server, contract))


def test_the_kernel_ends_hosts_before_all_else(server, contract, tmp_path):
    (host,) = deploy(server, contract, tmp_path)

    def oom(pid):
        with open(f"/proc/{pid}/oom_score_adj") as file:
            return int(file.read())

    rest = [oom(pid) for role in ("registry", "router") for pid in server.pids(role)]
    assert oom(host) > max(rest)
