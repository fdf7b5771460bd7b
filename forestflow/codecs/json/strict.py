"""JSON as Protocol Buffers write it, read strictly: what every JSON codec here agrees on.

orjson refuses what is not JSON (``NaN`` literals, invalid UTF-8, lone surrogates, endless nesting, trailing bytes), but
takes the last of two members with one name, which are refused here, as protobuf's own readers do. The functions below
turn values of the parsed document into what a field of a message holds, with protobuf's leniency (numbers as strings,
URL-safe or unpadded base64) and no more than that. They all raise :class:`~forestflow.domain.errors.Malformed`;
``where`` names the value in the message.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from typing import Any

import orjson

from forestflow.domain.errors import Malformed
from forestflow.domain.unique_keys import repeated

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]{1,40}")
_NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_URL_SAFE = str.maketrans("-_", "+/")
_NAMES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def malformed(detail: str) -> Malformed:
    """The error of a body that is not what its protocol says, in the original's words."""
    return Malformed(f"The request content was malformed:\n{detail}")


def loads(body: bytes | memoryview) -> Any:
    """Parse one JSON document."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(str(error)) from None
    if twice := repeated(body, document):
        raise malformed(twice)
    return document


def expected(what: str, value: object, where: str) -> Malformed:
    return malformed(
        f"{where}: expected {what}, got {_NAMES.get(type(value), 'null' if value is None else 'an array')}"
    )


def members(value: object, known: Collection[str], where: str) -> dict[str, Any]:
    """The members of an object that are not null; those not ``known`` are refused."""
    if type(value) is not dict:
        raise expected("an object", value, where)
    for name in value:
        if name not in known:
            raise malformed(f"{where}: unknown field {name!r}; known are {', '.join(known)}")
    return {name: member for name, member in value.items() if member is not None}


def items(value: object, where: str) -> list[Any]:
    if type(value) is not list:
        raise expected("an array", value, where)
    return value


def text(value: object, where: str) -> str:
    if type(value) is not str:
        raise expected("a string", value, where)
    return value


def boolean(value: object, where: str) -> bool:
    if type(value) is not bool:
        raise expected("true or false", value, where)
    return value


def number(value: object, where: str) -> float:
    """A double: a number, a number in a string, or one of ``"NaN"``, ``"Infinity"``, ``"-Infinity"``."""
    if type(value) is float or type(value) is int:
        return float(value)
    if type(value) is str:
        if value in _NON_FINITE:
            return _NON_FINITE[value]
        if len(value) < 1000 and _NUMBER.fullmatch(value):
            parsed = float(value)
            if parsed not in (float("inf"), float("-inf")):
                return parsed
        raise malformed(f"{where}: {value[:40]!r} is not a number")
    raise expected("a number", value, where)


def integer(value: object, where: str) -> int:
    """A whole number of any size: as a number (``3``, ``3.0``, ``3e0``) or a string of one."""
    if type(value) is int:
        return value
    if type(value) is str and _INTEGER.fullmatch(value):
        return int(value)
    parsed = number(value, where)
    if not parsed.is_integer():
        raise malformed(f"{where}: {parsed} is not a whole number")
    return int(parsed)


def ordinal(value: object, where: str) -> int:
    """The number of an enum's value: a whole number, or a string of its digits."""
    if type(value) is str and not _INTEGER.fullmatch(value):
        raise malformed(f"{where}: {value[:40]!r} is neither a name nor a number of the enum")
    return integer(value, where)


def blob(value: object, where: str) -> bytes:
    """Bytes from base64: standard or URL-safe, padded or not."""
    encoded = text(value, where).translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise malformed(f"{where}: not base64") from None
