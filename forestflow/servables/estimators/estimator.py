"""One face for the estimators of scikit-learn, XGBoost and LightGBM: methods by name, features, labels, threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from forestflow.domain.independence import Independence
from forestflow.domain.tensors import TensorType
from forestflow.servables.estimators.levels import Levels

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

# Only of the frameworks' own models: a pipeline may hold a step that looks at the batch (FunctionTransformer), and some
# of scikit-learn's own do (NMF stops when all rows together have converged), so those are tried.
BOOSTED = Independence(True, "by construction: its trees or weights see one row at a time")


@dataclass(frozen=True, slots=True)
class Feature:
    """What a model knows of one of its columns.

    ``type`` is None where it is not known; ``sample`` is a value that the model takes, ``other`` one more of a column
    of texts. With ``levels`` the model takes codes of categories, in a matrix, or categories in a DataFrame. Training
    had columns that are not ``used``, and the model drops them. ``opaque`` columns are read by code of the model's
    author, which may take anything.
    """

    name: str
    type: TensorType | None = None
    levels: Levels | None = None
    sample: Any = None
    used: bool = True
    opaque: bool = False
    other: str | None = None


@dataclass(frozen=True, slots=True)
class Estimator:
    """A loaded model. Its methods take a matrix (rows, features), or a DataFrame: ``frames``.

    ``number`` is what the framework computes with. ``features`` are the columns, where it knows their names, and
    ``width`` is their number. ``texts`` are samples of columns without names, where all of them hold texts.
    ``labels`` name the columns of probabilities. ``rows`` says whether these are scored independently of each other,
    where that need not be tried, ``refusals`` which exceptions mean that the input is wrong. With ``optioned`` its
    methods take the options of a request by name, behind the matrix; otherwise these have no effect.
    """

    methods: Mapping[str, Callable[..., Any]]
    number: TensorType = TensorType.Float64
    features: tuple[Feature, ...] = ()
    width: int | None = None
    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    frames: Literal["never", "maybe", "always"] = "maybe"
    rows: Independence | None = None
    refusals: tuple[type[Exception], ...] = (ValueError,)
    optioned: bool = False
