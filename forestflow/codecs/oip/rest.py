"""The Open Inference Protocol v2 over HTTP: JSON, and JSON followed by raw tensors (the binary extension).

What is before and what is behind the JSON is told by ``Inference-Header-Content-Length``, so payloads are envelopes:
``{"json": bytes of JSON or None, "model": name, "version": version or None}`` and the body; answers ``{"json": …}``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import orjson

from forestflow.codecs import envelope
from forestflow.codecs.json import nested, packed
from forestflow.codecs.json.columns import in_place
from forestflow.codecs.json.long_json import LONG
from forestflow.codecs.oip.tensors import (
    NAMES,
    Array,
    batch_of,
    blob_of,
    from_raw,
    name_of,
    shaped,
    to_raw,
    type_of,
)
from forestflow.codecs.request import ScoreRequest
from forestflow.codecs.shapes import Room
from forestflow.domain.errors import ForestFlowError, InvalidInput, Malformed, ModelFailed
from forestflow.domain.ids import Fqrv
from forestflow.domain.requests import OUTPUTS_KEY
from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType
from forestflow.domain.unique_keys import count_members, has_all

_BINARY_SIZE = "binary_data_size"
_BINARY = "binary_data"
_BINARY_OUTPUT = "binary_data_output"
_MAX_INPUTS = 10_000
_FLOATS = frozenset({"FP16", "FP32", "FP64"})


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: Any = None


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[_Output] = []


# Unlike orjson it leaves NaN, infinities and integers of any size what they are, for the model's reader to judge.
_spelled = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_decode = msgspec.json.Decoder(_Request).decode


@dataclass(slots=True, eq=False)
class Answering:
    """What a request says of its answer: the model as it was addressed, its id, which outputs are raw."""

    model: str
    version: str | None
    id: str | None
    binary: bool = False
    outputs: dict[str, bool] = field(default_factory=dict)


def decode(payload: bytes) -> ScoreRequest:
    """Raises Malformed for what is not the protocol, InvalidInput for tensors that contradict themselves."""
    head, body = envelope.unpack(payload)
    length = head.get("json")
    if length is not None and length > len(body):
        raise Malformed(f"Inference-Header-Content-Length is {length}, the body has {len(body)} bytes")
    text, rest = (body, body[:0]) if length is None else (body[:length], body[length:])
    request = _read(text)
    room = Room(len(body))
    columns, offset = [], 0
    for tensor in request.inputs:
        kind, shape = type_of(tensor.datatype, tensor.name), room.check(tensor.name, tensor.shape)
        size = tensor.parameters.get(_BINARY_SIZE)
        if size is None:
            kind, array = _from_json(tensor, kind, shape)
        elif type(size) is not int or size < 0 or tensor.data is not None:
            raise Malformed(f"input {tensor.name!r}: {_BINARY_SIZE} must be a size, and stand instead of data")
        elif offset + size > len(rest):
            raise Malformed(f"input {tensor.name!r} ends at byte {offset + size} of the {len(rest)} behind the JSON")
        else:
            array = from_raw(tensor.name, kind, rest[offset : offset + size], shape)
            offset += size
        columns.append(Column(kind, (tensor.name,), array))
    if offset != len(rest):
        raise Malformed(f"{len(rest) - offset} bytes behind the JSON belong to no input")
    configs = {key: _text(key, value) for key, value in request.parameters.items() if key != _BINARY_OUTPUT}
    if request.outputs:
        configs[OUTPUTS_KEY] = ",".join(output.name for output in request.outputs)
    binary = bool(request.parameters.get(_BINARY_OUTPUT))
    outputs = {output.name: bool(output.parameters.get(_BINARY, binary)) for output in request.outputs}
    context = Answering(head.get("model", ""), head.get("version"), request.id, binary, outputs)
    return ScoreRequest(batch_of(columns), configs, context)


def _read(text: memoryview) -> _Request:
    """Bare NaN and infinities, which JSON has not but NumPy's users send, among its numbers. Raises Malformed."""
    if len(text) <= LONG:
        try:
            request = _decode(text)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, as is invalid UTF-8
            pass
        else:
            if has_all(text, _members(request)):
                return request
    try:
        return msgspec.convert(
            packed.loads(text, few=_MAX_INPUTS) if len(text) > LONG else nested.loads(text), _Request
        )
    except (Malformed, msgspec.ValidationError) as error:
        raise Malformed(f"not an inference request: {error}") from None


