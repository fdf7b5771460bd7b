"""Protobuf messages from a client's bytes, checked as far as their types say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from forestflow.api.grpc.errors import BadFields
from forestflow.domain.errors import Malformed

M = TypeVar("M", bound=Message)


def read(kind: type[M], message: bytes) -> M:
    """Raises Malformed; BadFields where required fields are missing or a string is not UTF-8."""
    name = kind.DESCRIPTOR.name
    try:
        parsed = kind.FromString(message)
    except DecodeError as error:
        raise Malformed(f"not a {name}: {error}") from None
    missing: list[str] = parsed.FindInitializationErrors()  # type: ignore[attr-defined]  # not in types-protobuf
    if missing:
        raise BadFields(missing, "is required", f"{name}: required fields are missing: {', '.join(missing)}")
    broken = list(_broken(parsed, ""))
    if broken:
        raise BadFields(broken, "is not UTF-8", f"{name}: not UTF-8: {', '.join(broken)}")
    return parsed


def _broken(message: Message, path: str) -> Iterator[str]:
    """The strings that are none: protobuf hands them out as bytes, and would fail on them later."""
    field: Any
    for field, value in message.ListFields():
        where = f"{path}{field.name}"
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            try:
                members = list(value.items())
            except UnicodeDecodeError:  # maps do not even hand them out
                yield where
                continue
            for key, member in members:
                if isinstance(member, Message):
                    yield from _broken(member, f"{where}.{key}.")
                elif _is_broken(field.message_type.fields_by_name["value"], member):
                    yield f"{where}.{key}"
        elif field.message_type is not None:
            for i, member in enumerate(value) if field.is_repeated else [(None, value)]:
                yield from _broken(member, f"{where}." if i is None else f"{where}[{i}].")
        elif any(_is_broken(field, member) for member in (value if field.is_repeated else [value])):
            yield where


def _is_broken(field: FieldDescriptor, value: object) -> bool:
    return field.type == FieldDescriptor.TYPE_STRING and isinstance(value, bytes)
