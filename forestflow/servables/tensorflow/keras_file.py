"""``.keras`` files: one signature, made of the model's inputs and outputs; no code of the file is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from forestflow.domain.errors import LoadFailed
from forestflow.domain.requests import TensorFlow
from forestflow.servables.tensorflow.failures import load_failure
from forestflow.servables.tensorflow.model import SERVING_DEFAULT, Function, Model, Spec, describe


def load_keras_file(path: Path, flavor: TensorFlow) -> Model:
    """Raises :class:`~forestflow.domain.errors.LoadFailed`, also for lambdas and other code within the file."""
    if keras.config.backend() != "tensorflow":
        raise LoadFailed(f"Keras runs on {keras.config.backend()} here; set KERAS_BACKEND=tensorflow")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise load_failure(path.name, error) from error
    try:
        if isinstance(model, keras.Sequential):
            model = keras.Model(model.inputs, model.outputs)  # the same layers, but it names its outputs
        inputs, outputs = model.input, model.output
    except (AttributeError, ValueError) as error:
        raise LoadFailed(
            f"{path.name} does not say what it takes, as models made by subclassing do not: export it as a SavedModel "
            "(model.export(directory))"
        ) from error
    ins, outs = _specs(inputs), _specs(outputs, getattr(model, "output_names", ()))

    def call(**tensors: Any) -> Mapping[str, Any]:
        answers = model(keras.tree.pack_sequence_as(inputs, [tensors[spec.name] for spec in ins]), training=False)
        return dict(zip([spec.name for spec in outs], keras.tree.flatten(answers), strict=True))

    return describe({SERVING_DEFAULT: Function(call, ins, outs)}, flavor.signature, model, {})


def _specs(structure: Any, layers: Sequence[str] = ()) -> tuple[Spec, ...]:
    """A model's inputs or outputs, named by their keys in dicts, else after ``layers`` or the tensors."""
    leaves = keras.tree.flatten_with_path(structure)
    distinct = len(set(layers)) == len(leaves)
    specs = []
    for i, (keys, tensor) in enumerate(leaves):
        if tensor.sparse or getattr(tensor, "ragged", False):
            raise LoadFailed(f"tensor {tensor.name!r} is sparse or ragged; clients send and read dense tensors")
        keyed = any(isinstance(key, str) for key in keys)
        name = "/".join(map(str, keys)) if keyed else layers[i] if distinct else tensor.name
        specs.append(Spec(name, tf.as_dtype(tensor.dtype), tf.TensorShape(tensor.shape)))
    return tuple(specs)
