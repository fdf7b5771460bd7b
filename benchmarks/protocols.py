"""What further protocols cost: ``python -m benchmarks.protocols [--seconds 3] [--runs 3] [--only grpc,tfserving,oip]``.

1. gRPC Score of two rows to the example GBM, 16 in flight ÷ a bare ``grpc.aio`` echo of the same bytes.
2. TensorFlow-Serving REST predict of one 784-vector ÷ BASIC JSON of the same, 16 connections.
3. Open Inference Protocol, binary, 64 x 784 float32 ÷ in-process signature calls on the same batch in one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson

from benchmarks import grpc_echo, ours, payloads, wrk
from benchmarks.payloads import Address
from benchmarks.processes import PYTHON, REPOSITORY, Running, free_ports

MLP = Address("samples", "mnist", 0, "1")


def grpc_score(seconds: float) -> tuple[float, float]:
    """Calls/s of Score and of the echo."""
    address = Address()
    with tempfile.TemporaryDirectory() as folder, ours.serving() as server:
        server.deploy(address)
        file = Path(folder, "message")
        file.write_bytes(_score_message(address))
        score = _load(server.grpc, "/forestflow.v1.ForestFlow/Score", file, seconds)
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "message")
        file.write_bytes(_score_message(address))
        with Running([PYTHON, "-m", "benchmarks.grpc_echo", "serve", str(port)]):
            echo = _load(f"127.0.0.1:{port}", grpc_echo.METHOD, file, seconds)
    return score, echo


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


def tfserving(seconds: float) -> tuple[float, float]:
    """Requests/s of TF-Serving's REST predict and of BASIC, the same 784 numbers."""
    vector = [round(float(value), 4) for value in np.random.default_rng(5).uniform(size=784)]
    basic = {"schema": [{"type": "Float32", "fields": ["x"]}], "datum": [{"tensors": [{"Float32": {"data": vector}}]}]}
    with tempfile.TemporaryDirectory() as folder, ours.serving() as server:
        deploy_mlp(server, Path(folder))
        base = str(server.http.base_url).rstrip("/")
        predict = f"{base}/v1/models/{MLP.organization}.{MLP.project}.{MLP.contract_number}:predict"
        theirs = wrk.run(predict, orjson.dumps({"instances": [vector]}), connections=16, seconds=seconds)
        own = wrk.run(server.score_url(MLP), orjson.dumps(basic), connections=16, seconds=seconds)
        return theirs.per_second, own.per_second


def oip(seconds: float) -> tuple[float, float]:
    """Batches/s of 64 x 784 float32 over the binary protocol, 16 connections, and of signature calls in process."""
    batch = np.random.default_rng(5).uniform(size=(64, 784)).astype(np.float32)
    tensor = {"name": "x", "shape": [64, 784], "datatype": "FP32", "parameters": {"binary_data_size": batch.nbytes}}
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    calls = """
import sys, time
import numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
f = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
batch = np.random.default_rng(5).uniform(size=(64, 784)).astype(np.float32)
for _ in range(200): f(x=tf.constant(batch))["y"].numpy()
count, end = 0, time.perf_counter() + float(sys.argv[2])
began = time.perf_counter()
while time.perf_counter() < end:
    f(x=tf.constant(batch))["y"].numpy(); count += 1
print(count / (time.perf_counter() - began))
"""
    with tempfile.TemporaryDirectory() as folder:
        with ours.serving() as server:
            deploy_mlp(server, Path(folder))
            base = str(server.http.base_url).rstrip("/")
            url = f"{base}/v2/models/{MLP.organization}.{MLP.project}.{MLP.contract_number}/infer"
            answered = wrk.run(url, head + batch.tobytes(), connections=16, seconds=seconds, headers=headers)
        command = [PYTHON, "-c", calls, str(Path(folder, "mlp")), str(seconds)]
        plain = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answered.per_second, plain


MEASURES: dict[str, tuple[str, float, Callable[[float], tuple[float, float]]]] = {
    "grpc": ("gRPC Score, 2 rows, 16 in flight ÷ grpc.aio echo", 0.6, grpc_score),
    "tfserving": ("TF-Serving REST predict ÷ BASIC JSON, one 784-vector", 0.9, tfserving),
    "oip": ("OIP binary 64 x 784 float32 ÷ in-process signature calls, one thread", 0.8, oip),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
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
