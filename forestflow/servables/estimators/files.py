"""Estimators from the files that their frameworks write."""

from __future__ import annotations

import pickle
import sys
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

from forestflow.domain.errors import ForestFlowError, LoadFailed
from forestflow.servables.estimators.boosted import Categories, of_lightgbm, of_xgboost
from forestflow.servables.estimators.estimator import Estimator
from forestflow.servables.estimators.scikit import of_scikit_learn

XGBOOST_SUFFIXES = frozenset({".xgb", ".json", ".ubj", ".deprecated", ".model", ".bin"})
LIGHTGBM_SUFFIXES = frozenset({".lgb", ".txt"})
PICKLES = frozenset({"pickle", "cloudpickle", "joblib"})
SKOPS = "skops"

# Types beyond those of skops itself that a file may hold and still run no code: boosters come as their own formats.
# scikit-learn's trees are not among them: nobody checks that the numbers in the file stay within their memory.
_HARMLESS = frozenset(
    {"collections.OrderedDict", "lightgbm.basic.Booster", "xgboost.core.Booster"}
    | {f"lightgbm.sklearn.LGBM{kind}" for kind in ("Model", "Classifier", "Regressor", "Ranker")}
    | {f"xgboost.sklearn.XGB{kind}" for kind in ("Model", "Classifier", "Regressor", "Ranker")}
    | {f"xgboost.sklearn.XGBRF{kind}" for kind in ("Classifier", "Regressor")}
)


def runs_code(path: Path, framework: str, serialization: str | None, trusted: Collection[str] = ()) -> bool:
    """Whether loading that file runs what its writer put into it.

    A skops file does where types that it needs are ``trusted`` on its writer's word alone.
    """
    if _is_own_format(path, framework, serialization):
        return False
    return _format(path, serialization) != SKOPS or not _HARMLESS.issuperset(trusted)


def _is_own_format(path: Path, framework: str, serialization: str | None) -> bool:
    """Whether the framework's own reader loads it."""
    suffixes = {"xgboost": XGBOOST_SUFFIXES, "lightgbm": LIGHTGBM_SUFFIXES}.get(framework, frozenset())
    return path.suffix in suffixes and serialization not in PICKLES


def _format(path: Path, serialization: str | None) -> str | None:
    return SKOPS if serialization is None and path.suffix == ".skops" else serialization


def load_estimator(
    path: Path,
    threads: int,
    *,
    framework: str,
    serialization: str | None = None,
    model_class: str | None = None,
    trusted: tuple[str, ...] = (),
    written_by: str | None = None,
    categories: Categories | None = None,
) -> Estimator:
    """Load ``path`` with its ``framework``: sklearn, xgboost or lightgbm.

    ``serialization`` is pickle, cloudpickle, joblib or skops where the file is no format of the framework itself;
    ``model_class`` as MLflow writes it (``xgboost.sklearn.XGBClassifier``). ``trusted`` are the types that a skops file
    may hold beyond those that skops trusts. ``categories`` are those of DataFrame columns, by name. Raises LoadFailed.
    """
    try:
        if not _is_own_format(path, framework, serialization):
            model = _unpickled(path, _format(path, serialization), trusted)
        elif framework == "xgboost":
            model = _xgboost(path, model_class)
        else:
            import lightgbm

            model = lightgbm.Booster(model_file=str(path))
        return _any(model, threads, categories)
    except ForestFlowError:
        raise
    except ImportError as error:
        raise LoadFailed(f"{path.name!r} needs a package that is not installed: {error}") from error
    except Exception as error:
        written = f" (it was written by {framework} {written_by}, here is {_version(framework)})" if written_by else ""
        raise LoadFailed(f"{path.name!r} cannot be loaded: {type(error).__name__}: {error}{written}") from error


def _xgboost(path: Path, model_class: str | None) -> Any:
    import xgboost

    name = (model_class or "xgboost.core.Booster").rpartition(".")[2]
    cls = getattr(xgboost, name, None)
    if not (isinstance(cls, type) and issubclass(cls, (xgboost.Booster, xgboost.XGBModel))):
        raise LoadFailed(f"XGBoost has no model class {model_class!r}")
    model = cls()
    model.load_model(path)
    return model


def _any(model: Any, threads: int, categories: Categories | None) -> Estimator:
    """What was unpickled, by what it is."""
    kind = f"{type(model).__module__.partition('.')[0]}.{type(model).__name__}"
    if kind == "xgboost.Booster":
        return of_xgboost(model, threads, categories)
    if kind == "lightgbm.Booster":
        return of_lightgbm(model, threads, categories)
    estimator = of_scikit_learn(model, threads, categories)
    if not estimator.methods:
        raise LoadFailed(f"the file holds a {type(model).__name__}, which can neither predict nor transform")
    return estimator


def _unpickled(path: Path, serialization: str | None, trusted: tuple[str, ...]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other versions of a framework: what cannot be read says so itself
        match serialization:
            case "skops":
                return _of_skops(path, trusted)
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


def _of_skops(path: Path, trusted: tuple[str, ...]) -> Any:
    """What a skops file holds: types that skops trusts, and those that ``trusted`` names."""
    import skops.io

    if unknown := sorted(set(skops.io.get_untrusted_types(file=path)) - set(trusted)):
        raise LoadFailed(
            f"{path.name!r} holds types that skops does not trust: {', '.join(unknown)}; if you do, save the model "
            f"with save_model(..., skops_trusted_types={unknown})"
        )
    return skops.io.load(path, trusted=list(trusted))


def _version(framework: str) -> str:
    module = sys.modules.get(framework)
    return str(getattr(module, "__version__", "none"))
