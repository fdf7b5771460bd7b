"""ONNX Runtime's names of types and shapes as metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from forestflow.domain.errors import LoadFailed
from forestflow.domain.tensors import IOMetadata, TensorType

_TYPES = {
    "float16": TensorType.Float16,
    "float": TensorType.Float32,
    "double": TensorType.Float64,
    "int8": TensorType.Int8,
    "int16": TensorType.Int16,
    "int32": TensorType.Int32,
    "int64": TensorType.Int64,
    "uint8": TensorType.UInt8,
    "uint16": TensorType.UInt16,
    "uint32": TensorType.UInt32,
    "uint64": TensorType.UInt64,
    "bool": TensorType.Bool,
    "string": TensorType.String,
}
_TENSOR = re.compile(r"tensor\((\w+)\)")
_MAPS = re.compile(r"seq\(map\((?:string|int64),tensor\((\w+)\)\)\)")  # what ZipMap, the end of a classifier, answers


def is_map(node: Any) -> bool:
    """Whether the node's value is a list of one map from labels to numbers for each row."""
    return _MAPS.fullmatch(node.type) is not None


def described(node: Any, what: str) -> IOMetadata:
    """An input or output with its whole shape, -1 where it is free. Raises LoadFailed for a type we have not."""
    found = _TENSOR.fullmatch(node.type) or (_MAPS.fullmatch(node.type) if what == "output" else None)
    kind = _TYPES.get(found[1]) if found else None
    if kind is None:
        raise LoadFailed(f"{what} {node.name!r} of the model is of the type {node.type}, which is not supported")
    shape = (-1, -1) if is_map(node) else tuple([d if isinstance(d, int) else -1 for d in node.shape or ()])
    return IOMetadata(node.name, kind, shape)


def reused_rows(nodes: Iterable[Any]) -> str | None:
    """The symbol of a first axis that is the length of another axis, too; ``None`` where there is none."""
    shapes = [list(node.shape or ()) for node in nodes if not is_map(node)]
    first = {shape[0] for shape in shapes if shape and isinstance(shape[0], str)}
    return next((size for shape in shapes for size in shape[1:] if size in first), None)
