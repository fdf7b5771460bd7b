"""Tensors as nested JSON lists, as TensorFlow Serving and tf-infer have them, with no step of Python per number.

A document is parsed by orjson; one with bare ``NaN`` or ``Infinity``, which is not JSON, by the standard library. Lists
are flattened level by level, and their types and lengths looked at as sets, all in C.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from forestflow.codecs.json.columns import packer
from forestflow.codecs.shapes import MAX_AXES
from forestflow.domain.errors import InvalidInput, Malformed, ModelFailed
from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType
from forestflow.domain.unique_keys import repeated

Array = npt.NDArray[Any]

_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


def loads(body: bytes | memoryview) -> Any:
    """One JSON document, in which NaN, Infinity and -Infinity may be numbers.

    Raises Malformed, also for two members of one name in an object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        text = bytes(body)
        if b"NaN" not in text and b"Infinity" not in text:
            raise Malformed(f"JSON Parse error: {error}") from None
        document = _with_non_finite(text)
    if twice := repeated(body, document):
        raise Malformed(f"JSON Parse error: {twice}")
    return document


def _with_non_finite(text: bytes) -> Any:
    try:
        document = json.loads(text.decode())
        orjson.dumps(document)  # refuses lone surrogates, as its parser does
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed(f"JSON Parse error: {error}") from None
    return document


def is_b64(value: object) -> bool:
    """Whether it is ``{"b64": "…"}``, which stands for bytes."""
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def from_b64(value: Any) -> bytes:
    """The bytes of ``{"b64": "…"}``, standard or URL-safe, padded or not. Raises InvalidInput."""
    encoded = value["b64"].translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("Unable to base64 decode") from None


_URL_SAFE = str.maketrans("-_", "+/")


def tensor(name: str, value: Any) -> Column:
    """A value, or lists of values of any depth, as a tensor of its shape: integers Int64, with any fraction Float64.

    Raises InvalidInput where lists of one level differ in length, and where values differ in type.
    """
    shape, flat = _flatten(name, value)
    kind, values = _typed(name, flat)
    return Column(kind, (name,), values.reshape(shape))


def _flatten(name: str, value: Any) -> tuple[tuple[int, ...], list[Any]]:
    shape: list[int] = []
    level = [value]
    while level and type(level[0]) is list:
        if {list} != set(map(type, level)):
            raise InvalidInput(f"{input_named(name)}: lists and single values are mixed at level {len(shape)}")
        lengths = set(map(len, level))
        if len(lengths) > 1:
            raise InvalidInput(
                f"{input_named(name)}: lists of {min(lengths)} and of {max(lengths)} entries at level {len(shape)}; "
                "a tensor needs lists of one length"
            )
        if len(shape) == MAX_AXES:
            raise InvalidInput(f"{input_named(name)} has more than {MAX_AXES} levels of lists")
        shape.append(lengths.pop())
        level = level[0] if len(level) == 1 else list(chain.from_iterable(level))
    return tuple(shape), level


def fractions(name: str, value: list[Any]) -> Column | None:
    """``tensor`` of lists that hold numbers which a typed parser made floats of, without a look at each of them.

    ``None`` where none has a fraction: they may have come as integers. Raises InvalidInput as ``tensor`` does.
    """
    shape, flat = _flatten(name, value)
    if all(map(float.is_integer, flat)):
        return None
    return Column(TensorType.Float64, (name,), _packed(flat).reshape(shape))


def _packed(flat: list[Any]) -> Array:
    """Float64, writable. NumPy takes three times as long."""
    return np.frombuffer(bytearray(packer("d", len(flat))(*flat)), np.float64)


def _typed(name: str, flat: list[Any]) -> tuple[TensorType, Array]:
    kinds = set(map(type, flat))
    if not kinds or kinds <= {int, float}:
        if kinds == {int}:
            return _integers(name, flat)
        try:
            return TensorType.Float64, _packed(flat)
        except (OverflowError, struct.error):
            raise InvalidInput(f"{input_named(name)} holds an integer that no 64-bit float comes near") from None
    if kinds == {bool}:
        return TensorType.Bool, np.array(flat, np.bool_)
    if kinds == {str}:
        return TensorType.String, _objects(flat)
    if kinds <= {str, dict} and all(type(value) is str or is_b64(value) for value in flat):
        return TensorType.Bytes, _objects([v.encode() if type(v) is str else from_b64(v) for v in flat])
    found = ", ".join(sorted({_NAMES.get(kind, "a number") for kind in kinds}))
    raise InvalidInput(f"{input_named(name)} holds {found}; expected numbers, booleans or strings, of one type")


def _integers(name: str, flat: list[int]) -> tuple[TensorType, Array]:
    for kind in (TensorType.Int64, TensorType.UInt64):
        try:
            return kind, np.array(flat, DTYPES[kind])
        except OverflowError:
            continue
    raise InvalidInput(f"{input_named(name)} holds integers of more than 64 bits")


def _objects(values: list[Any]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def input_named(name: str) -> str:
    """An input in an error's message."""
    return f"input {name!r}" if name else "the input"


def batch_of(columns: Sequence[Column]) -> Batch:
    """``Batch.of_tensors`` of at least one. Raises InvalidInput for none."""
    if not columns:
        raise InvalidInput("the request has no inputs")
    return Batch.of_tensors(columns)


def tensors(batch: Batch) -> list[tuple[str, Column]]:
    """An answer's tensors by name, each of the shape that it has; a column of several fields as one tensor a field."""
    named: list[tuple[str, Column]] = []
    for column in batch.tensors():
        if len(column.fields) == 1:
            named.append((column.fields[0], column))
            continue
        for i, field in enumerate(column.fields):
            named.append((field, Column(column.type, (field,), column.data[..., i])))
    return named


def dumps(document: Any) -> bytes:
    """A document whose values are from ``printable`` or plain JSON. Raises ModelFailed for text that is not Unicode."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError as error:
        raise ModelFailed(f"the model's output cannot be written as JSON: {error}") from None


def printable(column: Column) -> Any:
    """The tensor for ``dumps``: bytes as ``{"b64": …}``, as are strings of an output whose name ends in ``_bytes``."""
    data = column.data
    if column.type is TensorType.Bytes or (column.type is TensorType.String and column.fields[0].endswith("_bytes")):
        flat = [{"b64": base64.b64encode(_as_bytes(value)).decode()} for value in data.reshape(-1).tolist()]
        return _objects(flat).reshape(data.shape).tolist()
    if column.type is TensorType.String:
        return data.tolist()
    return orjson.Fragment(numbers(column.type, data))


def numbers(kind: TensorType, data: Array) -> bytes:
    """JSON of numbers or booleans, in the dtype of ``kind``: NaN, Infinity and -Infinity where orjson prints null."""
    data = np.ascontiguousarray(data, DTYPES[kind]).reshape(data.shape)
    text = orjson.dumps(data if data.ndim else data[()], option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" not in text:
        return text
    named = [
        b"NaN" if np.isnan(value) else b"Infinity" if value > 0 else b"-Infinity" for value in data[~np.isfinite(data)]
    ]
    return b"".join([part for pair in zip(text.split(b"null"), [*named, b""], strict=True) for part in pair])


def printable_rows(column: Column) -> list[Any]:
    """``printable`` of each row."""
    # Slices: an element by itself would be no array, and bytes as an array lose the zeros at their end.
    rows = [column.data[i : i + 1].reshape(column.data.shape[1:]) for i in range(len(column.data))]
    return [printable(Column(column.type, column.fields, row)) for row in rows]


def _as_bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
