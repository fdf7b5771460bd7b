"""Merged requests ÷ single calls: ``python -m benchmarks.tensorflow_model``.

An MLP 784→128→10, one picture per request as BASIC JSON, over 16 and over 64 connections; divided by how many times a
second one thread calls the model's signature in process, NumPy in and out, one row a call, with as many TensorFlow
threads as the replica has. Both are taken in every round, the in-process calls before and after, so that drift of the
machine cancels.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

from benchmarks import ours, wrk
from benchmarks.processes import PYTHON, REPOSITORY, StartFailed

TARGETS = {16: 1.5, 64: 2.5}  # by connections
PATH = "/bench/mlp/0"
THREADS = 1  # of TensorFlow, in the replica and in the process beside


def body() -> bytes:
    """One made-up picture, a grey level of 0..255 per pixel as a share of 255 with four digits."""
    from forestflow.examples.tensorflow.mlp import pictures

    rows, _ = pictures(1, seed=3)
    values = [round(round(float(value) * 255) / 255, 4) for value in rows[0]]
    schema = [{"type": "Float32", "fields": ["pixels"]}]
    return json.dumps(
        {"schema": schema, "datum": [{"tensors": [{"Float32": {"data": values}}]}]}, separators=(",", ":")
    ).encode()


def make(directory: Path) -> None:
    """Train and save the model, in a process of its own."""
    command = [PYTHON, "-m", "forestflow.examples.tensorflow.mlp", str(directory)]
    subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def calls_per_second(directory: Path, seconds: float) -> float:
    """Signature calls a second, in a process of its own."""
    command = [PYTHON, "-m", "benchmarks.tensorflow_model", "--in-process", str(directory), "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return float(done.stdout)


def in_process(directory: Path, seconds: float) -> float:
    """What :func:`calls_per_second` runs."""
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    loaded = tf.saved_model.load(str(directory / "saved_model"))
    call = loaded.signatures["serving_default"]
    row = np.random.default_rng(3).random((1, 784), dtype=np.float32)
    for _ in range(1000):
        call(pixels=tf.constant(row))["probabilities"].numpy()
    calls, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        for _ in range(50):
            call(pixels=tf.constant(row))["probabilities"].numpy()
        calls += 50
    return calls / passed


def deploy(server: ours.Ours, directory: Path) -> None:
    """One replica, shadows and logging off."""
    settings = {
        "policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}},
        "loggingSettings": {"logLevel": "NONE"},
        "deploymentSettings": {"resources": {"threads": THREADS}},
    }
    request = {
        "path": directory.as_uri(),
        "flavor": {"TensorFlow": {"modelPath": "saved_model"}},
        "servableSettings": settings,
    }
    answer = server.http.post(f"/servable{PATH}/v1", json=request)
    if answer.status_code != 200:
        raise StartFailed(f"deploy: {answer.status_code} {answer.text[:500]}")
    until = time.monotonic() + 30
    while (scored := server.http.post(f"{PATH}/score", content=body())).status_code != 200:
        if time.monotonic() > until:
            raise StartFailed(f"score: {scored.status_code} {scored.text[:500]}")
        time.sleep(0.05)
    if len(scored.json()["Prediction"]["datum"][0]["tensors"][0]["Float32"]["data"]) != 10:
        raise StartFailed(f"not ten probabilities: {scored.text[:300]}")


def one_round(directory: Path, seconds: float) -> dict[str, float]:
    """Requests a second by connections (``16``, ``64``) and ``calls`` a second."""
    before = calls_per_second(directory, seconds)
    figures = {}
    with ours.serving() as server:
        deploy(server, directory)
        for connections in TARGETS:
            url = f"{server.http.base_url}{PATH}/score"
            figures[str(connections)] = wrk.run(url, body(), connections=connections, seconds=seconds).per_second
    return {**figures, "calls": fmean((before, calls_per_second(directory, seconds)))}


def report(rounds: Sequence[dict[str, float]]) -> None:
    """A line per number of connections: the median ratio over the rounds."""
    calls = median(figures["calls"] for figures in rounds)
    for connections, target in TARGETS.items():
        ratios = [figures[str(connections)] / figures["calls"] for figures in rounds]
        rate, value = median(figures[str(connections)] for figures in rounds), median(ratios)
        verdict = "met" if value >= target else "MISSED"
        spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
        print(f"{connections} connections: {rate:,.0f}/s ÷ {calls:,.0f} calls/s = {value:.2f}{spread}, "
              f"target ≥ {target:g}: {verdict}")  # fmt: skip


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tensorflow_model", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="rounds (3)")
    parser.add_argument("--seconds", type=float, default=5, help="of each load (5)")
    parser.add_argument("--in-process", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        print(in_process(options.in_process, options.seconds))
        return
    wrk.find_wrk()
    if (busy := os.getloadavg()[0]) > 0.5:
        print(f"the machine is busy (load {busy:.1f}): figures are indicative only", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="ff-mlp-") as folder:
        directory = Path(folder)
        make(directory)
        report([one_round(directory, options.seconds) for _ in range(options.runs)])


if __name__ == "__main__":
    main()
