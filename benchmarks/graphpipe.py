"""What GraphPipe over HTTP costs: ``python -m benchmarks.graphpipe [--seconds 6] [--runs 3]``.

The models have five features, those of the example and a fifth: a GBM of 50 trees, and a GLM, which takes next to no
time itself; an H2O cluster of its own trains them first.

1. 10,000 x 5 float64 to the GBM, one connection: rows/s ÷ a plain Java loop over ``score0``, one thread.
2. A batch of 1,000 rows, one connection: rows/s ÷ BASIC JSON with the same rows; of the GLM, of the GBM with a thread
   and with two. What the model takes is the same in both, so the longer it takes, the closer they are.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import orjson

from benchmarks import java_loop, ours, payloads
from benchmarks.payloads import Address
from benchmarks.processes import PYTHON, REPOSITORY
from benchmarks.turns import in_turns, of_wrk

MANY_ROWS, FEW_ROWS = 10_000, 1_000
FIELDS = (*payloads.FIELDS, "WindSpeedMetersPerSecond")
RANGES = java_loop.RANGES + ",0:12"
GBM, GLM = "energy5", "linear5"
CASES = {"GLM": (GLM, 1), "GBM of 50 trees, one thread": (GBM, 1), "GBM of 50 trees, two threads": (GBM, 2)}
TARGETS = (0.7, 1.5)


def train(folder: Path) -> None:
    """Train the models: the example's data, and a wind that cools."""
    import h2o
    from h2o.estimators import H2OGeneralizedLinearEstimator, H2OGradientBoostingEstimator

    from forestflow.examples.train_h2o import cluster, energy_data

    data = energy_data(6000, 11)
    wind = np.round(np.random.default_rng(12).gamma(2.0, 1.7, 6000).clip(0, 12), 2)
    data[FIELDS[-1]] = wind.tolist()
    data["EnergyOutputMW"] = np.round(np.array(data["EnergyOutputMW"]) + 0.4 * wind, 2).tolist()
    with cluster():
        frame = h2o.H2OFrame(data)
        for model in (
            H2OGradientBoostingEstimator(ntrees=50, max_depth=4, seed=11, model_id=GBM),
            H2OGeneralizedLinearEstimator(model_id=GLM),
        ):
            model.train(x=list(FIELDS), y="EnergyOutputMW", training_frame=frame)
            model.download_mojo(str(folder / f"{model.model_id}.zip"))


def rows(count: int) -> np.ndarray:
    """Seeded rows as ``java_loop`` draws them, two digits after the point; shape (count, 5), the same at the start."""
    low, high = np.array([[float(end) for end in pair.split(":")] for pair in RANGES.split(",")]).T
    return np.round(np.random.default_rng(17).uniform(low, high, (count, len(FIELDS))), 2)


def message(matrix: np.ndarray) -> bytes:
    """An InferRequest as the public client writes it."""
    from graphpipe import convert

    return bytes(convert.serialize_infer_request(convert.InferReq(None, [matrix])))


def basic(matrix: np.ndarray) -> bytes:
    """The same as BASIC records."""
    datums = [{"tensors": [{"Float64": {"data": row}}]} for row in matrix.tolist()]
    return orjson.dumps({"schema": [{"type": "Float64", "fields": FIELDS}], "datum": datums})


def measure(folder: Path, seconds: float) -> dict[str, tuple[float, float]]:
    """Rows/s of GraphPipe and of what it is divided by: the Java loop with 10,000 rows, BASIC with 1,000."""
    few, many = rows(FEW_ROWS), rows(MANY_ROWS)
    found: dict[str, tuple[float, float]] = {}
    long = 0.0
    with ours.serving() as server:
        for number, (case, (model, threads)) in enumerate(CASES.items()):
            address = Address(contract_number=number)
            request = payloads.deploy(address) | {"path": folder.as_uri()}
            request["flavor"] = {"H2OMojo": {"mojoPath": f"{model}.zip", "version": ""}}
            request["servableSettings"]["deploymentSettings"] = {"resources": {"threads": threads}}
            server.http.post("/servable", json=request).raise_for_status()
            url = f"{str(server.http.base_url).rstrip('/')}{address.path}/gp"
            answer = server.http.post(url, content=message(few))
            expected = server.http.post(server.score_url(address), content=basic(few)).json()["Prediction"]["datum"]
            _check(answer.content, [datum["tensors"][0]["Float64"]["data"][0] for datum in expected])
            if (model, threads) == (GBM, 1):
                long = of_wrk(url, message(many), 1)(seconds) * MANY_ROWS
            taken = in_turns(of_wrk(url, message(few), 1), of_wrk(server.score_url(address), basic(few), 1), seconds)
            found[f"1,000 rows, {case}: GraphPipe ÷ BASIC JSON"] = (taken[0] * FEW_ROWS, taken[1] * FEW_ROWS)
            server.http.delete(f"{address.path}/{address.release_version}").raise_for_status()
    loop = java_loop.rows_per_second(folder / f"{GBM}.zip", RANGES)
    return {"10,000 rows, GBM: GraphPipe ÷ Java score0 loop": (long, loop), **found}


def _check(answer: bytes, expected: list[float]) -> None:
    from graphpipe import convert

    tensors, errors = convert.deserialize_infer_response(answer)
    if errors or tensors[1][:, 0].tolist() != expected:
        raise SystemExit(f"GraphPipe and BASIC disagree: {errors or tensors[1][:3]}, expected {expected[:3]}")


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6, help="of each load, in turns (6)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--train", type=Path, help="only train the models, into this folder")
    options = parser.parse_args()
    if options.train:
        train(options.train)
        return
    with tempfile.TemporaryDirectory(prefix="ff-bench-model-") as folder:
        command = [PYTHON, "-m", "benchmarks.graphpipe", "--train", folder]
        subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
        taken = [measure(Path(folder), options.seconds) for _ in range(options.runs)]
    for place, title in enumerate(taken[0]):
        target = TARGETS[min(place, 1)]
        ratios = [above / below for above, below in (figures[title] for figures in taken)]
        above, below = (statistics.median(figures[title][i] for figures in taken) for i in (0, 1))
        ratio = statistics.median(ratios)
        verdict = "met" if ratio >= target else "MISSED"
        print(
            f"{title}: {above:,.0f} ÷ {below:,.0f} rows/s = {ratio:.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f}); target ≥ {target:g}: {verdict}"
        )


if __name__ == "__main__":
    main()