def _members(request: _Request) -> int:
    """How many members the request's objects have, if it has none that the protocol does not name."""
    count = 1 + (request.id is not None) + _parameters(request)
    for tensor in request.inputs:
        count += 3 + (tensor.data is not None) + _parameters(tensor)
    if request.outputs:
        count += 1 + sum([1 + _parameters(output) for output in request.outputs])
    return count


def _parameters(part: _Request | _Input | _Output) -> int:
    return 1 + count_members(part.parameters) if part.parameters else 0


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return _spelled(value)
    except (TypeError, ValueError, RecursionError):  # a list too long to be read, digits without end, or too deep
        raise InvalidInput(f"parameter {name!r} is too large") from None


def _from_json(tensor: _Input, kind: TensorType, shape: tuple[int, ...]) -> tuple[TensorType, Array]:
    if tensor.data is None:
        raise InvalidInput(f"input {tensor.name!r} has no data")
    if packed.is_found(tensor.data):
        return _from_packed(tensor, packed.tensor(tensor.name, tensor.data), kind, shape)
    flat = _flat(tensor.data) if isinstance(tensor.data, list) else [tensor.data]
    return _column(tensor.name, tensor.datatype, kind, flat, shape)


def _from_packed(tensor: _Input, column: Column, kind: TensorType, shape: tuple[int, ...]) -> tuple[TensorType, Array]:
    """Return a long list, which is a tensor already, in the type that the request says."""
    flat = column.data.reshape(-1)
    if kind is TensorType.Bytes and column.type is TensorType.String:
        return TensorType.String, shaped(tensor.name, flat, shape)
    if kind is TensorType.Bytes:
        raise InvalidInput(f"input {tensor.name!r} is {tensor.datatype}; its data must be strings")
    wanted = _ALLOWED.get(tensor.datatype, _WHOLE)
    if column.type not in wanted:
        raise InvalidInput(f"input {tensor.name!r} is {tensor.datatype}; its data holds {_FOUND[column.type]}")
    if DTYPES[kind].kind in "iu" and flat.size:
        limits = np.iinfo(DTYPES[kind])
        if flat.min() < limits.min or flat.max() > limits.max:
            raise _too_large(tensor.name, tensor.datatype)
    infinite = _infinities(flat)
    array = in_place(flat, lambda some: some.astype(DTYPES[kind]), DTYPES[kind])
    if _infinities(array) > infinite:
        raise _too_large(tensor.name, tensor.datatype)
    return kind, shaped(tensor.name, array, shape)


def _infinities(array: Array) -> int:
    if array.dtype.kind != "f":
        return 0
    return sum(int(np.count_nonzero(np.isinf(array[i : i + _SOME]))) for i in range(0, len(array), _SOME))


_SOME = 1 << 14
_WHOLE = frozenset({TensorType.Int64, TensorType.UInt64})
_ALLOWED = {"BOOL": frozenset({TensorType.Bool})} | dict.fromkeys(_FLOATS, _WHOLE | {TensorType.Float64})
_FOUND = {
    TensorType.Bool: "booleans",
    TensorType.Int64: "numbers",
    TensorType.UInt64: "numbers",
    TensorType.Float64: "fractions",
    TensorType.String: "strings",
    TensorType.Bytes: "objects",
}


def _too_large(name: str, datatype: str) -> InvalidInput:
    return InvalidInput(f"input {name!r} holds a number that {datatype} cannot")


def _flat(data: list[Any]) -> list[Any]:
    """The elements of nested lists, row-major."""
    while data and isinstance(data[0], list):
        if not all(isinstance(part, list) for part in data):
            raise InvalidInput("data holds lists beside single elements")
        data = [element for part in data for element in part]
    return data


