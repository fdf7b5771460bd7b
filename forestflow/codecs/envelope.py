"""A protocol's body with what its path and headers said, as one payload: replicas read nothing but payloads.

``u32 length of the head, head in MessagePack, body``. Answers that need headers of their own come the same way.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import msgspec

from forestflow.domain.errors import Malformed

_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


def pack(head: Mapping[str, Any], body: bytes | memoryview) -> bytes:
    """``head`` holds what MessagePack can: text, numbers, bytes, lists, maps, ``None``."""
    packed = _encode(head)
    return b"".join((_LENGTH.pack(len(packed)), packed, body))


def unpack(payload: bytes | memoryview) -> tuple[dict[str, Any], memoryview]:
    """The head, and the body as a view of the same memory. Raises Malformed."""
    view = memoryview(payload)
    try:
        (length,) = _LENGTH.unpack_from(view)
        start = _LENGTH.size + length
        if start > len(view):
            raise ValueError("it ends early")
        return _decode(view[_LENGTH.size : start]), view[start:]
    except (struct.error, ValueError) as error:
        raise Malformed(f"not an envelope: {error}") from None
