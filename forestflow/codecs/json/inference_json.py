"""The JSON of an InferenceRequest, read with all of protobuf's leniency and located errors.

``basic`` reads typical bodies faster; this is where every other body ends, the wrong ones included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy.typing as npt

from forestflow.codecs.json import strict as strict_json
from forestflow.codecs.json.columns import Schema, Tensor, array
from forestflow.codecs.json.growing import Growing
from forestflow.codecs.json.long_json import LONG
from forestflow.codecs.json.number_lists import numbers
from forestflow.codecs.json.packed import LongList
from forestflow.codecs.json.strict import malformed, members
from forestflow.domain.errors import InvalidInput
from forestflow.domain.tensors import Column, TensorType

# A tensor's key in a datum, in the order of the oneof's numbers: of two given, the first counts.
TENSOR_KEYS: dict[str, TensorType] = {
    "String": TensorType.String,
    "Int8": TensorType.Int8,
    "Int16": TensorType.Int16,
    "Int32": TensorType.Int32,
    "Int64": TensorType.Int64,
    "Float16": TensorType.Float16,
    "Float32": TensorType.Float32,
    "Float64": TensorType.Float64,
    "Bool": TensorType.Bool,
    "Byte": TensorType.Bytes,
    "UInt8": TensorType.UInt8,
    "UInt16": TensorType.UInt16,
    "UInt32": TensorType.UInt32,
    "UInt64": TensorType.UInt64,
}

_REQUEST = ("schema", "datum", "configs")
_ENTRY = ("type", "fields")
_DATUM = ("tensors",)
_DATA = ("data", "tensorType", "tensor_type")

_Reader = Callable[[object, str], Any]
_FLOATS: tuple[frozenset[type], _Reader] = (frozenset({float, int}), strict_json.number)
_INTEGERS: tuple[frozenset[type], _Reader] = (frozenset({int}), strict_json.integer)

# Per kind: the JSON types that need no look at the single values, and how to read a value otherwise.
_VALUES: dict[TensorType, tuple[frozenset[type], _Reader]] = {
    TensorType.String: (frozenset({str}), strict_json.text),
    TensorType.Int8: _INTEGERS,
    TensorType.Int16: _INTEGERS,
    TensorType.Int32: _INTEGERS,
    TensorType.Int64: _INTEGERS,
    TensorType.Float16: _FLOATS,
    TensorType.Float32: _FLOATS,
    TensorType.Float64: _FLOATS,
    TensorType.Bool: (frozenset({bool}), strict_json.boolean),
    TensorType.Bytes: (frozenset(), strict_json.blob),
    TensorType.UInt8: _INTEGERS,
    TensorType.UInt16: _INTEGERS,
    TensorType.UInt32: _INTEGERS,
    TensorType.UInt64: _INTEGERS,
}


def parse(body: bytes | memoryview) -> tuple[Schema, list[list[Tensor]], dict[str, str]]:
    """Schema, datums and configs of a request; raises Malformed, or InvalidInput for a tensor that holds nothing."""
    document = strict_json.loads(body)
    schema, configs = head(document)
    return schema, datums(document), configs


def datums(document: object) -> list[list[Tensor]]:
    """The records of a parsed request; raises Malformed, or InvalidInput."""
    request = members(document, _REQUEST, "request")
    return [datum(one, i) for i, one in enumerate(strict_json.items(request.get("datum", []), "datum"))]


def head(document: object) -> tuple[Schema, dict[str, str]]:
    """Schema and configs of a parsed request, in which long lists may be unread; raises Malformed."""
    request = members(document, _REQUEST, "request")
    schema = [_entry(entry, f"schema[{i}]") for i, entry in enumerate(_each(request.get("schema", []), "schema"))]
    configs = request.get("configs", {})
    if type(configs) is not dict:
        raise strict_json.expected("an object", configs, "configs")
    return schema, {key: strict_json.text(value, f"configs[{key!r}]") for key, value in configs.items()}


def _entry(value: object, where: str) -> tuple[TensorType, tuple[str, ...]]:
    given = members(value, _ENTRY, where)
    if "type" not in given:
        raise malformed(f"{where}: required field 'type' is missing")
    once: dict[str, str] = {}  # of names that are equal
    fields = (strict_json.text(f, f"{where}.fields") for f in _each(given.get("fields", []), f"{where}.fields"))
    return _type(given["type"], f"{where}.type"), tuple(once.setdefault(field, field) for field in fields)


def _type(value: object, where: str) -> TensorType:
    """A TensorType by its name or its number."""
    if type(value) is str and value in TensorType.__members__:
        return TensorType[value]
    try:
        return TensorType(strict_json.ordinal(value, where))
    except ValueError:
        raise malformed(
            f"{where}: {value!r} is not a tensor type; they are {', '.join(TensorType.__members__)}"
        ) from None


def datum(value: object, number: int) -> list[Tensor]:
    """The tensors of a parsed record, in which long lists may be unread; raises Malformed, or InvalidInput."""
    where = f"datum[{number}]"
    tensors = _each(members(value, _DATUM, where).get("tensors", []), f"{where}.tensors")
    return [_tensor(tensor, f"{where}.tensors[{i}]", number) for i, tensor in enumerate(tensors)]


def _each(value: object, where: str) -> Iterable[Any]:
    return value.elements() if isinstance(value, LongList) else strict_json.items(value, where)


def _tensor(value: object, where: str, number: int) -> Tensor:
    given = members(value, TENSOR_KEYS, where)
    key = next((key for key in TENSOR_KEYS if key in given), None)
    if key is None:
        raise InvalidInput(f"{where} holds no data")
    kind = TENSOR_KEYS[key]
    where = f"{where}.{key}"
    data = members(given[key], _DATA, where)
    for name in _DATA[1:]:
        if name in data and _type(data[name], f"{where}.{name}") is not kind:
            raise InvalidInput(f"{where}: its tensorType is {data[name]!r}")
    values = data.get("data", [])
    if isinstance(values, LongList):
        return kind, cast(Sequence[Any], _array(kind, values, where, number))
    return kind, _values(kind, strict_json.items(values, f"{where}.data"), where, 0)


def _values(kind: TensorType, values: list[Any], where: str, first: int) -> list[Any]:
    plain, read = _VALUES[kind]
    if plain.issuperset(map(type, values)):
        return values
    return [read(v, f"{where}.data[{first + i}]") for i, v in enumerate(values)]


def _array(kind: TensorType, values: LongList, where: str, number: int) -> npt.NDArray[Any]:
    """A long list, a piece at a time."""
    made: Growing | None = None
    count = 0
    for first, end in values.pieces():
        some = _some(kind, values, first, end, where, count)
        piece = Column(kind, ("",), array(kind, some, number, count))
        if made is None:
            made = Growing(piece)
        else:
            made.add(piece)
        count += len(some)
    assert made is not None  # for it is long
    return made.column().data


def _some(
    kind: TensorType, values: LongList, first: int, end: int, where: str, count: int
) -> list[Any] | npt.NDArray[Any]:
    document = values.document
    if end - first > LONG:
        return _values(kind, [document.opened(first, end, values.level + 1)], where, count)
    column = numbers(b"".join((b"[", document.body[first:end], b"]")))
    if column is not None and column.data.ndim == 1 and _is(kind, column):
        return column.data
    return _values(kind, document.some(first, end), where, count)


def _is(kind: TensorType, column: Column) -> bool:
    """Whether numbers from JSON are values of that kind without a look at each of them."""
    _, read = _VALUES[kind]
    if read is strict_json.number:
        return True
    return read is strict_json.integer and column.type is TensorType.Int64 and kind is not TensorType.UInt64
