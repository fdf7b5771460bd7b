"""The JSON of an InferenceRequest, read with all of protobuf's leniency and located errors.

``basic`` reads typical bodies faster; this is where every other body ends, the wrong ones included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from forestflow.codecs import strict_json
from forestflow.codecs.columns import Schema, Tensor
from forestflow.codecs.packed import Packed
from forestflow.codecs.strict_json import malformed, members
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

_PACKED_FLOATS = frozenset({TensorType.Int64, TensorType.UInt64, TensorType.Float64})
_PACKED_AS: dict[TensorType, frozenset[TensorType]] = {
    **{kind: _PACKED_FLOATS for kind, reader in _VALUES.items() if reader is _FLOATS},
    **{kind: frozenset({TensorType.Int64}) for kind, reader in _VALUES.items() if reader is _INTEGERS},
    TensorType.UInt64: frozenset({TensorType.Int64, TensorType.UInt64}),
    TensorType.Bool: frozenset({TensorType.Bool}),
}


def _is(kind: TensorType, column: Column) -> bool:
    """Whether numbers or booleans from JSON are values of that kind without a look at each of them."""
    if column.type not in _PACKED_AS.get(kind, ()):
        return False
    signed = kind is TensorType.UInt64 and column.type is TensorType.Int64
    return not signed or bool(column.data.min(initial=0) >= 0)


def parse(body: bytes | memoryview) -> tuple[Schema, list[list[Tensor]], dict[str, str]]:
    """Schema, datums and configs of a request; raises Malformed, or InvalidInput for a tensor that holds nothing."""
    document = strict_json.loads(body)
    request = members(document, _REQUEST, "request")
    schema, configs = head(document)
    datums = [datum(one, f"datum[{i}]") for i, one in enumerate(strict_json.items(request.get("datum", []), "datum"))]
    return schema, datums, configs


def head(document: object) -> tuple[Schema, dict[str, str]]:
    """Schema and configs of a parsed request; raises Malformed."""
    request = members(document, _REQUEST, "request")
    schema = [
        _entry(entry, f"schema[{i}]") for i, entry in enumerate(strict_json.items(request.get("schema", []), "schema"))
    ]
    configs = request.get("configs", {})
    if type(configs) is not dict:
        raise strict_json.expected("an object", configs, "configs")
    return schema, {key: strict_json.text(value, f"configs[{key!r}]") for key, value in configs.items()}


def _entry(value: object, where: str) -> tuple[TensorType, tuple[str, ...]]:
    given = members(value, _ENTRY, where)
    if "type" not in given:
        raise malformed(f"{where}: required field 'type' is missing")
    fields = strict_json.items(given.get("fields", []), f"{where}.fields")
    return _type(given["type"], f"{where}.type"), tuple(strict_json.text(f, f"{where}.fields") for f in fields)


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


def datum(value: object, where: str) -> list[Tensor]:
    """The tensors of a parsed record, whose long lists may be packed; raises Malformed, or InvalidInput."""
    tensors = strict_json.items(members(value, _DATUM, where).get("tensors", []), f"{where}.tensors")
    return [_tensor(tensor, f"{where}.tensors[{i}]") for i, tensor in enumerate(tensors)]


def _tensor(value: object, where: str) -> Tensor:
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
    packed = data.get("data")
    if isinstance(packed, Packed):
        if _is(kind, packed.column):
            return kind, cast(Sequence[Any], packed.column.data)
        data["data"] = packed.column.data.tolist()
    values = strict_json.items(data.get("data", []), f"{where}.data")
    plain, read = _VALUES[kind]
    if not plain.issuperset(map(type, values)):
        values = [read(v, f"{where}.data[{i}]") for i, v in enumerate(values)]
    return kind, values
