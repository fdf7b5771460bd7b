"""The TensorFlow servable: batches in, batches out, one call of a pruned function per batch.

Each choice of signature and outputs becomes a ``tf.function`` of its own that calls the model's: positional tensors
in, only the wanted tensors out. TensorFlow then leaves out what only other outputs need, and the call does without the
matching of keywords, which takes longer than a small model. Measured (784→128→10, one row, NumPy in and out): the
signature itself 165–200 µs, this 85–115 µs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from forestflow.domain.independence import Independence
from forestflow.domain.requests import SIGNATURE_KEY
from forestflow.domain.tensors import Batch, ModelMetadata
from forestflow.servables.binding import Array, Bindings
from forestflow.servables.tensorflow.examples import example_inputs, with_examples
from forestflow.servables.tensorflow.failures import predict_failure
from forestflow.servables.tensorflow.model import Function, Model
from forestflow.servables.tensorflow.warm_up import WarmUp

_MAX_PRUNED = 64  # clients choose the outputs: beyond, all of them are computed


class TensorFlowServable:
    """One SavedModel (``path``: its directory) or Keras model. Not thread-safe, as the interface says."""

    def __init__(self, model: Model, path: Path | None = None) -> None:
        self._model = model
        self._path = path
        self._pruned: dict[tuple[str, tuple[str, ...]], tuple[tuple[str, ...], Any]] = {}
        self._bindings = Bindings(model.metadata, self._call)
        self._examples = example_inputs(model.metadata)
        self._own_requests: Mapping[str, Sequence[Batch]] = {}
        self._slice_rows = 64

    @property
    def metadata(self) -> ModelMetadata:
        return self._model.metadata

    @property
    def slice_rows(self) -> int:
        return self._slice_rows

    def merge_key(self, configs: Mapping[str, str]) -> Hashable | None:
        return self._bindings.merge_key(configs)

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        """Raises what :class:`~forestflow.servables.base.Servable` says."""
        if self._examples:
            name = self._examples.get(configs.get(SIGNATURE_KEY) or self._model.metadata.default)
            if name is not None:
                batch = with_examples(batch, name)
        return self._bindings.predict(batch, configs)

    def warm_up(self) -> None:
        """Call every signature, then the default one with as many rows as it takes in a few milliseconds.

        Raises :class:`~forestflow.domain.errors.LoadFailed` for warm-up requests of the model's own that fail.
        """
        warm_up = WarmUp(self.metadata, self.predict, self._path)
        self._slice_rows = warm_up.run()
        self._own_requests = warm_up.own_requests

    def independence(self, examples: Sequence[Batch] = ()) -> Mapping[str, Independence]:
        """Try the rows of each signature; the requests that the model brings for its warm-up are examples."""
        given = {name: list(batches) for name, batches in self._own_requests.items()}
        given.setdefault(self.metadata.default, []).extend(examples)
        return self._bindings.independence(given, self._slice_rows)

    def close(self) -> None:
        """Let go of the model, so that TensorFlow may free it."""
        self._pruned.clear()
        del self._model, self._bindings

    def _call(self, signature: str, inputs: dict[str, Array], outputs: tuple[str, ...]) -> Mapping[str, Array]:
        try:
            names, run = self._pruned.get((signature, outputs)) or self._prune(signature, outputs)
            answers = run(*[tf.constant(array) for array in inputs.values()])
            return {name: _array(answer) for name, answer in zip(names, answers, strict=True)}
        except Exception as error:
            raise predict_failure(error) from error

    def _prune(self, signature: str, outputs: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
        function = self._model.functions[signature]
        every = tuple(spec.name for spec in function.outputs)
        room = len(self._pruned) < _MAX_PRUNED + len(self._model.functions)
        names = tuple(name for name in every if name in outputs) if room else every
        made = self._pruned.get((signature, names)) or (names, pruned(function, names))
        if room or names == every:
            self._pruned[signature, names] = made
        if room:
            self._pruned[signature, outputs] = made
        return made


def pruned(function: Function, outputs: tuple[str, ...]) -> Any:
    """A concrete function from the signature's tensors, by position, to a list of ``outputs``; bfloat16 as float32."""

    def run(*tensors: Any) -> list[Any]:
        given = {spec.name: tf.cast(tensor, spec.dtype) for spec, tensor in zip(function.inputs, tensors, strict=True)}
        answers = function.call(**given)
        return [_widened(answers[name]) for name in outputs]

    specs = [
        tf.TensorSpec(spec.shape, tf.float32 if spec.dtype == tf.bfloat16 else spec.dtype) for spec in function.inputs
    ]
    return tf.function(run, input_signature=specs, autograph=False).get_concrete_function()


def _widened(tensor: Any) -> Any:
    return tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor


def _array(tensor: Any) -> Array:
    """A tensor's values; TensorFlow gives a bare ``bytes`` for a string without dimensions."""
    values: Array | bytes = tensor.numpy()
    if isinstance(values, np.ndarray):
        return values
    return np.array(values, dtype=object if isinstance(values, bytes) else None)
