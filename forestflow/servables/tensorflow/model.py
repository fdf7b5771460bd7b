"""A loaded model as the servable sees it: its metadata, and per signature a TensorFlow function to call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from forestflow.domain.errors import LoadFailed
from forestflow.domain.tensors import IOMetadata, ModelMetadata, Signature, TensorType
from forestflow.servables.binding import type_of

SERVING_DEFAULT = "serving_default"


@dataclass(frozen=True, slots=True)
class Spec:
    """One tensor of a signature, in TensorFlow's words."""

    name: str
    dtype: Any  # tf.DType
    shape: Any  # tf.TensorShape


@dataclass(frozen=True, slots=True)
class Function:
    """One signature: ``call(**tensors)`` gives all outputs by name."""

    call: Callable[..., Mapping[str, Any]]
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    method: str = "predict"

    @property
    def batched(self) -> bool:
        """Whether every input and output has a leading dimension of unknown size."""
        shapes = [spec.shape for spec in (*self.inputs, *self.outputs)]
        return bool(self.inputs) and all(shape.rank and shape[0] is None for shape in shapes)

    def signature(self) -> Signature:
        """Describe the signature. Raises LoadFailed for a tensor of a type that no protocol has."""
        below = 1 if self.batched else 0
        inputs, outputs = ([_described(spec, below) for spec in specs] for specs in (self.inputs, self.outputs))
        return Signature(tuple(inputs), tuple(outputs), self.batched, self.method)


@dataclass(frozen=True, slots=True)
class Model:
    """``functions`` has every signature of ``metadata``; ``owner`` keeps what they need alive."""

    functions: Mapping[str, Function]
    metadata: ModelMetadata
    owner: Any


def describe(functions: Mapping[str, Function], wanted: str | None, owner: Any, odd: Mapping[str, str]) -> Model:
    """Choose the default signature and write the metadata. ``odd`` are signatures that cannot be served, and why.

    Raises :class:`~forestflow.domain.errors.LoadFailed` when there is no default, or it cannot be served.
    """
    signatures, refused = {}, dict(odd)
    for name, function in sorted(functions.items()):
        try:
            signatures[name] = function.signature()
        except LoadFailed as error:
            refused[name] = error.message
    default = _default(sorted({*signatures, *refused}), wanted)
    if default in refused:
        raise LoadFailed(f"signature {default!r} cannot be served: {refused[default]}")
    chosen = signatures[default]
    metadata = ModelMetadata(chosen.inputs, chosen.outputs, signatures, default)
    return Model({name: functions[name] for name in signatures}, metadata, owner)


def _default(names: Sequence[str], wanted: str | None) -> str:
    if not names:
        raise LoadFailed("the model has no signatures; save it with some (tf.saved_model.save(…, signatures=…))")
    if wanted is not None and wanted not in names:
        raise LoadFailed(f"the model has no signature {wanted!r}; it has {', '.join(map(repr, names))}")
    if wanted is None and SERVING_DEFAULT not in names and len(names) > 1:
        raise LoadFailed(
            f"the model has the signatures {', '.join(map(repr, names))}, and none is {SERVING_DEFAULT!r}: name one as "
            "the flavor's signature"
        )
    return wanted or (SERVING_DEFAULT if SERVING_DEFAULT in names else names[0])


def _described(spec: Spec, below: int) -> IOMetadata:
    if spec.shape.rank is None:
        return IOMetadata(spec.name, _type(spec), any_rank=True)
    shape = tuple(-1 if size is None else int(size) for size in spec.shape.as_list()[below:])
    return IOMetadata(spec.name, _type(spec), shape)


def _type(spec: Spec) -> TensorType:
    if spec.dtype == tf.string:
        return TensorType.Bytes if spec.name.endswith("_bytes") else TensorType.String
    if spec.dtype == tf.bfloat16:
        return TensorType.Float32
    kind = type_of(np.dtype(spec.dtype.as_numpy_dtype)) if spec.dtype.is_numpy_compatible else None
    if kind is None:
        raise LoadFailed(f"tensor {spec.name!r} is of the type {spec.dtype.name}, which no protocol has")
    return kind
