"""Protobuf messages from strict JSON, driven by their descriptors.

``google.protobuf.json_format`` prints our messages exactly, but reads too much: ``true`` for a number, ``""`` for an
object, ``"1_0"``, broken base64, bare ``NaN``, missing required fields; and it refuses two members of a oneof, where
the original takes the one of the lowest number. Hence this reader; json_format is the oracle of its tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from forestflow.codecs.json import strict as strict_json
from forestflow.codecs.json.strict import malformed
from forestflow.domain.errors import Malformed

M = TypeVar("M", bound=Message)

# The first double that rounds to no finite float. The largest float, printed with its shortest digits, lies just below.
_FLOAT_LIMIT = float(2**128 - 2**103)
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31, "an int32"),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63, "an int64"),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32, "a uint32"),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64, "a uint64"),
}
MAX_TEXT = 8192  # characters of a name, path, line or tag that a request of the control API gives
_FLOATING = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)


def parse(body: bytes | memoryview, message: M) -> M:
    """Fill ``message`` from a client's JSON document; raises :class:`~forestflow.domain.errors.Malformed`."""
    return bounded(read(strict_json.loads(body), message))


def read(document: object, message: M) -> M:
    """Fill ``message`` from parsed JSON; raises Malformed, also for required fields that are missing."""
    _fill(message, document, message.DESCRIPTOR.name)
    if not message.IsInitialized():
        missing: list[str] = message.FindInitializationErrors()  # type: ignore[attr-defined]  # not in types-protobuf
        raise malformed(f"required fields are missing: {', '.join(missing)}")
    return message


def bounded(message: M) -> M:
    """The message, if no text in it is longer than ``MAX_TEXT``: what a client gives is stored, and sent to others.

    Raises Malformed. The journal's own entries are read without this bound, which older ones did not have.
    """
    field: Any
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            parts = [*value.keys(), *value.values()]
        else:
            parts = value if field.is_repeated else [value]
        for part in parts:
            if isinstance(part, Message):
                bounded(part)
            elif isinstance(part, str) and len(part) > MAX_TEXT:
                raise malformed(f"{field.json_name}: {len(part)} characters; at most {MAX_TEXT} are allowed")
    return message


def to_document(message: Message) -> dict[str, Any]:
    """The JSON of a message as plain values, in declaration order; unset and empty fields are left out."""
    return MessageToDict(message)


def _fill(message: Message, value: object, where: str) -> None:
    descriptors: Sequence[Any] = message.DESCRIPTOR.fields
    fields: dict[str, FieldDescriptor] = {f.name: f for f in descriptors} | {f.json_name: f for f in descriptors}
    given: dict[int, tuple[FieldDescriptor, Any]] = {}
    for name, member in strict_json.members(value, fields, where).items():
        field = fields[name]
        if field.number in given:
            raise malformed(f"{where}: field {field.json_name!r} is given twice")
        given[field.number] = field, member
    decided: set[str] = set()
    for _, (field, member) in sorted(given.items()):
        if field.containing_oneof is not None:
            if field.containing_oneof.name in decided:
                continue
            decided.add(field.containing_oneof.name)
        _set(message, field, member, f"{where}.{field.json_name}")


def _set(message: Message, field: FieldDescriptor, value: Any, where: str) -> None:
    target = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if type(value) is not dict:
            raise strict_json.expected("an object", value, where)
        value_field = field.message_type.fields_by_name["value"]
        for key, member in value.items():  # all our maps have string keys
            if value_field.message_type is not None:
                _fill(target[key], member, f"{where}[{key!r}]")
            else:
                target[key] = _scalar(value_field, member, f"{where}[{key!r}]")
    elif field.is_repeated:
        for i, member in enumerate(strict_json.items(value, where)):
            if field.message_type is not None:
                _fill(target.add(), member, f"{where}[{i}]")
            else:
                target.append(_scalar(field, member, f"{where}[{i}]"))
    elif field.message_type is not None:
        target.SetInParent()
        _fill(target, value, where)
    else:
        setattr(message, field.name, _scalar(field, value, where))


def _scalar(field: FieldDescriptor, value: object, where: str) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return (strict_json.blob if field.type == FieldDescriptor.TYPE_BYTES else strict_json.text)(value, where)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return strict_json.boolean(value, where)
    if field.cpp_type in _FLOATING:
        number = strict_json.number(value, where)
        if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT and _FLOAT_LIMIT <= abs(number) < float("inf"):
            raise malformed(f"{where}: {number} is not in the range of a float")
        return number
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return _enum_number(field, value, where)
    integer = strict_json.integer(value, where)
    first, over, name = _RANGES[field.cpp_type]
    if not first <= integer < over:
        raise malformed(f"{where}: {integer} is not in the range of {name}")
    return integer


def _enum_number(field: FieldDescriptor, value: object, where: str) -> int:
    enum = field.enum_type
    assert enum is not None
    if type(value) is str:
        for name in (value, value.upper()):
            if name in enum.values_by_name:
                return enum.values_by_name[name].number
    names = ", ".join(enum.values_by_name)
    try:
        number = strict_json.ordinal(value, where)
    except Malformed:
        raise malformed(f"{where}: {value!r} is none of {names}") from None
    if all(number != known.number for known in enum.values):  # values_by_number takes numbers modulo 2**32
        raise malformed(f"{where}: {number} is none of {names}")
    return number
