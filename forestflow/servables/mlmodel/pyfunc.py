"""MLflow's python_function: a module with ``_load_pyfunc(path)``, whose answer has ``predict``.

A module of the model's own needs nothing of MLflow; those of MLflow (``mlflow.pyfunc.model``, …) need it installed.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from forestflow.domain.errors import ForestFlowError, LoadFailed
from forestflow.domain.independence import Independence
from forestflow.servables.estimators.estimator import Estimator
from forestflow.servables.mlmodel.description import Chosen
from forestflow.servables.mlmodel.outputs import arrays_of

_CODE = Independence(
    False, "a python_function may look at all rows; merging.independentRows: yes says that it does not"
)


def add_code(chosen: Chosen) -> None:
    """Make the modules that came along with the model importable, before others of their name."""
    if code := chosen.option("code"):
        sys.path.insert(0, str(chosen.inside(code)))


def load_pyfunc(chosen: Chosen) -> Estimator:
    """Load the function. Raises LoadFailed; errors of its code name their type and message."""
    name = chosen.option("loader_module")
    if name is None:
        raise LoadFailed("python_function has no loader_module")
    try:
        model = _of_mlflow(chosen, name) if name.partition(".")[0] == "mlflow" else _own(chosen, name)
    except ForestFlowError:
        raise
    except Exception as error:
        raise LoadFailed(f"python_function, {name}: {type(error).__name__}: {error}") from error
    takes_params = _takes_params(model.predict)
    methods = {"predict": _predict(model.predict, takes_params)}
    return Estimator(methods, frames="always", rows=_CODE, refusals=(), optioned=takes_params)


def _of_mlflow(chosen: Chosen, name: str) -> Any:
    if find_spec("mlflow") is None:
        raise LoadFailed(
            f"python_function with the loader_module {name} needs the package mlflow, which is not installed"
        )
    return import_module("mlflow.pyfunc").load_model(str(chosen.root))


def _own(chosen: Chosen, name: str) -> Any:
    add_code(chosen)
    model = import_module(name)._load_pyfunc(str(chosen.model))
    if not hasattr(model, "predict"):
        raise LoadFailed(f"what {name}._load_pyfunc answers has no method 'predict'")
    return model


def _predict(predict: Callable[..., Any], takes_params: bool) -> Callable[..., Any]:
    def call(given: Any, params: Mapping[str, Any] | None = None) -> Any:
        return arrays_of(predict(given, params=params) if takes_params else predict(given))

    return call


def _takes_params(predict: Callable[..., Any]) -> bool:
    """Whether an argument of that name takes the params of a request, as MLflow decides it."""
    try:
        params = inspect.signature(predict).parameters.get("params")
    except (TypeError, ValueError):  # of a function that Python knows no arguments of
        return False
    return params is not None and params.kind is not inspect.Parameter.VAR_KEYWORD
