"""What further protocols cost: ``python -m benchmarks.protocols [--seconds 6] [--runs 3] [--only grpc,oip]``.

1. gRPC Score of two rows to the example GBM, 16 in flight ÷ a bare ``grpc.aio`` echo of the same bytes; and
   (``grpc-merging``) of a release whose requests wait a millisecond for others, ``merging.maxWaitMS``; and
   (``grpc-h2load``, which needs ``apt-get install nghttp2-client``) the same as the first with a client that is not
   Python's, so that the server is what is measured.
2. TensorFlow-Serving REST predict of one 784-vector ÷ BASIC JSON of the same, 16 connections.
3. Open Inference Protocol, binary, 64 x 784 float32 ÷ in-process signature calls on the same batch in one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks import grpc_echo, ours, payloads
from benchmarks.h2load import of_h2load
from benchmarks.payloads import Address
from benchmarks.processes import PYTHON, REPOSITORY, Running, free_ports
from benchmarks.turns import in_turns, of_wrk

MLP = Address("samples", "mnist", 0, "1")


SCORE = "/forestflow.v1.ForestFlow/Score"


@contextmanager
def score_and_echo(**settings: object) -> Iterator[tuple[str, str, bytes]]:
    """The addresses of ours, with a release of these deployment settings, and of the echo; a message for both."""
    address = Address()
    (port,) = free_ports(1)
    with ours.serving() as server, Running([PYTHON, "-m", "benchmarks.grpc_echo", "serve", str(port)]):
        server.deploy(address, **settings)
        yield server.grpc, f"127.0.0.1:{port}", _score_message(address)


def grpc_score(seconds: float, **settings: object) -> tuple[float, float]:
    """Calls/s of Score, of a release with these deployment settings, and of the echo."""
    with tempfile.TemporaryDirectory() as folder, score_and_echo(**settings) as (score, echo, message):
        file = Path(folder, "message")
        file.write_bytes(message)
        return in_turns(
            lambda turn: _load(score, SCORE, file, turn),
            lambda turn: _load(echo, grpc_echo.METHOD, file, turn),
            seconds,
        )


def grpc_by_h2load(seconds: float) -> tuple[float, float]:
    """The same by h2load: calls/s of Score, and of the echo."""
    with score_and_echo() as (score, echo, message):
        return in_turns(
            of_h2load(score, SCORE, message, grpc_echo.IN_FLIGHT),
            of_h2load(echo, grpc_echo.METHOD, message, grpc_echo.IN_FLIGHT),
            seconds,
        )


def _score_message(address: Address) -> bytes:
    from google.protobuf import json_format

    from forestflow._gen.service_pb2 import ScoreRequest

    contract = {
        "organization": address.organization,
        "project": address.project,
        "contractNumber": address.contract_number,
    }
    request = json.loads(payloads.two_rows())
    return json_format.ParseDict({"contract": contract, "request": request}, ScoreRequest()).SerializeToString()


def _load(address: str, method: str, file: Path, seconds: float) -> float:
    command = [PYTHON, "-m", "benchmarks.grpc_echo", "load", address, method, str(file), str(seconds)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=seconds + 90, check=False)
    if done.returncode:
        raise SystemExit(f"the load of {method} failed: {done.stderr[-800:]}")
    return float(done.stdout)


def mlp(folder: Path) -> Path:
    """A SavedModel of 784 -> 128 -> 10, seeded, made in a process of its own; input ``x``, output ``y``."""
    source = """
import sys
import numpy as np, tensorflow as tf
tf.random.set_seed(3)
class Mlp(tf.Module):
    def __init__(self):
        dice = np.random.default_rng(3)
        self.a = tf.Variable(dice.normal(size=(784, 128)).astype("float32") * .05)
        self.b = tf.Variable(np.zeros(128, "float32"))
        self.c = tf.Variable(dice.normal(size=(128, 10)).astype("float32") * .05)
        self.d = tf.Variable(np.zeros(10, "float32"))
    @tf.function(input_signature=[tf.TensorSpec([None, 784], tf.float32, name="x")])
    def __call__(self, x):
        return {"y": tf.nn.softmax(tf.nn.relu(x @ self.a + self.b) @ self.c + self.d)}
