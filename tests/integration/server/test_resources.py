"""What the nodes do not have: refused at once when none ever has it, and said in the status when others have it now."""

from __future__ import annotations

import pytest

from tests.serving import golden, rows_body, running, values, wait_for

pytestmark = pytest.mark.slow

CONTRACT = "resources/energy/0"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with running(tmp_path_factory.mktemp("small") / "data", "--num-cpus", "2") as server:
        yield server


@pytest.mark.parametrize(
    ("resources", "lacks"),
    [
        ({"gpu": 1}, "no node has 1 GPU"),
        ({"cpu": 3}, "no node has 3 CPU"),
        ({"cpu": 1, "memoryMB": 1 << 30}, "no node has 1073741824 MiB of memory"),
    ],
)
def test_resources_that_no_node_has(small, resources, lacks):
    reply = small.deploy(CONTRACT, "v1", deploymentSettings={"resources": resources})
    assert reply.status_code == 422
    said = reply.json()["CreateServableRequestInvalidError"]["errorMessage"]
    assert said.startswith(f"{lacks}; the cluster's nodes have at most 2 CPU, 0 GPU, ")
    assert said.endswith("cluster_grows")
    assert small.http.get(f"/{CONTRACT}/list").status_code == 404


def test_more_replicas_than_fit(small):
    """Those that fit answer; the rest say what they wait for, and start when it is free."""
    rows, expected = golden()
    one_cpu = {"resources": {"cpu": 1}}
    small.deploy(CONTRACT, "v1", deploymentSettings={**one_cpu, "replicas": 3}).raise_for_status()

    def status():
        return small.http.get(f"/{CONTRACT}/v1/status").json()["ServableStatus"]

    wait_for(lambda: status()["replicas"].count("READY") == 2)
    wait_for(lambda: status().get("message") == "waits for a node with 1 CPU free")
    assert status()["state"] == "AVAILABLE"
    assert values(small.score(CONTRACT, rows_body(rows[:1]))) == pytest.approx(expected[:1], rel=1e-9)
    small.http.delete(f"/{CONTRACT}/v1").raise_for_status()
    small.deploy(CONTRACT, "v2", deploymentSettings={**one_cpu, "replicas": 2}).raise_for_status()


def test_a_cluster_that_grows_is_waited_for(tmp_path):
    flags = ("--num-cpus", "2", "--cluster-grows", "--load-timeout-seconds", "6")
    with running(tmp_path / "data", *flags) as server:
        reply = server.deploy(CONTRACT, "v1", deploymentSettings={"resources": {"gpu": 1}})
        assert reply.status_code == 422
        said = reply.json()["CreateServableRequestInvalidError"]["errorMessage"]
        assert said.startswith("no replica was ready after 6 s (replicas: STARTING); no node has 1 GPU")
