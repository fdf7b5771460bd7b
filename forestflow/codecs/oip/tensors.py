"""What the REST and the gRPC form of the Open Inference Protocol share: datatypes, shapes, raw tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.codecs.json import nested
from forestflow.domain.errors import InvalidInput, Malformed
from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType

Array = npt.NDArray[Any]

DATATYPES: dict[str, TensorType] = {
    "BOOL": TensorType.Bool,
    "UINT8": TensorType.UInt8,
    "UINT16": TensorType.UInt16,
    "UINT32": TensorType.UInt32,
    "UINT64": TensorType.UInt64,
    "INT8": TensorType.Int8,
    "INT16": TensorType.Int16,
    "INT32": TensorType.Int32,
    "INT64": TensorType.Int64,
    "FP16": TensorType.Float16,
    "FP32": TensorType.Float32,
    "FP64": TensorType.Float64,
    "BYTES": TensorType.Bytes,
}
NAMES = {kind: name for name, kind in DATATYPES.items()} | {TensorType.String: "BYTES"}


def type_of(datatype: str, name: str) -> TensorType:
    """Raises InvalidInput for a datatype that the protocol, or we, do not know."""
    kind = DATATYPES.get(datatype)
    if kind is None:
        raise InvalidInput(f"input {name!r} has the datatype {datatype!r}; known are {', '.join(DATATYPES)}")
    return kind


def shaped(name: str, array: Array, shape: tuple[int, ...]) -> Array:
    """The flat elements in their shape; raises InvalidInput where there are more or fewer."""
    if array.size != math.prod(shape):
        raise InvalidInput(
            f"input {name!r} has {array.size} elements, its shape {list(shape)} takes {math.prod(shape)}"
        )
    return array.reshape(shape)


def from_raw(name: str, kind: TensorType, raw: bytes | memoryview, shape: tuple[int, ...]) -> Array:
    """A tensor from its bytes, little-endian and row-major, without a copy. Strings have u32 lengths before them."""
    if kind is TensorType.Bytes:
        return shaped(name, _texts_from(name, raw), shape)
    size = math.prod(shape) * DTYPES[kind].itemsize
    if len(raw) != size:
        raise InvalidInput(f"input {name!r} has {len(raw)} bytes, {NAMES[kind]} of shape {list(shape)} takes {size}")
    array = np.frombuffer(raw, dtype=DTYPES[kind])
    if kind is TensorType.Bool and size and int(array.view(np.uint8).max()) > 1:
        raise InvalidInput(f"input {name!r} is BOOL and holds other bytes than 0 and 1")
    return array.reshape(shape)


def _texts_from(name: str, raw: bytes | memoryview) -> Array:
    view = memoryview(raw)
    texts: list[bytes] = []
    start, end = 0, len(view)
    while start < end:
        stop = start + 4 + int.from_bytes(view[start : start + 4], "little")
        if stop > end or start + 4 > end:
            raise InvalidInput(f"input {name!r}: element {len(texts)} ends behind the tensor's bytes")
        texts.append(bytes(view[start + 4 : stop]))
        start = stop
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def to_raw(column: Column) -> bytes:
    """The bytes of a tensor, as ``from_raw`` reads them."""
    data = column.data
    if column.type not in (TensorType.String, TensorType.Bytes):
        return np.ascontiguousarray(data, dtype=DTYPES[column.type]).tobytes()
    blobs = [blob_of(value) for value in data.reshape(-1).tolist()]
    return b"".join([part for blob in blobs for part in (len(blob).to_bytes(4, "little"), blob)])


def blob_of(value: str | bytes) -> bytes:
    """A string element as bytes."""
    return value if isinstance(value, bytes) else value.encode(errors="surrogateescape")


def batch_of(columns: Sequence[Column]) -> Batch:
    """Inputs of different names as one batch. Raises InvalidInput for none, Malformed for two of one name."""
    if len({column.fields for column in columns}) < len(columns):
        raise Malformed("two inputs have the same name")
    return nested.batch_of(columns)


def name_of(column: Column) -> str:
    """What a client calls an output."""
    return ",".join(column.fields)
