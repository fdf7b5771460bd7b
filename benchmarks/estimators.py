"""Estimators from MLmodel folders: ``python -m benchmarks.estimators [--runs N] [--seconds S] [--only NAME,...]``.

``iris``: scikit-learn, one row over REST, 16 connections, divided by MLServer and by BentoML with the same model.
``xgboost``: 100 trees, 1,000 rows of 30 floats a request over four connections, divided by predicting in process from
the lists of a parsed body. ``codec``: decoding and encoding 10,000 rows of 30 doubles, divided by ``orjson.loads``.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson
import yaml

from benchmarks import ours, sessions, wrk
from benchmarks.micro import per_call
from benchmarks.payloads import Address
from benchmarks.processes import StartFailed
from benchmarks.turns import in_turns, of_wrk
from forestflow.codecs.basic.codec import PredictionEncoder, decode_request
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.tensors import Batch

IRIS_FIELDS = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
XGBOOST_ROWS, CODEC_ROWS, COLUMNS, TREES = 1_000, 10_000, 30, 100
FIELDS = tuple(f"f{i}" for i in range(COLUMNS))
PEERS = {"mlserver": "≥ 8", "bentoml": "≥ 10"}
Figures = dict[str, float]


def body(fields: tuple[str, ...], rows: list[list[float]]) -> bytes:
    """A BASIC request of one tensor."""
    datum = [{"tensors": [{"Float64": {"data": row}}]} for row in rows]
    return orjson.dumps({"schema": [{"type": "Float64", "fields": fields}], "datum": datum})


def mlmodel(folder: Path, flavors: dict[str, Any]) -> Path:
    """A folder as MLflow writes it, but for the model."""
    folder.mkdir()
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    return folder


def deploy(server: ours.Ours, folder: Path, address: Address) -> None:
    """By an MLFlowServeRequest."""
    settings = {
        "policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
    }
    request = {"path": folder.as_uri(), "servableSettings": settings}
    answer = server.http.post(f"/servable{address.path}/{address.release_version}", json=request)
    if answer.status_code != 200:
        raise StartFailed(f"deploy: {answer.status_code} {answer.text[:500]}")


def values(server: ours.Ours, address: Address, request: bytes, kind: str) -> list[Any]:
    """One answer, before any load."""
    answer = server.http.post(f"{address.path}/score", content=request, headers={"content-type": "application/json"})
    if answer.status_code != 200:
        raise StartFailed(f"score: {answer.status_code} {answer.text[:500]}")
    return [datum["tensors"][0][kind]["data"][0] for datum in answer.json()["Prediction"]["datum"]]


def iris(seconds: float) -> Figures:
    """Ours and both peers, requests a second."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    features, classes = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(features, classes)
    request, address = body(IRIS_FIELDS, [[5.1, 3.5, 1.4, 0.2]]), Address(project="iris")
    with tempfile.TemporaryDirectory(prefix="ffb-") as temp, ours.serving() as server:
        options = {"pickled_model": "model.pkl", "serialization_format": "pickle"}
        folder = mlmodel(Path(temp, "iris"), {"sklearn": options})
        (folder / "model.pkl").write_bytes(pickle.dumps(model))
        deploy(server, folder, address)
        if values(server, address, request, "Int64") != [str(model.predict(features[:1])[0])]:
            raise StartFailed("not the model's own answer")
        ours_ = of_wrk(server.score_url(address), request, sessions.CONNECTIONS, warm_up=3)
        figures: Figures = {}
        for name in PEERS:
            try:
                with sessions.serving_peer(name) as peer:
                    theirs = of_wrk(peer.url, peer.body, sessions.CONNECTIONS, warm_up=3)
                    figures[f"iris.beside_{name}"], figures[f"{name}.rate"] = in_turns(ours_, theirs, seconds)
            except Exception as problem:
                say(f"{name}: NOT MEASURED: {problem}")
        return figures


