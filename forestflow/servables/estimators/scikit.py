"""Anything with the methods of scikit-learn as an estimator: also XGBModel, LGBMModel, and pipelines of all of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from forestflow.domain.tensors import TensorType
from forestflow.servables.estimators import fitted
from forestflow.servables.estimators.boosted import Categories
from forestflow.servables.estimators.estimator import BOOSTED, METHODS, Estimator


def of_scikit_learn(model: Any, threads: int, categories: Categories | None = None) -> Estimator:
    """A fitted model; ``categories`` are what its MLmodel file says of columns.

    Raises LoadFailed where it needs categories that are not to be known.
    """
    import threadpoolctl

    threadpoolctl.threadpool_limits(threads)
    # Columns are put in order by name before a matrix is made of them; this would be said at every call.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    _limit_jobs(model, threads)
    methods = {name: getattr(model, name) for name in METHODS if callable(getattr(model, name, None))}
    labels = getattr(model, "classes_", None)
    boosted = fitted.boosted_features(model, categories)
    return Estimator(
        methods,
        TensorType.Float32 if type(model).__module__.startswith("xgboost.") else TensorType.Float64,
        fitted.features(model, categories) if boosted is None else boosted,
        fitted.width(model),
        texts=fitted.texts(model),
        labels=tuple(map(str, labels)) if isinstance(labels, np.ndarray) and labels.ndim == 1 else (),
        frames="maybe" if boosted is None else "never",
        rows=BOOSTED if type(model).__module__.startswith(("xgboost.", "lightgbm.")) else None,
    )


def _limit_jobs(model: Any, threads: int) -> None:
    """No more jobs than threads, in the model and what it is made of: a forest may ask for every core of the node."""
    if not hasattr(model, "get_params"):
        return
    params: dict[str, Any] = model.get_params(deep=True)
    boosted = ("xgboost.", "lightgbm.")
    for name, value in params.items():
        if name.rpartition("__")[2] != "n_jobs":
            continue
        owner = params.get(name.rpartition("__")[0], model)
        unbounded = value is None and type(owner).__module__.startswith(boosted)
        if unbounded or (isinstance(value, int) and not 0 < value <= threads):
            model.set_params(**{name: threads})
    for part in (model, *params.values()):
        if type(part).__module__.startswith("xgboost.") and hasattr(part, "get_booster"):
            part.get_booster().set_param({"nthread": threads})
