"""Chunked bodies (RFC 9112, 7.1), taken apart as they come, with a limit on everything that is not the body."""

from __future__ import annotations

import re

from forestflow.api.http.framing import MAX_FIELDS, bad_request

MAX_EXTENSION_BYTES = 1 << 14  # of all chunks of a body
MAX_TRAILER_BYTES = 1 << 14
_MAX_LINE = MAX_TRAILER_BYTES

_CHUNK = re.compile(rb"(?:\r\n)?([0-9A-Fa-f]{1,16})\r\n")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})([ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


class ChunkedBody:
    """A body whose bytes come in chunks. ``whole`` once it has ended; ``further`` is what came behind it.

    Extensions are ignored and trailers dropped, as RFC 9112 lets a recipient do.
    """

    def __init__(self) -> None:
        self.whole = False
        self.further = b""
        self._left = 0  # bytes of this chunk
        self._line = bytearray()  # the begin of a line that has not ended
        self._after_data = False  # the next line is the empty one that ends a chunk
        self._in_trailer = False
        self._extensions = 0
        self._trailers = 0
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body in what came. Raises HttpRefusal (400, 431)."""
        pieces = []
        at, end = 0, len(data)
        while at < end and not self.whole:
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                self._after_data = not self._left
                pieces.append(piece)
            else:
                at = self._plain(data, at) or self._to_line_end(data, at)
        if self.whole:
            self.further = data[at:]
        return b"".join(pieces)

    def _plain(self, data: bytes, at: int) -> int:
        """Pass over the line of a chunk without extensions; where its bytes begin, or 0 for any other line."""
        found = None if self._line or self._in_trailer else _CHUNK.match(data, at)
        if found is None or (data[at] == 0x0D) != self._after_data:
            return 0
        self._after_data = False
        self._begin(found[1])
        return found.end()

    def _begin(self, size: bytes) -> None:
        self._left = int(size, 16)
        self._in_trailer = not self._left

    def _to_line_end(self, data: bytes, at: int) -> int:
        """Read a line, or what there is of one; where to go on."""
        stop = data.find(b"\n", at) + 1
        self._line += data[at : stop or len(data)]
        if len(self._line) > _MAX_LINE:
            raise bad_request(f"a line of the chunked body is over {_MAX_LINE} bytes", 431)
        if not stop:
            return len(data)
        line = bytes(self._line)
        self._line.clear()
        if not line.endswith(b"\r\n"):
            raise bad_request("a line of the chunked body ends without a carriage return")
        self._take(line[:-2])
        return stop

    def _take(self, line: bytes) -> None:
        if self._after_data:
            if line:
                raise bad_request("a chunk is longer than its size")
            self._after_data = False
        elif self._in_trailer:
            self._take_trailer(line)
        else:
            size = _SIZE.fullmatch(line)
            if size is None:
                raise bad_request("a chunk's size is not a hexadecimal number")
            self._extensions += len(size[2] or b"")
            if self._extensions > MAX_EXTENSION_BYTES:
                raise bad_request(f"the extensions of the chunks are over {MAX_EXTENSION_BYTES} bytes", 431)
            self._begin(size[1])

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.whole = True
            return
        self._trailers += 1
        self._trailer_bytes += len(line)
        if self._trailers > MAX_FIELDS or self._trailer_bytes > MAX_TRAILER_BYTES:
            raise bad_request(f"the trailers are over {MAX_FIELDS} lines or {MAX_TRAILER_BYTES} bytes", 431)
        if not _TRAILER.fullmatch(line):
            raise bad_request("a trailer is not a header line")
