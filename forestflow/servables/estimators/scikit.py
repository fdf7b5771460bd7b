"""Anything with the methods of scikit-learn as an estimator: also XGBModel, LGBMModel, and pipelines of all of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import partial
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
    if fitted.is_fitted_xgboost(model):  # a matrix has no names of columns, which gblinear would ask for
        methods = {name: partial(method, validate_features=False) for name, method in methods.items()}
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
    for part in _parts(model):
        home = type(part).__module__.partition(".")[0]
        jobs = part.get_params(deep=False).get("n_jobs", 1) if hasattr(part, "get_params") else 1
        unbounded = jobs is None and home in ("xgboost", "lightgbm")
        if unbounded or (isinstance(jobs, int) and not 0 < jobs <= threads):
            part.set_params(n_jobs=threads)
        if home == "xgboost" and fitted.is_fitted_xgboost(part):
            part.get_booster().set_param({"nthread": threads})


def _parts(model: Any) -> Iterator[Any]:
    """The model and every estimator within it: steps, prototypes, and the fitted ones, which no parameter leads to."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, type):
            continue
        seen.add(id(found))
        if isinstance(found, Mapping):
            waiting += found.values()
        elif isinstance(found, (list, tuple)):
            waiting += found
        elif hasattr(found, "__dict__") and any(hasattr(found, name) for name in ("get_params", *METHODS)):
            yield found
            waiting += vars(found).values()
