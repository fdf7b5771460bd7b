"""A real ``forestflow serve`` in a process of its own, its processes by role, and requests to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count, islice
from pathlib import Path
from typing import Any

import httpx
import psutil

MODELS = Path(__file__).parents[1] / "forestflow" / "examples" / "models"
FIELDS = ["TemperatureCelcius", "ExhaustVacuumHg", "AmbientPressureMillibar", "RelativeHumidity"]
START_SECONDS = 150  # for a machine with much else to do; 10 are usual
WAIT_SECONDS = 60
ROLES = {"router": "ForestFlowRouter", "registry": "ForestFlowRegistry", "host": "ForestFlowHost"}


def golden(model: str = "energy_gbm_v1") -> tuple[list[list[float]], list[float]]:
    """Rows and the predictions that the H2O cluster gave for them when the model was trained."""
    document = json.loads((MODELS / f"{model}.json").read_text())
    return document["rows"], document["predictions"]["predict"]


# Below the ports that the system gives to connections, so that none of them takes a port before a server listens there.
_PORTS = range(20_000, 32_000)
_next_port = count(os.getpid() * 97)  # sessions side by side begin at different places


def free_port() -> int:
    """A port of loopback on which nothing listens, another one each time."""
    for number in islice(_next_port, len(_PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port := _PORTS[number % len(_PORTS)]))
            return port
    raise AssertionError("every port is taken")


def wait_for(condition: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    """Until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


class RunningServer:
    """One server process on ports of its own. ``http`` is a client whose base URL is the server's."""

    def __init__(self, data_dir: Path, *flags: str, env: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.grpc = f"127.0.0.1:{free_port()}"
        self.flags = flags
        self.mark = f"FORESTFLOW_TEST={data_dir}"  # in the environment of every process of this server
        self.env = {**os.environ, **(env or {}), "FORESTFLOW_TEST": str(data_dir)}
        self.output = data_dir.parent / f"{data_dir.name}-output.txt"
        # It keeps every connection: httpcore may close a surplus idle one that another thread was just given.
        self.http = httpx.Client(base_url=self.url, timeout=60, limits=httpx.Limits(max_keepalive_connections=None))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the process, and wait for nothing."""
        command = [sys.executable, "-m", "forestflow.cli", "serve"]
        command += ["--http", f"127.0.0.1:{self.port}", "--grpc", self.grpc]
        command += ["--data-dir", str(self.data_dir), *self.flags]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=self.env, start_new_session=True)

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended:\n{self.output.read_text()}"
            try:
                if self.http.get("/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(0.05)
        raise AssertionError(f"not ready after {seconds} s:\n{self.output.read_text()}")

    def family(self) -> list[psutil.Process]:
        """The server's process and all below it."""
        assert self.process is not None
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def living(self) -> list[psutil.Process]:
        """Every process that the server or a child of it started, whoever its parent is now."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
                if self.mark.encode() in environment and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def end_all(self) -> None:
        """Kill what is left, so that a test that failed harms no other."""
        for process in self.living():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process is not None:
            self.process.wait(10)
        self.http.close()

    def pids(self, role: str) -> list[int]:
        """Process ids of the routers, the registry or the hosts."""
        found = []
        for process in self.family():
            try:
                if f"ray::{ROLES[role]}" in " ".join(process.cmdline()):
                    found.append(process.pid)
            except psutil.NoSuchProcess:
                continue
        return found

    def hosts_of(self, contract: str, *releases: str) -> set[int]:
        """Process ids of the hosts that answer for these releases; those of other tests come and go meanwhile."""
        found = set()
        for release in releases:
            for entry in self.http.get(f"/{contract}/{release}/replicas").raise_for_status().json():
                if "pid" in entry["ReplicaStatus"]:
                    found.add(int(entry["ReplicaStatus"]["pid"]))
        return found

    def stop(self, number: int = signal.SIGTERM) -> list[psutil.Process]:
        """End the server in order; the processes of its family that are still there."""
        assert self.process is not None
        family = self.family()
        self.process.send_signal(number)
        self.process.wait(60)
        return [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def kill_all(self) -> None:
        """The machine loses power, as far as the processes can tell."""
        for process in self.family():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        assert self.process is not None
        self.process.wait(10)

    # --- requests ---

    def deploy(self, contract: str, release: str, model: str = "energy_gbm_v1.zip", **settings: Any) -> httpx.Response:
        payload = {
            "path": MODELS.as_uri(),
            "flavor": {"H2OMojo": {"mojoPath": model}},
            "servableSettings": {
                "policySettings": {
                    "validityPolicy": [{"ImmediatelyValid": {}}],
                    "phaseInPolicy": {"ImmediatePhaseIn": {}},
                },
                **settings,
            },
        }
        return self.http.post(f"/servable/{contract}/{release}", json=payload)

    def score(self, contract: str, body: Any, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(
            f"/{contract}/score", content=content, headers={"Content-Type": "application/json", **headers}
        )


def rows_body(rows: list[list[float]], **configs: str) -> dict[str, Any]:
    return {
        "schema": [{"type": "Float64", "fields": FIELDS}],
        "datum": [{"tensors": [{"Float64": {"data": row}}]} for row in rows],
        "configs": configs,
    }


def values(response: httpx.Response) -> list[float]:
    assert response.status_code == 200, response.text
    return [datum["tensors"][0]["Float64"]["data"][0] for datum in response.json()["Prediction"]["datum"]]


@contextmanager
def running(data_dir: Path, *flags: str, env: dict[str, str] | None = None) -> Iterator[RunningServer]:
    server = RunningServer(data_dir, *flags, env=env)
    try:
        server.start()
        try:
            yield server
        finally:
            if server.process is not None and server.process.poll() is None:
                assert server.stop() == []
    finally:
        server.end_all()
