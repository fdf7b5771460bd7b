"""What replicas do and write: the JSON of their status, their logs as text, and logs that go on."""

from __future__ import annotations

import httpx
import pytest

from forestflow.api.http import logs
from forestflow.controlplane.control import ControlPlane
from forestflow.domain.commands import Command
from forestflow.domain.errors import Unavailable
from forestflow.domain.ids import Contract, Fqrv
from tests.unit.api.memory_registry import MemoryRegistry
from tests.unit.api.test_control_routes import FQRV, R, check, deployed

LINES = [f"line {i}\n" for i in range(300)]


async def test_replicas(http: httpx.AsyncClient) -> None:
    await deployed(http)
    busy = {
        "fqrv": FQRV, "replica": "r1", "state": "READY", "pid": 4711, "queued": 2, "shadowBacklog": 1,
        "batchSizes": [
            {"minRows": "1", "maxRows": "1", "calls": "120"}, {"minRows": "4", "maxRows": "7", "calls": "4"},
        ],
    }  # fmt: skip
    lost = {"fqrv": FQRV, "replica": "r2", "state": "LOST", "message": "the host's process died"}
    check(await http.get(R + "/replicas"), 200, [{"ReplicaStatus": busy}, {"ReplicaStatus": lost}])
    assert (await http.get("/o/p/0/v1/replicas")).status_code == 404


async def test_the_last_lines_of_one_replica(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    await deployed(http)
    assert (await http.get(R + "/logs")).text == ""
    registry.written = {"r1": LINES}
    reply = await http.get(R + "/logs")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.text == "".join(LINES[-200:])
    assert (await http.get(R + "/logs?tail=2")).text == "line 298\nline 299\n"
    assert (await http.get(R + "/logs?tail=0")).text == ""


async def test_several_replicas_are_named(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    await deployed(http)
    registry.written = {"r1": ["a\n"], "r2": ["b\n"], "r3": []}
    assert (await http.get(R + "/logs")).text == "==> r1 <==\na\n==> r2 <==\nb\n"


@pytest.mark.parametrize(
    "query", ["tail=-1", "tail=x", "tail=100001", "tail=1_0", "tail=%2B5", "tail=5.0", "tail=%205", "follow=maybe"]
)
async def test_queries_that_cannot_be(http: httpx.AsyncClient, query: str) -> None:
    await deployed(http)
    assert (await http.get(f"{R}/logs?{query}")).status_code == 422


@pytest.mark.parametrize("follow", ["true", "false"])
async def test_no_release_no_logs(http: httpx.AsyncClient, follow: str) -> None:
    reply = await http.get(f"/o/p/0/v1/logs?follow={follow}")
    assert (reply.status_code, list(reply.json())) == (404, ["UnknownServable"])


async def test_following_ends_when_the_server_stops(
    http: httpx.AsyncClient, registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "POLL_SECONDS", 0.001)
    await deployed(http)
    registry.written = {"r1": ["one\n"]}
    control = ControlPlane(registry)
    parts = await logs.log_text(control, Fqrv(Contract("samples", "energy_output", 0), "v1"), 10, follow=True)
    assert await anext(parts) == b"one\n"
    control.stopping = True
    with pytest.raises(StopAsyncIteration):
        await anext(parts)


async def test_following(http: httpx.AsyncClient, registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "POLL_SECONDS", 0.001)
    await deployed(http)
    registry.written = {"r1": ["one\n"]}
    fqrv = Fqrv(Contract("samples", "energy_output", 0), "v1")
    parts = await logs.log_text(ControlPlane(registry), fqrv, 10, follow=True)
    assert await anext(parts) == b"one\n"
    registry.written["r1"].append("two\n")
    assert await anext(parts) == b"two\n"
    registry.fails_with = Unavailable("the registry is down")
    registry.written["r2"] = ["new\n", "replica\n"]
    following = anext(parts)
    before = len(registry.commands)

    class Back(list):  # type: ignore[type-arg]
        """The commands; the registry is back after three of them."""

        def append(self, command: Command[object]) -> None:
            super().append(command)
            if len(self) > before + 3:
                registry.fails_with = None

    registry.commands = Back(registry.commands)
    assert await following == b"==> r2 <==\nnew\nreplica\n"
    registry.written["r1"].append("three\n")
    assert await anext(parts) == b"==> r1 <==\nthree\n"
    registry.servables.clear()
    with pytest.raises(StopAsyncIteration):
        await anext(parts)
