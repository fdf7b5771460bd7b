"""Estimators from the files that their frameworks write."""

from __future__ import annotations

import importlib
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

from forestflow.domain.errors import ForestFlowError, LoadFailed
from forestflow.servables.estimators.estimator import Estimator, of_lightgbm, of_scikit_learn, of_xgboost

XGBOOST_SUFFIXES = frozenset({".xgb", ".json", ".ubj", ".deprecated", ".model", ".bin"})
LIGHTGBM_SUFFIXES = frozenset({".lgb", ".txt"})
PICKLES = frozenset({"pickle", "cloudpickle", "joblib"})


def is_pickle(path: Path, serialization: str | None) -> bool:
    """Whether loading that file runs what its writer put into it."""
    return serialization in PICKLES or (
        serialization != "skops" and path.suffix not in XGBOOST_SUFFIXES | LIGHTGBM_SUFFIXES
    )


def load_estimator(
    path: Path,
    threads: int,
    *,
    framework: str,
    serialization: str | None = None,
    model_class: str | None = None,
    trusted: tuple[str, ...] = (),
    written_by: str | None = None,
) -> Estimator:
    """Load ``path`` with its ``framework``: sklearn, xgboost or lightgbm.

    ``serialization`` is pickle, cloudpickle, joblib or skops where the file is no format of the framework itself;
    ``model_class`` as MLflow writes it (``xgboost.sklearn.XGBClassifier``). Raises LoadFailed.
    """
    try:
        if framework == "xgboost" and path.suffix in XGBOOST_SUFFIXES and serialization not in PICKLES:
            return _xgboost(path, threads, model_class)
        if framework == "lightgbm" and path.suffix in LIGHTGBM_SUFFIXES:
            import lightgbm

            return of_lightgbm(lightgbm.Booster(model_file=str(path)), threads)
        return _any(_unpickled(path, serialization, trusted), threads)
    except ForestFlowError:
        raise
    except ImportError as error:
        raise LoadFailed(f"{path.name!r} needs a package that is not installed: {error}") from error
    except Exception as error:
        written = f" (it was written by {framework} {written_by}, here is {_version(framework)})" if written_by else ""
        raise LoadFailed(f"{path.name!r} cannot be loaded: {type(error).__name__}: {error}{written}") from error


def _xgboost(path: Path, threads: int, model_class: str | None) -> Estimator:
    import xgboost

    name = (model_class or "xgboost.core.Booster").rpartition(".")[2]
    cls = getattr(xgboost, name, None)
    if not (isinstance(cls, type) and issubclass(cls, (xgboost.Booster, xgboost.XGBModel))):
        raise LoadFailed(f"XGBoost has no model class {model_class!r}")
    model = cls()
    model.load_model(path)
    return _any(model, threads)


def _any(model: Any, threads: int) -> Estimator:
    """What was unpickled, by what it is."""
    kind = f"{type(model).__module__.partition('.')[0]}.{type(model).__name__}"
    if kind == "xgboost.Booster":
        return of_xgboost(model, threads)
    if kind == "lightgbm.Booster":
        return of_lightgbm(model, threads)
    estimator = of_scikit_learn(model, threads)
    if not estimator.methods:
        raise LoadFailed(f"the file holds a {type(model).__name__}, which can neither predict nor transform")
    return estimator


def _unpickled(path: Path, serialization: str | None, trusted: tuple[str, ...]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other versions of a framework: what cannot be read says so itself
        match serialization:
            case "skops":
                return importlib.import_module("skops.io").load(path, trusted=list(trusted))
            case "joblib":
                import joblib

                return joblib.load(path)
            case "cloudpickle":
                import cloudpickle

                with path.open("rb") as file:
                    return cloudpickle.load(file)
            case "pickle":
                with path.open("rb") as file:
                    return pickle.load(file)
            case None:  # joblib reads plain pickles, too
                import joblib

                return joblib.load(path)
            case _:
                raise LoadFailed(f"the serialization format {serialization!r} is not supported")


def _version(framework: str) -> str:
    module = sys.modules.get(framework)
    return str(getattr(module, "__version__", "none"))
