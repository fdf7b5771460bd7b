"""``make demo``: a server, a contract, two releases of a real model, a few thousand batches, and what happened."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from forestflow.sdk import Client

MODELS = Path(__file__).parent / "models"
CONTRACT = "samples/energy_output/0"
RELEASES = {"gbm_v1": "energy_gbm_v1.zip", "gbm_v2": "energy_gbm_v2.zip"}
FIELDS = ["TemperatureCelcius", "ExhaustVacuumHg", "AmbientPressureMillibar", "RelativeHumidity"]
BATCHES = 3000
ROWS = 2
START_SECONDS = 60

console = Console()


@contextmanager
def server() -> Iterator[Client]:
    """A server of its own on a free port, with a data directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="forestflow-demo-") as directory:
        http, grpc = free_port(), free_port()
        command = [sys.executable, "-m", "forestflow.cli", "serve", "--http", f"127.0.0.1:{http}"]
        process = subprocess.Popen([*command, "--grpc", f"127.0.0.1:{grpc}", "--data-dir", directory])
        try:
            with Client(f"http://127.0.0.1:{http}") as client:
                wait_until_ready(client, process)
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(client: Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    with console.status("starting the server"):
        while not client.ready():
            if process.poll() is not None:
                raise SystemExit(f"the server ended with code {process.returncode}")
            if time.monotonic() > deadline:
                raise SystemExit(f"the server was not ready after {START_SECONDS} s")
            time.sleep(0.1)


def deploy(client: Client) -> None:
    client.create_contract(
        CONTRACT,
        {"expirationPolicy": {"KeepLatest": {"servablesToKeep": 2}}, "router": {"FairPhaseInPctBasedRouter": {}}},
    )
    console.print(f"contract {CONTRACT}: keeps the latest 2 releases, shares traffic fairly")
    for release, model in RELEASES.items():
        began = time.monotonic()
        with console.status(f"deploying {release}"):
            client.deploy_as(
                CONTRACT,
                release,
                {
                    "path": MODELS.as_uri(),
                    "flavor": {"H2OMojo": {"mojoPath": model}},
                    "servableSettings": {
                        "policySettings": {
                            "validityPolicy": [{"ImmediatelyValid": {}}],
                            "phaseInPolicy": {"ImmediatePhaseIn": {}},
                        }
                    },
                },
            )
        console.print(f"release {release} ({model}) answers after {time.monotonic() - began:.1f} s")


def request(chance: random.Random) -> dict[str, Any]:
    """A batch of plausible readings of a power plant."""
    rows = [
        [chance.uniform(2, 37), chance.uniform(25, 82), chance.uniform(993, 1033), chance.uniform(26, 100)]
        for _ in range(ROWS)
    ]
    return {
        "schema": [{"type": "Float64", "fields": FIELDS}],
        "datum": [{"tensors": [{"Float64": {"data": [round(v, 2) for v in row]}}]} for row in rows],
        "configs": {"reqid": f"{chance.getrandbits(32):08x}"},
    }


def score(client: Client) -> None:
    chance = random.Random(1)
    requests = [request(chance) for _ in range(BATCHES)]
    answered: Counter[str] = Counter()
    took: dict[str, list[float]] = {release: [] for release in RELEASES}

    def one(body: dict[str, Any]) -> tuple[str, float]:
        began = time.perf_counter()
        release = client.score_request(CONTRACT, body).raw["Prediction"]["fqrv"]["releaseVersion"]
        return release, time.perf_counter() - began

    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        for release, seconds in track(
            pool.map(one, requests), f"scoring {BATCHES} batches of {ROWS} rows", total=BATCHES, console=console
        ):
            answered[release] += 1
            took[release].append(seconds)
    elapsed = time.monotonic() - began

    table = Table(title=f"who answered ({BATCHES / elapsed:.0f} batches/s from this Python client)")
    for column in ("release", "batches", "share", "median of the client's wait"):
        table.add_column(column, justify="right" if column != "release" else "left")
    for release in RELEASES:
        median = sorted(took[release])[len(took[release]) // 2]
        table.add_row(release, str(answered[release]), f"{answered[release] / BATCHES:.1%}", f"{median * 1000:.2f} ms")
    console.print(table)
    if sum(answered.values()) != BATCHES or max(answered.values()) - min(answered.values()) > 1:
        raise SystemExit("the split is not even")


def show_stats(client: Client) -> None:
    table = Table(title="statistics of the contract")
    for column in ("release", "scored", "shaded", "phase-in"):
        table.add_column(column, justify="right" if column != "release" else "left")
    for metrics in client.stats(CONTRACT):
        table.add_row(
            metrics["fqrv"]["releaseVersion"],
            metrics["scoreCount"],
            metrics["shadeCount"],
            f"{metrics['currentPhaseInPct']} %",
        )
    console.print(table)


def show_one(client: Client) -> None:
    body = request(random.Random(2))
    answer = client.score_request(CONTRACT, body)
    console.print(f"POST {client.base_url}/{CONTRACT}/score")
    console.print_json(json.dumps(body), indent=None)
    console.print("answers")
    console.print_json(json.dumps(answer.raw), indent=None)


def main() -> None:
    with server() as client:
        deploy(client)
        score(client)
        show_stats(client)
        show_one(client)


if __name__ == "__main__":
    main()
