"""TensorFlow's Tensor messages to arrays and back, without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow._gen import tensorflow_serving_pb2 as pb
from forestflow._gen.tensorflow_serving_pb2 import Tensor, TensorShape
from forestflow.codecs.shapes import Room
from forestflow.domain.errors import InvalidInput, ModelFailed
from forestflow.domain.tensors import DTYPES, Column, TensorType

Array = npt.NDArray[Any]

DATA_TYPES: dict[TensorType, pb.DataType] = {
    TensorType.Float16: pb.DT_HALF,
    TensorType.Float32: pb.DT_FLOAT,
    TensorType.Float64: pb.DT_DOUBLE,
    TensorType.Int8: pb.DT_INT8,
    TensorType.Int16: pb.DT_INT16,
    TensorType.Int32: pb.DT_INT32,
    TensorType.Int64: pb.DT_INT64,
    TensorType.String: pb.DT_STRING,
    TensorType.Bool: pb.DT_BOOL,
    TensorType.Bytes: pb.DT_STRING,
    TensorType.UInt8: pb.DT_UINT8,
    TensorType.UInt16: pb.DT_UINT16,
    TensorType.UInt32: pb.DT_UINT32,
    TensorType.UInt64: pb.DT_UINT64,
}
_TYPES: dict[int, TensorType] = {int(number): kind for kind, number in DATA_TYPES.items()} | {
    pb.DT_STRING: TensorType.Bytes,
    pb.DT_BFLOAT16: TensorType.Float32,  # the upper half of its bits
    # Quantized types are integers of their size here.
    pb.DT_QINT8: TensorType.Int8,
    pb.DT_QUINT8: TensorType.UInt8,
    pb.DT_QINT16: TensorType.Int16,
    pb.DT_QUINT16: TensorType.UInt16,
    pb.DT_QINT32: TensorType.Int32,
}


# Where the values are when they are not in ``tensor_content``.
_FIELDS: dict[TensorType, str] = {
    TensorType.Float32: "float_val",
    TensorType.Float64: "double_val",
    TensorType.Float16: "half_val",
    TensorType.Int64: "int64_val",
    TensorType.UInt32: "uint32_val",
    TensorType.UInt64: "uint64_val",
    TensorType.Bool: "bool_val",
    TensorType.String: "string_val",
    TensorType.Bytes: "string_val",
}
_SMALL = "int_val"  # of integers up to 32 bits


def column_of(name: str, tensor: Tensor, room: Room) -> Column:
    """The tensor as a column of its shape; numbers in ``tensor_content`` are not copied. Raises InvalidInput."""
    kind = _TYPES.get(tensor.dtype)
    if kind is None:
        raise InvalidInput(f"input {name!r} is of the type {_type_name(tensor.dtype)}, which cannot be served")
    if tensor.tensor_shape.unknown_rank:
        raise InvalidInput(f"input {name!r} has no shape of known sizes")
    shape = room.check(name, tuple([dim.size for dim in tensor.tensor_shape.dim]))
    size = math.prod(shape)
    bits = tensor.dtype == pb.DT_BFLOAT16
    dtype = np.dtype(np.uint16) if bits else DTYPES[kind]
    if kind is TensorType.Bytes:
        data = _texts(name, tensor, size)
    elif tensor.tensor_content:
        data = _content(name, tensor.tensor_content, size, dtype)
    else:
        data = _listed(name, tensor, kind, size, dtype)
    if len(data) < size:
        room.repeat(name, shape, len(data))
        # As in TensorFlow, the last value stands for all that follow, none for zeros.
        last = data[-1] if len(data) else b"" if kind is TensorType.Bytes else dtype.type(0)
        data = np.concatenate([data, np.full(size - len(data), last, data.dtype)])
    if bits:
        data = (data.astype(np.uint32) << 16).view(np.float32)
    return Column(kind, (name,), data.reshape(shape))


def _content(name: str, content: bytes, size: int, dtype: np.dtype[Any]) -> Array:
    if len(content) != size * dtype.itemsize:
        raise InvalidInput(
            f"input {name!r}: tensor_content has {len(content)} bytes, its shape {size * dtype.itemsize}"
        )
    data = np.frombuffer(content, dtype.newbyteorder("<"))
    return data.astype(dtype, copy=False)


def _listed(name: str, tensor: Tensor, kind: TensorType, size: int, dtype: np.dtype[Any]) -> Array:
    """Values one by one, at most as many as the shape has."""
    field = _FIELDS.get(kind, _SMALL)
    halves = tensor.dtype in (pb.DT_HALF, pb.DT_BFLOAT16)
    values: Any = tensor.half_val if halves else getattr(tensor, field)
    if len(values) > size:
        raise InvalidInput(f"input {name!r} has {len(values)} values in {field}, its shape {size}")
    try:
        data = np.array(list(values), np.uint16 if halves else dtype)  # a message's own list would wrap
    except OverflowError:
        raise InvalidInput(f"input {name!r}: a value in {field} is not of the type {kind.name}") from None
    return data if halves and dtype == np.uint16 else data.view(dtype)


def _texts(name: str, tensor: Tensor, size: int) -> Array:
    values = list(tensor.string_val)
    if len(values) > size or (tensor.tensor_content and not values):
        raise InvalidInput(f"input {name!r} has {len(values)} values in string_val, its shape {size}")
    data = np.empty(len(values), object)
    data[:] = values
    return data


def _type_name(number: int) -> str:
    return pb.DataType.Name(number) if number in pb.DataType.values() else str(number)


def fill(column: Column, tensor: Tensor) -> None:
    """Write a column into a message, value by value as TensorFlow Serving does: clients read the fields themselves.

    Raises ModelFailed for a column that does not hold what its type says.
    """
    tensor.dtype = DATA_TYPES[column.type]
    tensor.tensor_shape.CopyFrom(shape_of(column.data.shape))
    try:
        values = _LISTS.get(column.type, _numbers)(column)
        getattr(tensor, _FIELDS.get(column.type, _SMALL)).extend(values)
    except (TypeError, ValueError) as error:
        raise ModelFailed(f"the model's output {column.fields[0]!r} holds something else: {error}") from None


def shape_of(sizes: tuple[int, ...]) -> TensorShape:
    return TensorShape(dim=[TensorShape.Dim(size=size) for size in sizes])


def _numbers(column: Column) -> list[Any]:
    return np.asarray(column.data, DTYPES[column.type]).reshape(-1).tolist()


def _halves(column: Column) -> list[Any]:
    data = np.ascontiguousarray(column.data, np.float16)
    return data.view(np.uint16).reshape(-1).tolist()


def _encoded(column: Column) -> list[bytes]:
    return [value.encode() if isinstance(value, str) else value for value in column.data.reshape(-1).tolist()]


_LISTS: dict[TensorType, Callable[[Column], list[Any]]] = {
    TensorType.Float16: _halves,
    TensorType.String: _encoded,
    TensorType.Bytes: _encoded,
}
