"""Folders as MLflow 3.17 writes them (``save_model``), by hand: MLflow itself is not needed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import skops.io
import yaml


def mlmodel(folder: Path, flavors: dict[str, Any], **rest: Any) -> Path:
    """The folder, with an MLmodel file in it."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "flavors": flavors,
        "mlflow_version": "3.17.2",
        "model_id": None,
        "model_size_bytes": 1453,
        "model_uuid": "dcec15aa7c8b4b6bb3ba8db954577c7f",
        "prompts": None,
        "utc_time_created": "2026-11-21 11:47:32.062253",
        **rest,
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(document, sort_keys=False))
    (folder / "requirements.txt").write_text("mlflow==3.17.2\n")
    return folder


def pyfunc(loader_module: str, **options: Any) -> dict[str, Any]:
    """The python_function flavor, which MLflow writes beside every other."""
    env = {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}
    return {"env": env, "loader_module": loader_module, "python_version": "3.11.7", **options}


def columns(optional: tuple[str, ...] = (), **types: str) -> str:
    """The inputs of a column-based signature."""
    return json.dumps([{"type": kind, "name": name, "required": name not in optional} for name, kind in types.items()])


def example(folder: Path, document: Any) -> dict[str, Any]:
    """Write the input example; what the MLmodel file says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "input_example.json").write_text(json.dumps(document))
    frame = isinstance(document, dict) and "columns" in document
    info = {"artifact_path": "input_example.json", "type": "dataframe" if frame else "ndarray"}
    return info | ({"pandas_orient": "split"} if frame else {})


def tensor(dtype: str, *shape: int, name: str | None = None) -> str:
    """The inputs of a tensor-based signature."""
    entry: dict[str, Any] = {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}
    return json.dumps([entry | ({"name": name} if name else {})])


def sklearn_folder(
    folder: Path,
    model: Any,
    *,
    predict_fn: str = "predict",
    serialization: str = "pickle",
    trusted: list[str] | None = None,
    **rest: Any,
) -> Path:
    """As ``mlflow.sklearn.save_model(model, folder, serialization_format=…, skops_trusted_types=…)`` writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "model.skops" if serialization == "skops" else "model.pkl"
    _dump(model, folder / name, serialization)
    flavors = {
        "python_function": pyfunc("mlflow.sklearn", model_path=name, predict_fn=predict_fn),
        "sklearn": {
            "code": None,
            "pickled_model": name,
            "serialization_format": serialization,
            "sklearn_version": "1.9.1",
            "skops_trusted_types": trusted,
        },
    }
    return mlmodel(folder, flavors, **rest)


def _dump(model: Any, path: Path, serialization: str) -> None:
    match serialization:
        case "skops":
            skops.io.dump(model, path)
        case "joblib":
            joblib.dump(model, path)
        case "cloudpickle":
            path.write_bytes(cloudpickle.dumps(model))
        case _:
            path.write_bytes(pickle.dumps(model))


def lightgbm_folder(folder: Path, model: Any, **rest: Any) -> Path:
    """As ``mlflow.lightgbm.save_model(model, folder)`` writes a model of scikit-learn's kind, by skops."""
    folder.mkdir(parents=True)
    skops.io.dump(model, folder / "model.skops")
    kinds = ["lightgbm.sklearn.LGBMRegressor", "lightgbm.sklearn.LGBMClassifier", "lightgbm.basic.Booster"]
    options = {
        "code": None,
        "data": "model.skops",
        "lgb_version": "4.7.0",
        "model_class": f"lightgbm.sklearn.{type(model).__name__}",
        "serialization_format": "skops",
        "skops_trusted_types": [*kinds, "collections.OrderedDict"],
    }
    return mlmodel(folder, {"lightgbm": options, "python_function": pyfunc("mlflow.lightgbm")}, **rest)
