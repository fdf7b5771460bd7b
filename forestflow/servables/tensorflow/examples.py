"""Signatures over serialized ``tf.Example``: the request may name their features instead.

A classify or regress signature takes one string per row, a serialized ``tf.Example``. A request whose columns do not
name that input is taken as the features of the examples: floats become ``float_list``, integers and booleans
``int64_list``, strings and bytes ``bytes_list``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from forestflow.domain.errors import InvalidInput
from forestflow.domain.tensors import Batch, Column, Layout, ModelMetadata, TensorType

_METHODS = frozenset({"classify", "regress"})
_TEXTS = frozenset({TensorType.String, TensorType.Bytes})


def example_inputs(metadata: ModelMetadata) -> Mapping[str, str]:
    """Return, for each signature that takes serialized examples, the input that takes them."""
    return {
        name: signature.inputs[0].name
        for name, signature in metadata.every_signature().items()
        if signature.method in _METHODS
        and signature.batched
        and len(signature.inputs) == 1
        and signature.inputs[0].type in _TEXTS
        and not signature.inputs[0].shape
    }


def with_examples(batch: Batch, name: str) -> Batch:
    """``batch`` with its features as the input ``name``; unchanged where it has serialized examples.

    Raises InvalidInput for tensors without rows in common, and for integers that no ``int64_list`` holds.
    """
    columns = batch.columns
    if len(columns) == 1 and columns[0].type in _TEXTS and columns[0].fields in ((name,), ("",)):
        return batch
    if batch.layout is Layout.WHOLE:
        raise InvalidInput("the features of the examples have different numbers of rows, or one is a scalar")
    features = [feature for column in columns for feature in _features(column, batch.rows)]
    examples = np.empty(batch.rows, dtype=object)
    for i in range(batch.rows):
        present = {field: feature(values[i]) for field, feature, values in features}
        examples[i] = tf.train.Example(features=tf.train.Features(feature=present)).SerializeToString()
    return Batch(batch.rows, (Column(TensorType.Bytes, (name,), examples),), batch.layout)


def _features(column: Column, rows: int) -> list[tuple[str, Any, list[Any]]]:
    """Per field, its name, what makes a feature of a list of values, and that list for each row."""
    feature: Callable[[list[Any]], Any] = _floats
    data = column.data.reshape(rows, math.prod(column.data.shape[1:]))  # there may be no rows
    if column.type in _TEXTS:
        feature = _bytes
        encoded = [value.encode() if isinstance(value, str) else value for value in data.reshape(-1).tolist()]
        data = np.array([None, *encoded], dtype=object)[1:].reshape(data.shape)
    elif data.dtype.kind in "iub":
        feature = _integers
        if column.type is TensorType.UInt64 and (data > np.iinfo(np.int64).max).any():
            raise InvalidInput(f"feature {column.fields[0]!r} takes integers up to {np.iinfo(np.int64).max}")
    if len(column.fields) == 1:
        return [(column.fields[0], feature, data.tolist())]
    return [(field, feature, data[:, i : i + 1].tolist()) for i, field in enumerate(column.fields)]


def _floats(values: list[float]) -> Any:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _integers(values: list[int]) -> Any:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _bytes(values: list[bytes]) -> Any:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
