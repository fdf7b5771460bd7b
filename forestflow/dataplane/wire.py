"""Frames of the data plane between routers and replicas, on a Unix socket or TCP.

All integers are little-endian. Every frame is ``u32 length`` (of what follows) and a body that starts with its kind:

    HELLO     u8 kind, 16 bytes nonce                          replica -> router, first
    PROOF     u8 kind, 32 bytes HMAC, 16 bytes nonce           router -> replica
    WELCOME   u8 kind, 32 bytes HMAC, JSON                     replica -> router: {"servables": {fqrv: number}}
    REQUEST   u8 kind, u8 priority, u8 codec, u8 length of the request id, u32 servable, u64 id, u32 timeout in ms,
              request id, payload                              router -> replica
    REPLY     u8 kind, u8 code, u16 retry after in ms, u32 rows, u64 id, payload     replica -> router
              (with any code but EXHAUSTED the u16 is the length of unknown fields' names, which precede the payload)
    BACKLOG   u8 kind, u32 servable, u32 how many shadows may wait, from now on      router -> replica
    CANCEL    u8 kind, u64 id: nobody waits for that request any more                router -> replica

Both sides prove that they know the cluster's secret before the first request is read. ``id`` belongs to the
connection; a request names its servable by the number of WELCOME, so a process may host several.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import socket
import struct
from typing import cast

import numpy as np

HELLO, PROOF, WELCOME, REQUEST, REPLY, BACKLOG, CANCEL = range(1, 8)
HIGH, LOW = 0, 1
ALONE = 2  # as HIGH, but not merged with others: a replica was lost over it, or over one that it was merged with

NONCE_BYTES = 16
MAC_BYTES = 32
MAX_REQUEST_ID = 128
HANDSHAKE_MAX = 1 << 16
LONG_FRAME = 1 << 16
SEND_BUFFER = 1 << 22

LENGTH = struct.Struct("<I")
_REQUEST = struct.Struct("<IBBBBIQI")
_REPLY = struct.Struct("<IBBHIQ")
REQUEST_HEADER = _REQUEST.size - LENGTH.size
REPLY_HEADER = _REPLY.size - LENGTH.size
_REQUEST_BODY = struct.Struct("<BBBBIQI")
_REPLY_BODY = struct.Struct("<BBHIQ")
_BACKLOG_BODY = struct.Struct("<BII")
_CANCEL_BODY = struct.Struct("<BQ")


Frame = bytes | memoryview


class FrameError(Exception):
    """A peer sent what is not of the protocol: ``FrameError(message)``. The connection is closed."""


def widen(transport: asyncio.BaseTransport) -> None:
    """Let the kernel hold more of what a Unix socket sends, up to what the machine allows (net.core.wmem_max).

    Without room for several long frames, a replica receives the next one only while its model rests, and has nothing
    to merge: 64 x 784 floats a request, sixteen connections, 1,500 requests/s where 2,700 are possible.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family == socket.AF_UNIX:
        with contextlib.suppress(OSError):  # then as it was
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


class FrameReader:
    """Cuts a byte stream into frames. Keeps at most one incomplete frame, never more than ``max_frame`` bytes.

    A long frame is kept in the pieces in which it comes, and put together once.
    """

    __slots__ = ("_buffer", "_max_frame", "_missing", "_pieces")

    def __init__(self, max_frame: int) -> None:
        self._buffer = b""
        self._pieces: list[bytes] = []  # of a long frame
        self._missing = 0  # bytes of it
        self._max_frame = max_frame

    def feed(self, data: bytes) -> list[bytes]:
        """The frames (without their length) that ``data`` completes."""
        frames: list[bytes] = []
        offset = 0
        if self._missing:
            if len(data) < self._missing:
                self._pieces.append(data)
                self._missing -= len(data)
                return frames
            offset = self._missing
            frames.append(b"".join((*self._pieces, data[:offset])))
            self._pieces.clear()
            self._missing = 0
        elif self._buffer:
            data = self._buffer + data
            self._buffer = b""
        end = len(data)
        while end - offset >= 4:
            (length,) = LENGTH.unpack_from(data, offset)
            if length > self._max_frame:
                raise FrameError(f"a frame of {length} bytes is over the limit of {self._max_frame}")
            stop = offset + 4 + length
            if stop > end:
                if length >= LONG_FRAME:
                    self._begin_long(length, data[offset + 4 :])
                    return frames
                break
            frames.append(data[offset + 4 : stop])
            offset = stop
        self._buffer = data[offset:]
        return frames

    def _begin_long(self, length: int, piece: bytes) -> None:
        self._pieces.append(piece)
        self._missing = length - len(piece)