model = Mlp()
tf.saved_model.save(model, sys.argv[1], signatures=model.__call__)
"""
    target = folder / "mlp"
    subprocess.run([PYTHON, "-c", source, str(target)], check=True, capture_output=True)
    return target


def deploy_mlp(server: ours.Ours, folder: Path) -> None:
    payload = payloads.deploy(MLP)
    payload |= {"path": f"file://{mlp(folder)}", "flavor": {"TensorFlow": {"modelPath": "."}}}
    server.http.post("/servable", json=payload, timeout=120).raise_for_status()


@cache
def loaded(model: str) -> Any:
    """The default signature, with one thread of TensorFlow."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf.saved_model.load(model).signatures["serving_default"]


def signature_calls(model: str, name: str, batch: np.ndarray, seconds: float) -> float:
    """Calls a second of the signature in this process, NumPy in and out; ``name`` is its input's."""
    import tensorflow as tf

    call = loaded(model)
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        for _ in range(20):
            next(iter(call(**{name: tf.constant(batch)}).values())).numpy()
        count += 20
    return count / passed


def elsewhere() -> ProcessPoolExecutor:
    """A process for what is measured without a server; it keeps what it has loaded."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def tfserving(seconds: float) -> tuple[float, float]:
    """Requests/s of TF-Serving's REST predict and of BASIC, the same 784 numbers."""
    vector = [round(float(value), 4) for value in np.random.default_rng(5).uniform(size=784)]
    basic = {"schema": [{"type": "Float32", "fields": ["x"]}], "datum": [{"tensors": [{"Float32": {"data": vector}}]}]}
    with tempfile.TemporaryDirectory() as folder, ours.serving() as server:
        deploy_mlp(server, Path(folder))
        base = str(server.http.base_url).rstrip("/")
        predict = f"{base}/v1/models/{MLP.organization}.{MLP.project}.{MLP.contract_number}:predict"
        theirs = of_wrk(predict, orjson.dumps({"instances": [vector]}), 16)
        return in_turns(theirs, of_wrk(server.score_url(MLP), orjson.dumps(basic), 16), seconds)


def oip(seconds: float) -> tuple[float, float]:
    """Batches/s of 64 x 784 float32 over the binary protocol, 16 connections, and of signature calls in process."""
    batch = np.random.default_rng(5).uniform(size=(64, 784)).astype(np.float32)
    tensor = {"name": "x", "shape": [64, 784], "datatype": "FP32", "parameters": {"binary_data_size": batch.nbytes}}
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    with tempfile.TemporaryDirectory() as folder, ours.serving() as server, elsewhere() as process:
        deploy_mlp(server, Path(folder))
        base = str(server.http.base_url).rstrip("/")
        url = f"{base}/v2/models/{MLP.organization}.{MLP.project}.{MLP.contract_number}/infer"
        answered = of_wrk(url, head + batch.tobytes(), 16, headers)

        def calls(turn: float) -> float:
            return process.submit(signature_calls, str(Path(folder, "mlp")), "x", batch, turn).result()

        calls(1)
        return in_turns(answered, calls, seconds)


MEASURES: dict[str, tuple[str, float, Callable[[float], tuple[float, float]]]] = {
    "grpc": ("gRPC Score, 2 rows, 16 in flight ÷ grpc.aio echo", 0.6, grpc_score),
    "grpc-merging": ("the same, merging.maxWaitMS 1", 0.6, partial(grpc_score, merging={"maxWaitMS": 1})),
    "grpc-h2load": ("gRPC Score by h2load, 16 in flight ÷ grpc.aio echo", 0.6, grpc_by_h2load),
    "tfserving": ("TF-Serving REST predict ÷ BASIC JSON, one 784-vector", 0.9, tfserving),
    "oip": ("OIP binary 64 x 784 float32 ÷ in-process signature calls, one thread", 0.8, oip),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6, help="of each load, in turns (6)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default=",".join(MEASURES))
    options = parser.parse_args()
    for name in options.only.split(","):
        title, target, measure = MEASURES[name]
        runs = [measure(options.seconds) for _ in range(options.runs)]
        ratio = statistics.median(a / b for a, b in runs)
        print(f"{title}: {ratio:.2f} (target ≥ {target});", ", ".join(f"{a:,.0f} ÷ {b:,.0f}/s" for a, b in runs))


if __name__ == "__main__":
    main()