def _column(
    name: str, datatype: str, kind: TensorType, flat: list[Any], shape: tuple[int, ...]
) -> tuple[TensorType, Array]:
    found = set(map(type, flat))
    if kind is TensorType.Bytes:
        if not found <= {str}:
            raise InvalidInput(f"input {name!r} is {datatype}; its data must be strings")
        array = np.empty(len(flat), dtype=object)
        array[:] = flat
        return TensorType.String, shaped(name, array, shape)
    allowed: set[type] = {bool} if datatype == "BOOL" else {int, float} if datatype in _FLOATS else {int}
    if not found <= allowed:
        raise InvalidInput(f"input {name!r} is {datatype}; its data holds {_names(found - allowed)}")
    try:
        if datatype in _FLOATS:
            wide = np.array(flat, dtype=np.float64)
            with np.errstate(over="ignore"):
                array = wide.astype(DTYPES[kind])
            if (np.isinf(array) & np.isfinite(wide)).any():
                raise OverflowError
        else:
            array = np.array(flat, dtype=DTYPES[kind])
    except OverflowError:
        raise _too_large(name, datatype) from None
    return kind, shaped(name, array, shape)


def _names(types: set[type]) -> str:
    words = {str: "strings", float: "fractions", int: "numbers", bool: "booleans", type(None): "null", list: "lists"}
    return " and ".join(sorted(words.get(found, "objects") for found in types))


def encode(fqrv: Fqrv, batch: Batch, context: Answering) -> bytes:
    """The answer, enveloped; ``json`` is the length of its JSON where raw tensors follow, else ``None``."""
    outputs, raws = [], []
    for column in batch.tensors():
        name = name_of(column)
        output: dict[str, Any] = {"name": name, "datatype": NAMES[column.type], "shape": list(column.data.shape)}
        if context.outputs.get(name, context.binary):
            raw = to_raw(column)
            output["parameters"] = {_BINARY_SIZE: len(raw)}
            raws.append(raw)
        else:
            output["data"] = orjson.Fragment(_json(name, column))
        outputs.append(output)
    answer: dict[str, Any] = {
        "model_name": context.model or _model_name(fqrv),
        "model_version": context.version or fqrv.release_version,
        "outputs": outputs,
    }
    if context.id is not None:
        answer["id"] = context.id
    text = orjson.dumps(answer)
    return envelope.pack({"json": len(text) if raws else None}, b"".join((text, *raws)))


def _model_name(fqrv: Fqrv) -> str:
    contract = fqrv.contract
    return f"{contract.organization}.{contract.project}.{contract.contract_number}"


def _json(name: str, column: Column) -> bytes:
    """The elements as one flat JSON list; NaN and infinities bare, as NumPy's users read them."""
    flat = column.data.reshape(-1)
    if column.type not in (TensorType.String, TensorType.Bytes):
        return nested.numbers(column.type, flat)
    try:
        return orjson.dumps([blob_of(value).decode() for value in flat.tolist()])
    except UnicodeDecodeError:
        raise ModelFailed(f"output {name!r} is not text; ask for it as binary data") from None


class OipRestCodec:
    """:class:`forestflow.codecs.table.ClientCodec`."""

    def __init__(self, fqrv: Fqrv) -> None:
        self._fqrv = fqrv
        self.decode = decode

    def encode(self, batch: Batch, context: Any = None) -> bytes:
        return encode(self._fqrv, batch, context)

    def encode_records(
        self, batch: Batch, releases: Sequence[Fqrv], owners: Sequence[int], context: Any = None
    ) -> bytes:
        """As of one release: the protocol has no place for more; ``model_version`` is that of the first record."""
        return encode(releases[owners[0]], batch, context)

    def encode_error(self, error: ForestFlowError, request_id: str) -> bytes:
        """The error's message in UTF-8: the transport gives it its form."""
        return error.message.encode(errors="replace")
