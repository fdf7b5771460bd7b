"""A BASIC request as a whole: how one that is not long is read.

A body is decoded in two steps, both in C: first its schema, with the datums left as raw bytes; then the datums,
against a type made for the tensor types that the schema announces. So every datum holds exactly one tensor per entry,
in the schema's order; any other body, right or wrong, goes to ``inference_json``, which takes up to five times as long
per row. So does one whose text has more members than were read: a name comes twice.

Measured (CPython 3.11, one core): a body of 2 x 4 doubles 5.1 us.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import GenericAlias
from typing import Any

import msgspec

from forestflow.codecs.json import inference_json
from forestflow.codecs.json import strict as strict_json
from forestflow.codecs.json.columns import assemble, column
from forestflow.codecs.request import ScoreRequest
from forestflow.domain.errors import Malformed
from forestflow.domain.tensors import Batch, TensorType
from forestflow.domain.unique_keys import has_all

MAX_FAST = 64  # making the type of a longer schema costs more than it saves


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    fields: list[str] = []


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    schema: list[_Entry]
    datum: msgspec.Raw
    configs: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


decode_head = msgspec.json.Decoder(_Request).decode

_ELEMENTS: dict[TensorType, Any] = {
    TensorType.String: str,
    TensorType.Int8: int,
    TensorType.Int16: int,
    TensorType.Int32: int,
    TensorType.Int64: int,
    TensorType.Float16: float,
    TensorType.Float32: float,
    TensorType.Float64: float,
    TensorType.Bool: bool,
    TensorType.Bytes: bytes,
    TensorType.UInt8: int,
    TensorType.UInt16: int,
    TensorType.UInt32: int,
    TensorType.UInt64: int,
}
# Numbers may come as strings: protobuf's own printers write int64 so, and every float that is not finite.
_READERS: dict[type, Callable[[Any], Any]] = {
    int: lambda value: value if type(value) is int else strict_json.integer(value, ""),
    float: lambda value: value if type(value) is float else strict_json.number(value, ""),
}


def _strict(name: str, field: str, type_: Any, key: str | None = None) -> Any:
    """A struct whose JSON has exactly one member; gc=False because trees of them hold no cycles."""
    rename = {field: key} if key else None
    return msgspec.defstruct(name, [(field, type_)], rename=rename, forbid_unknown_fields=True, gc=False)


def _tensor(key: str, element: Any) -> Any:
    return _strict(f"{key}Tensor", "values", _strict(f"{key}Data", "data", GenericAlias(list, element)), key)


_KINDS = TensorType.__members__
_PLAIN = {kind: _tensor(key, _ELEMENTS[kind]) for key, kind in inference_json.TENSOR_KEYS.items()}
_OR_TEXT = _PLAIN | {
    kind: _tensor(key, _ELEMENTS[kind] | str)
    for key, kind in inference_json.TENSOR_KEYS.items()
    if _ELEMENTS[kind] in _READERS
}


@lru_cache(maxsize=256)
def _datum_decoder(kinds: tuple[TensorType, ...], or_text: bool = False) -> Callable[[msgspec.Raw | bytes], list[Any]]:
    """Decoder of datums that hold one tensor of each of ``kinds``, in this order."""
    choice = _OR_TEXT if or_text else _PLAIN
    tensors = GenericAlias(tuple, tuple(choice[kind] for kind in kinds))
    datums: Any = GenericAlias(list, _strict("Datum", "tensors", tensors))
    return msgspec.json.Decoder(datums).decode


def decode_body(body: bytes | memoryview) -> ScoreRequest:
    """An InferenceRequest as one column per schema entry that has data. Raises Malformed or InvalidInput."""
    try:
        request = decode_head(body)
        schema = [(_KINDS[entry.type], tuple(entry.fields)) for entry in request.schema]
        kinds = tuple([kind for kind, _ in schema])
        lanes = decode_lanes(kinds, request.datum) if len(kinds) <= MAX_FAST else []
    except (ValueError, KeyError, RecursionError, Malformed):  # msgspec's errors are ValueErrors, as is invalid UTF-8
        lanes = []
    if not lanes or not lanes[0]:
        return _decode_any(body)
    rows, configs = len(lanes[0]), request.configs
    members = 2 + 2 * len(kinds) + rows * (1 + 2 * len(kinds))  # as members_of_datums counts those of datums
    if configs is msgspec.UNSET:
        configs = {}
    else:
        members += 1 + len(configs)
    for _, fields in schema:
        if not fields:
            members -= 1
    if not has_all(body, members):
        return _decode_any(body)
    columns = tuple([column(kind, fields, lane) for (kind, fields), lane in zip(schema, lanes, strict=True)])
    return ScoreRequest(Batch(rows, columns), configs)


def members_of_datums(rows: int, tensors: int) -> int:
    """How many members the objects of datums have that ``decode_lanes`` reads."""
    return rows * (1 + 2 * tensors)


def decode_configs(body: bytes | memoryview) -> dict[str, str]:
    """The configs of an InferenceRequest, its datums unread where possible; raises Malformed or InvalidInput."""
    try:
        configs = decode_head(body).configs
    except (ValueError, RecursionError):
        return inference_json.parse(body)[2]
    return {} if configs is msgspec.UNSET else configs


def decode_lanes(kinds: tuple[TensorType, ...], datums: msgspec.Raw | bytes) -> list[list[list[Any]]]:
    """Per tensor position, the values of each datum; raises ValueError or Malformed."""
    try:
        rows = _datum_decoder(kinds)(datums)
        return [[row.tensors[i].values.data for row in rows] for i in range(len(kinds))]
    except msgspec.ValidationError:
        rows = _datum_decoder(kinds, or_text=True)(datums)
    lanes = [[row.tensors[i].values.data for row in rows] for i in range(len(kinds))]
    for i, kind in enumerate(kinds):
        read = _READERS.get(_ELEMENTS[kind])
        if read is not None:
            lanes[i] = [list(map(read, values)) for values in lanes[i]]
    return lanes


def _decode_any(body: bytes | memoryview) -> ScoreRequest:
    schema, datums, configs = inference_json.parse(body)
    return ScoreRequest(assemble(schema, datums), configs)