def xgboost(seconds: float) -> Figures:
    """Ours and in process, rows a second."""
    import xgboost as xgb

    dice = np.random.default_rng(17)
    training = dice.normal(size=(10_000, COLUMNS)).astype(np.float32)
    model = xgb.XGBRegressor(n_estimators=TREES, n_jobs=1, random_state=17).fit(training, training[:, :5].sum(axis=1))
    rows = dice.normal(size=(XGBOOST_ROWS, COLUMNS)).astype(np.float32)
    request, address = body(FIELDS, [[float(str(value)) for value in row] for row in rows]), Address(project="xgboost")
    parsed = orjson.loads(request)
    lists = [datum["tensors"][0]["Float64"]["data"] for datum in parsed["datum"]]
    in_process = XGBOOST_ROWS / per_call(lambda: model.predict(np.array(lists, np.float32)))
    with tempfile.TemporaryDirectory(prefix="ffb-") as temp, ours.serving() as server:
        options = {"data": "model.ubj", "model_class": "xgboost.sklearn.XGBRegressor"}
        folder = mlmodel(Path(temp, "xgboost"), {"xgboost": options})
        model.save_model(folder / "model.ubj")
        deploy(server, folder, address)
        expected = [float(str(value)) for value in model.predict(rows)]
        if values(server, address, request, "Float32") != expected:
            raise StartFailed("not the model's own answers")
        load = wrk.run(server.score_url(address), request, connections=4, seconds=seconds, warm_up=2.0)
    return {"xgboost.rows": load.per_second * XGBOOST_ROWS, "xgboost.in_process": in_process}


def codec(_: float) -> Figures:
    """Seconds for 10,000 rows."""
    rows = np.random.default_rng(17).normal(size=(CODEC_ROWS, COLUMNS))
    request = body(FIELDS, rows.tolist())
    batch = decode_request(request).batch
    if not np.array_equal(batch.columns[0].data, rows):
        raise AssertionError("decoding changed the numbers")
    one = Batch(batch.rows, (replace(batch.columns[0], fields=FIELDS[:1], data=batch.columns[0].data[:, 0].copy()),))
    encode = PredictionEncoder(Fqrv(Contract("samples", "codec", 0), "v1")).encode
    return {
        "codec.loads": per_call(lambda: orjson.loads(request)),
        "codec.decode": per_call(lambda: decode_request(request)),
        "codec.encode": per_call(lambda: encode(batch)),
        "codec.encode_one": per_call(lambda: encode(one)),
    }


SESSIONS: dict[str, Callable[[float], Figures]] = {"iris": iris, "xgboost": xgboost, "codec": codec}


def ratios(figures: Figures) -> list[tuple[str, float, str]]:
    """What a round says: title, number, target."""
    has = figures.__contains__
    found = []
    for name, target in PEERS.items():
        if has(f"{name}.rate"):
            one, other = figures[f"iris.beside_{name}"], figures[f"{name}.rate"]
            found.append((f"iris {one:,.0f}/s ÷ {name} {other:,.0f}/s", one / other, target))
    if has("xgboost.rows"):
        ours_, theirs = figures["xgboost.rows"], figures["xgboost.in_process"]
        found.append((f"xgboost {ours_:,.0f} rows/s ÷ in process {theirs:,.0f} rows/s", ours_ / theirs, "≥ 0.5"))
    if has("codec.loads"):
        loads, decode = figures["codec.loads"], figures["codec.decode"]
        micros = 1e6 / CODEC_ROWS
        for name, title in (("encode", "30 columns"), ("encode_one", "one column")):
            shown = (
                f"codec: decode {decode * micros:.2f} + encode {title} {figures[f'codec.{name}'] * micros:.2f} "
                f"÷ loads {loads * micros:.2f} µs a row"
            )
            found.append((shown, (decode + figures[f"codec.{name}"]) / loads, "≤ 4"))
    return found  # fmt: skip


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Print a line per figure: the median round, and each round's number."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimators", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="rounds (3)")
    parser.add_argument("--seconds", type=float, default=5, help="of each load (5)")
    parser.add_argument("--only", default=",".join(SESSIONS), help="of " + ", ".join(SESSIONS))
    options = parser.parse_args()
    rounds: list[Figures] = []
    for number in range(options.runs):
        figures: Figures = {}
        for name in options.only.split(","):
            began = time.monotonic()
            figures |= SESSIONS[name](options.seconds)
            say(f"round {number + 1}, {name}: {time.monotonic() - began:.0f} s")
        rounds.append(figures)
    medians = {key: median(each[key] for each in rounds if key in each) for figures in rounds for key in figures}
    for place, (title, value, target) in enumerate(ratios(medians)):
        each = ", ".join(f"{ratios(figures)[place][1]:,.2f}" for figures in rounds)
        print(f"{value:>10,.2f} {target:<5} {title} (rounds: {each})")


if __name__ == "__main__":
    main()
