"""JSON Schemas of our messages, made from their descriptors, so that OpenAPI shows what the codecs read and write.

Messages never contain themselves, so every schema is written out in full, without references.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from forestflow._gen import (
    events_pb2,
    inference_pb2,
    plans_pb2,
    responses_pb2,
    servable_pb2,
    serve_request_pb2,
    settings_pb2,
)

Schema = dict[str, Any]

_FILES = (responses_pb2, servable_pb2, serve_request_pb2, settings_pb2, inference_pb2, events_pb2, plans_pb2)
_NEVER_PRINTED = "StatusCode"
_SCALARS: dict[int, Schema] = {
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    FieldDescriptor.CPPTYPE_INT64: {"type": ["string", "integer"], "format": "int64", "pattern": "^-?[0-9]+$"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "format": "uint32", "minimum": 0, "maximum": 2**32 - 1},
    FieldDescriptor.CPPTYPE_UINT64: {"type": ["string", "integer"], "format": "uint64", "pattern": "^[0-9]+$"},
    FieldDescriptor.CPPTYPE_FLOAT: {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]},
    FieldDescriptor.CPPTYPE_DOUBLE: {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]},
}


def json_schema(name: str) -> Schema:
    """The schema of a message or document by its name, e.g. ``ContractSettings``. Raises KeyError for other names."""
    documents = {"History": _history, "PlanAt": _plan_at}
    return documents[name]() if name in documents else _message(_descriptor(name))


def reply_schema(*names: str) -> Schema:
    """The schema of a reply: an object whose one key is one of ``names`` and holds that message."""
    replies = [
        {"type": "object", "properties": {name: json_schema(name)}, "required": [name], "additionalProperties": False}
        for name in names
    ]
    return replies[0] if len(replies) == 1 else {"anyOf": replies}


def error_schema() -> Schema:
    """The schema of an error that the original has no reply for."""
    texts: Schema = {name: {"type": "string"} for name in ("code", "message", "requestId")}
    inner = {"type": "object", "properties": texts, "required": list(texts), "additionalProperties": False}
    return {"type": "object", "properties": {"error": inner}, "required": ["error"], "additionalProperties": False}


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    properties = required | (optional or {})
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _entry() -> Schema:
    """An entry of a history; its detail is as the journal has it, by the kind of the event."""
    text, whole = {"type": "string"}, _SCALARS[FieldDescriptor.CPPTYPE_INT64]
    return _object({"seq": whole, "atMS": whole, "kind": text, "detail": {"type": "object"}}, {"release": text})


def _history() -> Schema:
    return _object({"contract": json_schema("Contract"), "entries": {"type": "array", "items": _entry()}})


def _plan_at() -> Schema:
    return _object({"plan": json_schema("PlanExplanation"), "cause": _entry()})


def _descriptor(name: str) -> Descriptor:
    for file in _FILES:
        for dependency in (file.DESCRIPTOR, *file.DESCRIPTOR.dependencies):
            found: Descriptor | None = dependency.message_types_by_name.get(name)
            if found is not None:
                return found
    raise KeyError(name)


def _message(descriptor: Descriptor) -> Schema:
    fields: Sequence[Any] = [field for field in descriptor.fields if field.name != _NEVER_PRINTED]
    schema: Schema = {"type": "object", "properties": {f.json_name: _field(f) for f in fields}}
    required = [field.json_name for field in fields if field.is_required]
    if required:
        schema["required"] = required
    if descriptor.oneofs:  # a shim: one of its members is given
        schema |= {"minProperties": 1, "maxProperties": 1}
    return schema | {"additionalProperties": False}


def _field(field: FieldDescriptor) -> Schema:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _value(field.message_type.fields_by_name["value"])}
    if field.is_repeated:
        return {"type": "array", "items": _value(field)}
    return _value(field)


def _value(field: Any) -> Schema:
    if field.message_type is not None:
        return _message(field.message_type)
    default = field.default_value
    if field.enum_type is not None:
        schema = {"type": "string", "enum": [value.name for value in field.enum_type.values]}
        default = field.enum_type.values_by_number[default].name if field.has_default_value else None
    elif field.type == FieldDescriptor.TYPE_BYTES:
        schema = {"type": "string", "contentEncoding": "base64"}
    else:
        schema = dict(_SCALARS[field.cpp_type])
    return schema | {"default": default} if field.has_default_value else schema
