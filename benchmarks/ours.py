"""Our server as the benchmark starts and asks it: the ``forestflow`` command and the public REST API, nothing else."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from benchmarks import payloads
from benchmarks.payloads import Address
from benchmarks.processes import REPOSITORY, Running, StartFailed, free_ports, poll

START_TIMEOUT = 120.0


class Ours:
    """A running ForestFlow. ``ready_seconds`` is from the start of the process to the first 200 of ``/ready``."""

    def __init__(self, running: Running, port: int, grpc_port: int) -> None:
        self.running = running
        self.grpc = f"127.0.0.1:{grpc_port}"
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self.ready_seconds = self._wait_ready()

    def score_url(self, address: Address) -> str:
        """Where wrk posts to."""
        return f"{self.http.base_url}{address.path}/score"

    def deploy(self, address: Address, **settings: object) -> float:
        """Deploy the example with these deployment settings; seconds from the request to the first answered score."""
        began = time.monotonic()
        payload = payloads.deploy(address)
        if settings:
            payload["servableSettings"]["deploymentSettings"] = settings
        answer = self.http.post("/servable", json=payload)
        if answer.status_code != 200:
            raise StartFailed(f"deploy: {answer.status_code} {answer.text[:500]}")
        self.wait_score(address, 60)
        return time.monotonic() - began

    def wait_score(self, address: Address, timeout: float) -> None:
        """Score until the answer is a Prediction of two rows."""
        deadline, problem = time.monotonic() + timeout, ""
        while time.monotonic() < deadline:
            try:
                answer = self.http.post(f"{address.path}/score", content=payloads.two_rows(), timeout=1)
                if answer.status_code == 200:
                    if len(answer.json()["Prediction"]["datum"]) != 2:
                        raise StartFailed(f"not a prediction of two rows: {answer.text[:500]}")
                    return
                problem = f"{answer.status_code} {answer.text[:300]}"
            except httpx.TransportError as error:
                problem = repr(error)
            time.sleep(0.01)
        raise StartFailed(f"no prediction from {address.path} in {timeout:.0f} s: {problem}")

    def warm(self, address: Address, requests: int = 300) -> None:
        """A few hundred scores, one after another."""
        for _ in range(requests):
            self.http.post(f"{address.path}/score", content=payloads.two_rows()).raise_for_status()

    def hosts(self) -> list[psutil.Process]:
        """The processes that hold replicas."""
        return [p for p in self.running.tree() if "ray::ForestFlowHost" in _title(p)]

    def memory_mb(self, settle: float = 3.0) -> tuple[float, str]:
        """Memory of the whole server after ``settle`` idle seconds."""
        time.sleep(settle)
        return self.running.memory_mb()

    def kill_replica(self, address: Address) -> float:
        """``kill -9`` the only host; seconds until a new one has answered."""
        (old,) = self.hosts()
        began = time.monotonic()
        old.kill()
        self.wait_score(address, 60)
        passed = time.monotonic() - began
        if not any(p.pid != old.pid for p in self.hosts()):
            raise StartFailed("scores are answered but no new host process is there")
        return passed

    def _wait_ready(self) -> float:
        for passed in poll(self.running, START_TIMEOUT):
            try:
                if self.http.get("/ready", timeout=5).status_code == 200:
                    return passed
            except httpx.TransportError:
                continue
        raise AssertionError("poll ends by raising")


def _title(process: psutil.Process) -> str:
    try:
        return " ".join([process.name(), *process.cmdline()])
    except psutil.Error:
        return ""


@contextmanager
def serving(environment: Mapping[str, str] | None = None) -> Iterator[Ours]:
    """Start the server with a data directory of its own; stop it and remove the directory at the end."""
    http, grpc = free_ports(2)
    data = Path(tempfile.mkdtemp(prefix="ff-bench-data-"))
    command = [str(REPOSITORY / ".venv/bin/forestflow"), "serve", "--http", f"127.0.0.1:{http}"]
    command += ["--grpc", f"127.0.0.1:{grpc}", "--data-dir", str(data)]
    try:
        with Running(command, env=environment) as running:
            yield Ours(running, http, grpc)
    finally:
        shutil.rmtree(data, ignore_errors=True)