class InPlaceReader(FrameReader):
    """A frame reader for a protocol that lends its transport the memory: a long frame is received in place.

    Such a frame is a view; nothing else refers to its memory.
    """

    __slots__ = ("_filled", "_long", "_scratch")

    def __init__(self, max_frame: int) -> None:
        super().__init__(max_frame)
        self._scratch = memoryview(bytearray(LONG_FRAME))
        self._long: memoryview | None = None
        self._filled = 0

    def buffer(self) -> memoryview:
        """Where the next bytes go; never empty."""
        return self._scratch if self._long is None else self._long[self._filled :]

    def received(self, size: int) -> list[Frame]:
        """The frames that ``size`` bytes more in :meth:`buffer` complete."""
        if self._long is None:
            return cast(list[Frame], self.feed(bytes(self._scratch[:size])))
        self._filled += size
        if self._filled < len(self._long):
            return []
        frame, self._long = self._long, None
        return [frame]

    def _begin_long(self, length: int, piece: bytes) -> None:
        self._long = np.empty(length, np.uint8).data  # not cleared first, as a bytearray is
        self._long[: len(piece)] = piece
        self._filled = len(piece)


def hello(nonce: bytes) -> bytes:
    return LENGTH.pack(1 + len(nonce)) + bytes([HELLO]) + nonce


def proof(secret: bytes, peer_nonce: bytes, nonce: bytes) -> bytes:
    body = bytes([PROOF]) + mac(secret, b"router", peer_nonce) + nonce
    return LENGTH.pack(len(body)) + body


def welcome(secret: bytes, peer_nonce: bytes, payload: bytes) -> bytes:
    body = bytes([WELCOME]) + mac(secret, b"replica", peer_nonce) + payload
    return LENGTH.pack(len(body)) + body


def mac(secret: bytes, role: bytes, nonce: bytes) -> bytes:
    """What ``role`` answers to ``nonce``; the roles differ so that an answer cannot be played back."""
    return hmac.new(secret, role + nonce, hashlib.sha256).digest()


def check_mac(secret: bytes, role: bytes, nonce: bytes, answer: bytes) -> None:
    if not hmac.compare_digest(mac(secret, role, nonce), answer):
        raise FrameError("the peer does not know this cluster's secret")


def request(
    priority: int, codec: int, servable: int, number: int, timeout_ms: int, request_id: bytes, payload: bytes
) -> bytes:
    size = REQUEST_HEADER + len(request_id) + len(payload)
    head = _REQUEST.pack(size, REQUEST, priority, codec, len(request_id), servable, number, timeout_ms)
    return head + request_id + payload


def parse_request(frame: Frame) -> tuple[int, int, int, int, int, bytes, Frame]:
    """``(priority, codec, servable, number, timeout_ms, request_id, payload)``; the payload of a view is one, too."""
    _, priority, codec, id_length, servable, number, timeout_ms = _REQUEST_BODY.unpack_from(frame)
    start = REQUEST_HEADER + id_length
    return priority, codec, servable, number, timeout_ms, bytes(frame[REQUEST_HEADER:start]), frame[start:]


def backlog(servable: int, shadows: int) -> bytes:
    return LENGTH.pack(_BACKLOG_BODY.size) + _BACKLOG_BODY.pack(BACKLOG, servable, shadows)


def parse_backlog(frame: bytes) -> tuple[int, int]:
    """``(servable, shadows)``."""
    _, servable, shadows = _BACKLOG_BODY.unpack(frame)
    return servable, shadows


def cancel(number: int) -> bytes:
    return LENGTH.pack(_CANCEL_BODY.size) + _CANCEL_BODY.pack(CANCEL, number)


def parse_cancel(frame: Frame) -> int:
    """The number of the request."""
    number: int = _CANCEL_BODY.unpack(frame)[1]
    return number


def reply(code: int, number: int, payload: bytes, rows: int = 0, retry_after_ms: int = 0) -> bytes:
    return _REPLY.pack(REPLY_HEADER + len(payload), REPLY, code, retry_after_ms, rows, number) + payload


def reply_with(unknown_fields: bytes, code: int, number: int, payload: bytes, rows: int = 0) -> bytes:
    """A reply that reports fields which the model does not have."""
    return reply(code, number, unknown_fields + payload, rows, len(unknown_fields))


def parse_reply(frame: bytes) -> tuple[int, int, int, int, bytes]:
    """``(code, retry_after_ms, rows, number, payload)``."""
    _, code, retry_after_ms, rows, number = _REPLY_BODY.unpack_from(frame)
    return code, retry_after_ms, rows, number, frame[REPLY_HEADER:]
