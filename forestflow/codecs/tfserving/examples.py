"""tf.Example messages from JSON objects, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forestflow._gen.tensorflow_serving_pb2 import Example, Feature
from forestflow.codecs.json.nested import from_b64, is_b64
from forestflow.domain.errors import InvalidInput
from forestflow.domain.tensors import Column, TensorType

MAX_CONTEXT = 1 << 24  # bytes that the features in common may become when every example has them

_SOME = 1 << 14  # values of a column that are taken at a time
_MIN, _MAX = -(2**63), 2**63 - 1


def examples_of(objects: Sequence[Mapping[str, Any]]) -> Column:
    """One serialized Example each, as one column without a name, shape (objects,); a list of values may be a column.

    Raises InvalidInput.
    """
    serialized = np.empty(len(objects), object)
    serialized[:] = [_example(features) for features in objects]
    return Column(TensorType.Bytes, ("",), serialized)


def check_context(size: int, examples: int) -> None:
    """Raises InvalidInput where a context of that many bytes is too much for so many examples."""
    if size * examples > MAX_CONTEXT:
        raise InvalidInput(
            f"a context of {size} bytes for {examples} examples; together they may have {MAX_CONTEXT} bytes"
        )


def _example(features: Mapping[str, Any]) -> bytes:
    example = Example()
    example.features.SetInParent()
    for name, value in features.items():
        feature = example.features.feature[name]
        if isinstance(value, Column):
            for start in range(0, len(value.data), _SOME):
                _fill(name, value.data[start : start + _SOME].tolist(), feature)
        else:
            _fill(name, value if type(value) is list else [value], feature)
    return example.SerializeToString(deterministic=True)


def _fill(name: str, values: list[Any], feature: Feature) -> None:
    kinds = {type(value) for value in values}
    if kinds <= {str, dict} and all(type(value) is str or is_b64(value) for value in values):
        if values:
            feature.bytes_list.value.extend([v.encode() if type(v) is str else from_b64(v) for v in values])
    elif kinds == {float}:
        feature.float_list.value.extend(values)
    elif kinds <= {int, bool} and all(_MIN <= value <= _MAX for value in values):
        feature.int64_list.value.extend(map(int, values))
    else:
        raise InvalidInput(
            f"Unexpected element type in feature: {name}; expected strings, 64-bit integers or floats, of one type"
        )
