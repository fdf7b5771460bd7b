"""Folders with an MLmodel file, as MLflow writes them: the first flavor in it that is supported is loaded."""

from __future__ import annotations

import logging
from pathlib import Path

from forestflow.domain.errors import ArtifactRejected
from forestflow.domain.requests import Flavor, H2OMojo, MLmodel, Onnx, TensorFlow
from forestflow.domain.settings import Resources
from forestflow.servables import loading
from forestflow.servables.base import Servable
from forestflow.servables.estimators.files import load_estimator
from forestflow.servables.estimators.files import runs_code as file_runs_code
from forestflow.servables.estimators.inputs import Inputs
from forestflow.servables.mlmodel.described import DescribedServable
from forestflow.servables.mlmodel.description import FILE, LAST_RESORT, Chosen, Description
from forestflow.servables.mlmodel.params import Params
from forestflow.servables.mlmodel.signature import example_of, inputs_of

_log = logging.getLogger("forestflow.mlmodel")


def artifact_path(flavor: MLmodel) -> str:
    """The folder's path, relative to the path of its deploy request."""
    return flavor.model_path


def check(path: Path, flavor: MLmodel) -> None:
    """Look at the files of the flavor that would be loaded; raises ArtifactRejected. Nothing of the model is loaded."""
    description = Description(path)
    chosen = description.choose(flavor.flavor)
    delegate = _delegate(chosen)
    if delegate is not None:
        loading.check(chosen.model, delegate)
        return
    inputs_of(description.signature, chosen.name)
    Params.of(description.signature)
    if chosen.name != LAST_RESORT and not chosen.model.is_file():
        raise ArtifactRejected(f"flavor {chosen.name!r}: {chosen.model.name!r} is not a file")


def elsewhere(path: Path, flavor: MLmodel) -> str | None:
    """The URL or absolute path where the model's files are, if the MLmodel file says that they are not beside it.

    Together in one folder, both are the artifact. Raises ArtifactRejected for a file that cannot be read.
    """
    return Description(path).elsewhere(flavor.flavor)


def runs_code(path: Path, flavor: MLmodel) -> bool:
    """Whether loading runs code that came with the model: python_function, pickles and modules beside it do."""
    chosen = Description(path).choose(flavor.flavor)
    delegate = _delegate(chosen)
    if delegate is not None:
        return loading.runs_code(chosen.model, delegate)
    beside = chosen.name == LAST_RESORT or chosen.option("code") is not None
    return beside or file_runs_code(chosen.model, chosen.name, _serialization(chosen), _trusted(chosen))


def load(path: Path, flavor: MLmodel, resources: Resources) -> Servable:
    """Load the chosen flavor by the servable of its framework.

    Raises :class:`~forestflow.domain.errors.LoadFailed`, or ``ArtifactRejected`` for files that are not as they should.
    """
    description = Description(path)
    chosen = description.choose(flavor.flavor)
    delegate = _delegate(chosen)
    if delegate is not None:
        servable = loading.load(chosen.model, delegate, resources)
        return _described(servable, description, chosen, matrix=not isinstance(delegate, H2OMojo))
    return _estimator(description, chosen, resources)


def _delegate(chosen: Chosen) -> Flavor | None:
    """The flavor of ours that serves it; ``None`` for estimators and functions."""
    match chosen.name:
        case "h2o_mojo" | "h2o":
            return H2OMojo(chosen.model.name, chosen.option("h2o_version"))
        case "tensorflow" | "keras":
            tags = chosen.options.get("meta_graph_tags")
            return TensorFlow(
                chosen.model.name,
                chosen.option("signature_def_key"),
                tuple(map(str, tags)) if isinstance(tags, list) else (),
            )
        case "onnx":
            return Onnx(chosen.model.name)
        case _:
            return None


def _described(servable: Servable, description: Description, chosen: Chosen, *, matrix: bool) -> Servable:
    """The servable with the file's signature and example, where there are any that can be read."""
    example = description.input_example()
    try:
        inputs, arrays = example_of(example, inputs_of(description.signature, chosen.name))
        params = Params.of(description.signature)
    except ArtifactRejected as problem:
        _log.warning("%s", problem.message)
        return servable
    if inputs is None and matrix and example is not None:  # the model's own inputs
        inputs, arrays = example_of(example, Inputs(servable.metadata.inputs, tensors=True))
    if inputs is None:
        return servable
    _say_of_no_effect(params, chosen)
    return DescribedServable(servable, inputs, arrays, matrix=matrix, options=params)


def _estimator(description: Description, chosen: Chosen, resources: Resources) -> Servable:
    from forestflow.servables.estimators.servable import EstimatorServable
    from forestflow.servables.mlmodel.pyfunc import add_code, load_pyfunc

    inputs, example = example_of(description.input_example(), inputs_of(description.signature, chosen.name))
    params = Params.of(description.signature)
    if chosen.name == LAST_RESORT:
        function = load_pyfunc(chosen)
        if not function.optioned:
            _say_of_no_effect(params, chosen)
        return EstimatorServable(function, inputs, example=example, options=params)
    add_code(chosen)
    estimator = load_estimator(
        chosen.model,
        resources.compute_threads,
        framework=chosen.name,
        serialization=_serialization(chosen),
        model_class=chosen.option("model_class"),
        trusted=_trusted(chosen),
        written_by=chosen.option("sklearn_version") or chosen.option("xgb_version") or chosen.option("lgb_version"),
        categories=description.categories(),
    )
    default = description.flavors.get(LAST_RESORT, {}).get("predict_fn")
    _say_of_no_effect(params, chosen)
    return EstimatorServable(estimator, inputs, example=example, default=default, options=params)


def _say_of_no_effect(params: Params | None, chosen: Chosen) -> None:
    if params is not None:
        _log.warning("%r takes no params: those of the signature are checked, and have no effect", chosen.name)


def _serialization(chosen: Chosen) -> str | None:
    return chosen.option("serialization_format")


def _trusted(chosen: Chosen) -> tuple[str, ...]:
    listed = chosen.options.get("skops_trusted_types")
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


__all__ = ["FILE", "artifact_path", "check", "elsewhere", "load", "runs_code"]
