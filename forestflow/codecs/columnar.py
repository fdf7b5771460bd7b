"""Batches between a router and a replica: columns as they lie in memory, in MessagePack. No client speaks it.

A router that splits a batch has decoded it, and will encode the answer in the client's own protocol. In between its
parts travel in this form, which is made and read without a step of Python per row.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from forestflow.codecs.request import ScoreRequest
from forestflow.domain import errors
from forestflow.domain.errors import Code, ForestFlowError, Malformed, ModelFailed
from forestflow.domain.ids import Fqrv
from forestflow.domain.tensors import DTYPES, Batch, Column, Layout, TensorType


class _Column(msgspec.Struct, array_like=True, gc=False):
    type: int
    fields: tuple[str, ...]
    shape: tuple[int, ...]
    data: Any  # bytes of a C-contiguous array, or a list of objects


class _Message(msgspec.Struct, array_like=True):
    rows: int
    columns: list[_Column]
    configs: dict[str, str] = {}
    layout: str = Layout.RECORDS.value


class _Error(msgspec.Struct, array_like=True, gc=False):
    code: int
    message: str
    retry_after: float = 0.0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Message).decode
_decode_error = msgspec.msgpack.Decoder(_Error).decode

_OBJECTS: dict[TensorType, type] = {TensorType.String: str, TensorType.Bytes: bytes}

# What a replica answers, by code: the classes whose one argument is the message.
_CLASSES: dict[Code, type[ForestFlowError]] = {
    Code.MALFORMED: errors.Malformed,
    Code.INVALID: errors.InvalidInput,
    Code.DEADLINE: errors.DeadlineExceeded,
    Code.UNAVAILABLE: errors.Unavailable,
    Code.UNIMPLEMENTED: errors.NotImplementedByModel,
    Code.OUT_OF_MEMORY: errors.OutOfMemory,
}


def encode(batch: Batch, configs: dict[str, str] | None = None) -> bytes:
    """The batch, of a request with its configs; raises ModelFailed for a column that does not hold what it says."""
    try:
        columns = [_column(column) for column in batch.columns]
        return _encode(_Message(batch.rows, columns, configs or {}, batch.layout.value))
    except (TypeError, ValueError, UnicodeEncodeError) as error:
        raise ModelFailed(f"the model's output holds something else than its type says: {error}") from None


def _column(column: Column) -> _Column:
    data = np.ascontiguousarray(column.data, dtype=DTYPES[column.type])
    values = data.reshape(-1).tolist() if column.type in _OBJECTS else data.tobytes()
    return _Column(column.type.value, column.fields, data.shape, values)


def decode(payload: bytes) -> ScoreRequest:
    """What ``encode`` made; raises Malformed for anything else. The columns' arrays may be written to."""
    try:
        message = _decode(payload)
        columns = tuple([_array(column) for column in message.columns])
        layout = Layout(message.layout)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"not a batch of columns: {error}") from None
    if not columns:
        raise Malformed("not a batch of columns: it has none")
    if any(len(column.data) != message.rows for column in columns):
        raise Malformed("not a batch of columns: their lengths differ")
    return ScoreRequest(Batch(message.rows, columns, layout), message.configs)


def _array(column: _Column) -> Column:
    kind = TensorType(column.type)
    dtype = DTYPES[kind]
    if min(column.shape, default=-1) < 0:
        raise ValueError("an array has rows")
    if kind not in _OBJECTS:
        return Column(kind, column.fields, np.frombuffer(column.data, dtype).reshape(column.shape).copy())
    values = column.data
    if type(values) is not list or len(values) != math.prod(column.shape):
        raise ValueError(f"a {kind.name} column of another length")
    if not {_OBJECTS[kind]}.issuperset(map(type, values)):
        raise ValueError(f"a {kind.name} column holds something else")
    flat = np.empty(len(values), dtype=object)
    flat[:] = values
    return Column(kind, column.fields, flat.reshape(column.shape))


def decode_error(payload: bytes) -> ForestFlowError:
    """The error that a replica answered, of the class that its code stands for."""
    try:
        told = _decode_error(payload)
        return error_of(Code(told.code), told.message, told.retry_after)
    except ValueError:
        return ModelFailed("the replica answered with an error that cannot be read")


def error_of(code: Code, message: str, retry_after_seconds: float) -> ForestFlowError:
    """A replica's error, of the class that its code stands for."""
    if code is Code.EXHAUSTED:
        return errors.QueueFull(retry_after_seconds, message)
    return _CLASSES.get(code, ModelFailed)(message)


class ColumnarCodec:
    """:class:`forestflow.codecs.table.Codec`; who answers is said by the frame."""

    def __init__(self, fqrv: Fqrv) -> None:
        self.decode = decode

    def encode(self, batch: Batch, context: None = None) -> bytes:
        return encode(batch)

    def encode_error(self, error: ForestFlowError, request_id: str) -> bytes:
        retry_after = error.retry_after_seconds if isinstance(error, errors.QueueFull) else 0.0
        return _encode(_Error(error.code, error.message.encode(errors="replace").decode(), retry_after))
