"""ForestFlow's BASIC protocol: JSON records in, a JSON prediction out. This is the hot path.

A body is decoded in two steps, both in C: first its schema, with the datums left as raw bytes; then the datums,
against a type made for the tensor types that the schema announces. A long body of doubles is read as numbers
(``float_rows``), any other long body once: its schema is looked up before its datums, and must be the one that is
found. In a body read either way every datum holds exactly one tensor per entry, in the schema's order; any other body,
right or wrong, goes to ``inference_json``, which takes up to five times as long per row.

Measured (CPython 3.11, one core): a body of 2 x 4 doubles 5.1 us, 10,000 x 5 doubles 0.9 us a row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import GenericAlias
from typing import Any

import msgspec

from forestflow.codecs import inference_json, strict_json
from forestflow.codecs.columns import assemble, column
from forestflow.codecs.float_rows import decode_floats
from forestflow.codecs.prediction_json import PredictionEncoder
from forestflow.codecs.request import ScoreRequest
from forestflow.domain.errors import ForestFlowError, Malformed
from forestflow.domain.ids import Fqrv
from forestflow.domain.tensors import Batch, TensorType

__all__ = [
    "MAX_FAST", "BasicCodec", "PredictionEncoder", "decode_configs", "decode_head", "decode_lanes", "decode_request",
    "encode_prediction",
]  # fmt: skip

LONG_BODY = 1 << 16  # bytes from which skipping over the datums first is worth avoiding
MAX_HEAD = 1 << 14  # bytes before the datums of such a body

MAX_FAST = 64  # making the type of a longer schema costs more than it saves


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    fields: list[str] = []


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    schema: list[_Entry]
    datum: msgspec.Raw
    configs: dict[str, str] = {}


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


@lru_cache(maxsize=256)
def _whole_decoder(kinds: tuple[TensorType, ...]) -> Callable[[bytes | memoryview], Any]:
    """Decoder of requests whose datums hold one tensor of each of ``kinds``, in this order."""
    datums: Any = GenericAlias(list, _strict("Datum", "tensors", GenericAlias(tuple, tuple(_PLAIN[k] for k in kinds))))
    members: Any = [("schema", list[_Entry]), ("datum", datums), ("configs", dict[str, str], {})]
    return msgspec.json.Decoder(msgspec.defstruct("Request", members, forbid_unknown_fields=True)).decode


def decode_request(body: bytes | memoryview) -> ScoreRequest:
    """An InferenceRequest as one column per schema entry that has data.

    Raises :class:`~forestflow.domain.errors.Malformed` if the bytes are not one, and
    :class:`~forestflow.domain.errors.InvalidInput` if its datums do not fit its schema.
    """
    if len(body) >= LONG_BODY:
        whole = decode_floats(bytes(body), _decode_in_two) or _decode_at_once(body)
        if whole is not None:
            return whole
    return _decode_in_two(body)


def _decode_in_two(body: bytes | memoryview) -> ScoreRequest:
    try:
        request = decode_head(body)
        schema = [(_KINDS[entry.type], tuple(entry.fields)) for entry in request.schema]
        kinds = tuple([kind for kind, _ in schema])
        lanes = decode_lanes(kinds, request.datum) if len(kinds) <= MAX_FAST else []
    except (ValueError, KeyError, RecursionError, Malformed):  # msgspec's errors are ValueErrors, as is invalid UTF-8
        lanes = []
    if not lanes or not lanes[0]:
        return _decode_any(body)
    columns = tuple([column(kind, fields, lane) for (kind, fields), lane in zip(schema, lanes, strict=True)])
    return ScoreRequest(Batch(len(lanes[0]), columns), request.configs)


def _decode_at_once(body: bytes | memoryview) -> ScoreRequest | None:
    """A body whose schema stands before its datums, in one pass; ``None`` for any other."""
    head = bytes(body[:MAX_HEAD])
    end = head.find(b'"datum"')
    try:
        expected = decode_head(head[: max(0, end)] + b'"datum":[]}').schema
        kinds = tuple([_KINDS[entry.type] for entry in expected])
        if not 0 < len(kinds) <= MAX_FAST:
            return None
        request = _whole_decoder(kinds)(body)
        if request.schema != expected or not request.datum:
            return None
        lanes = [[row.tensors[i].values.data for row in request.datum] for i in range(len(kinds))]
    except (ValueError, KeyError, RecursionError):  # msgspec's errors are ValueErrors, as is invalid UTF-8
        return None
    columns = [
        column(kind, tuple(entry.fields), lane) for kind, entry, lane in zip(kinds, expected, lanes, strict=True)
    ]
    return ScoreRequest(Batch(len(lanes[0]), tuple(columns)), request.configs)


def decode_configs(body: bytes | memoryview) -> dict[str, str]:
    """The configs of an InferenceRequest, its datums unread where possible; raises Malformed or InvalidInput."""
    try:
        return decode_head(body).configs
    except (ValueError, RecursionError):
        return inference_json.parse(body)[2]


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


def encode_prediction(fqrv: Fqrv, batch: Batch) -> bytes:
    """The ``Prediction`` of ``fqrv``; who encodes many keeps a :class:`PredictionEncoder`."""
    return PredictionEncoder(fqrv).encode(batch)


class BasicCodec:
    """BASIC for one release (:class:`forestflow.codecs.table.Codec`)."""

    def __init__(self, fqrv: Fqrv) -> None:
        self._fqrv = fqrv
        self.decode = decode_request
        encoder = PredictionEncoder(fqrv)
        self.encode = encoder.encode
        self.encode_records = encoder.encode_records

    def encode_error(self, error: ForestFlowError, request_id: str) -> bytes:
        from forestflow.codecs.control import error as encode  # loads protobuf, which no successful request needs

        return encode(error, self._fqrv, request_id)
