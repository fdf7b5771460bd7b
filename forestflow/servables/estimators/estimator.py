"""One face for the estimators of scikit-learn, XGBoost and LightGBM: methods by name, features, labels, threads."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from forestflow.domain.tensors import TensorType

Array = npt.NDArray[Any]

# What an estimator may have, with the name of the output; the first is answered where a request names none.
METHODS = {
    "predict": "prediction",
    "predict_proba": "probabilities",
    "predict_log_proba": "log_probabilities",
    "decision_function": "decision",
    "transform": "transformed",
}
LABELLED = frozenset({"predict_proba", "predict_log_proba"})


@dataclass(frozen=True, slots=True)
class Estimator:
    """A loaded model. Its methods take a matrix (rows, features), or a DataFrame: ``frames``.

    ``number`` is what the framework computes with. ``features`` are the names of the columns, where it knows them, and
    ``width`` is their number. ``labels`` name the columns of probabilities. ``merges`` says that rows are scored
    independently of each other, ``refusals`` which exceptions mean that the input is wrong. With ``optioned`` its
    methods take the options of a request by name, behind the matrix; otherwise these have no effect.
    """

    methods: Mapping[str, Callable[..., Any]]
    number: TensorType = TensorType.Float64
    features: tuple[str, ...] = ()
    width: int | None = None
    labels: tuple[str, ...] = ()
    frames: Literal["never", "maybe", "always"] = "maybe"
    merges: bool = True
    refusals: tuple[type[Exception], ...] = (ValueError,)
    optioned: bool = False


def of_scikit_learn(model: Any, threads: int) -> Estimator:
    """Anything with the methods of scikit-learn: also XGBModel and LGBMModel."""
    import threadpoolctl

    threadpoolctl.threadpool_limits(threads)
    # Columns are put in order by name before a matrix is made of them; this would be said at every call.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    _limit_jobs(model, threads)
    methods = {name: getattr(model, name) for name in METHODS if callable(getattr(model, name, None))}
    features = getattr(model, "feature_names_in_", None)
    width = getattr(model, "n_features_in_", None)
    labels = getattr(model, "classes_", None)
    return Estimator(
        methods,
        TensorType.Float32 if type(model).__module__.startswith("xgboost.") else TensorType.Float64,
        () if features is None else tuple(map(str, features)),
        None if width is None else int(width),
        tuple(map(str, labels)) if isinstance(labels, np.ndarray) and labels.ndim == 1 else (),
    )


def of_xgboost(booster: Any, threads: int) -> Estimator:
    """An xgboost.Booster: predicts in place, without a DMatrix; NaN is a value that is missing."""
    booster.set_param({"nthread": threads})

    def predict(rows: Array) -> Any:
        return booster.inplace_predict(rows, missing=np.nan, validate_features=False)

    return Estimator(
        {"predict": predict},
        TensorType.Float32,
        tuple(booster.feature_names or ()),
        booster.num_features(),
        frames="never",
    )


def of_lightgbm(booster: Any, threads: int) -> Estimator:
    """A lightgbm.Booster. Names that LightGBM made up itself (Column_0, …) count as none."""

    def predict(rows: Array) -> Any:
        return booster.predict(rows, num_threads=threads)

    names = tuple(booster.feature_name())
    made_up = names == tuple(f"Column_{i}" for i in range(len(names)))
    return Estimator(
        {"predict": predict}, TensorType.Float64, () if made_up else names, booster.num_feature(), frames="never"
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
