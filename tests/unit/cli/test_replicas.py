"""The commands that look into replicas."""

from __future__ import annotations

import json

import pytest

from tests.unit.api.memory_registry import MemoryRegistry
from tests.unit.cli.conftest import Run
from tests.unit.cli.test_commands import FLAGS, C

pytestmark = pytest.mark.usefixtures("server")


def test_replicas(run: Run) -> None:
    run("deploy", C, *FLAGS)
    head, ready, lost = run("replicas", C, "v1").stdout.splitlines()
    assert head.split() == ["REPLICA", "STATE", "PID", "QUEUED", "SHADOWS", "BATCHES", "MESSAGE"]
    assert ready.split() == ["r1", "READY", "4711", "2", "1", "1", "row:", "120,", "4-7", "rows:", "4"]
    assert lost.split() == ["r2", "LOST", "the", "host's", "process", "died"]
    assert [list(entry) for entry in json.loads(run("replicas", C, "v1", "--json").stdout)] == [["ReplicaStatus"]] * 2
    assert "there is no release" in run("replicas", C, "v2", exit_code=1).output


def test_logs(run: Run, registry: MemoryRegistry) -> None:
    run("deploy", C, *FLAGS)
    registry.written = {"r1": ["plain\n", "\x1b[31mred\x1b[0m\tö\n"]}
    assert run("logs", C, "v1").stdout == "plain\n\\x1b[31mred\\x1b[0m    ö\n", "nothing steers the terminal"
    assert run("logs", C, "v1", "--tail", "0").stdout == ""
    run("logs", C, "v1", "-n", "-1", exit_code=2)
    for follow in ((), ("-f",)):
        assert "there is no release" in run("logs", C, "v2", *follow, exit_code=1).output


def test_following_ends_with_the_release(run: Run, registry: MemoryRegistry) -> None:
    run("deploy", C, *FLAGS)
    registry.written = {"r1": ["one\n"]}
    logs = registry.logs

    async def last(*arguments: object) -> object:
        found = await logs(*arguments)  # type: ignore[arg-type]
        registry.servables.clear()
        return found

    registry.logs = last  # type: ignore[method-assign,assignment]
    assert run("logs", "-f", C, "v1").stdout == "one\n"
