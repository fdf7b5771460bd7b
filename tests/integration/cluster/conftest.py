from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HEAD = "127.0.0.2"


class RemoteNodes:
    """The cluster of ``nodes.py``, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address: str = self._ask("head", HEAD)

    def _ask(self, *command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"nodes.py ended over {command}"
        return json.loads(answer)

    def worker(self, ip: str, cpus: int, *, hidden: Path) -> None:
        """Start a node that cannot see what is in ``hidden``."""
        self._ask("worker", ip, cpus, str(hidden))

    def kill(self, ip: str) -> None:
        self._ask("kill", ip)

    def alive(self) -> list[str]:
        return list(self._ask("alive"))

    def actors(self, kind: str = "ForestFlow") -> list[dict[str, Any]]:
        """Actors that are not dead and whose class starts with ``kind``."""
        return [actor for actor in self._ask("actors") if actor["class"].startswith(kind)]

    def hosts(self) -> list[tuple[str, int]]:
        """(address of its node, process) of each host that is up."""
        return [(a["ip"], a["pid"]) for a in self.actors("ForestFlowHost") if a["state"] == "ALIVE"]


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in this folder only the head node sees: the data directories."""
    return tmp_path_factory.mktemp("hidden")


@pytest.fixture(scope="module")
def nodes(hidden: Path) -> Iterator[RemoteNodes]:
    """A head without CPUs."""
    if subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("this machine does not allow mount namespaces")
    command = [sys.executable, str(Path(__file__).with_name("nodes.py"))]
    with (hidden / "nodes.txt").open("wb") as noise:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, text=True)
    with process:
        yield RemoteNodes(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
    shutil.rmtree(hidden)


@pytest.fixture
def until() -> Callable[..., None]:
    """``until(condition, seconds=20)`` waits for something to come true."""
    import time

    def wait(condition: Callable[[], object], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.05)

    return wait
