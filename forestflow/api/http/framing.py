"""The head of a request as RFC 9112 has it: what every way in over HTTP/1.1 reads, by the same rules.

Where one request ends and the next begins must not be a matter of opinion, or a client reaches past a proxy that is of
another (request smuggling). So a head is read whole, by httptools in its strict form, and whatever RFC 9112 leaves to
the recipient is refused here: no header twice that may be there once, no length beside a transfer coding, no coding
but chunked, exactly one host. An offered ``Upgrade`` is ignored (RFC 9110, 7.8).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

from forestflow.api.http.errors import Header, HttpRefusal
from forestflow.domain.errors import Code

MAX_HEAD_BYTES = 1 << 16
MAX_FIELDS = 128  # header lines
_CLOSE: tuple[Header, ...] = ((b"connection", b"close"),)

_REQUEST_LINE = re.compile(rb"[A-Z-]+ [^ ]+ HTTP/([0-9]\.[0-9])\r\n")
_BEGIN = re.compile(rb"[A-Z-]{1,20}(?: |\Z)|\r?\Z")
_BLANK_LINES = re.compile(rb"(?:\r\n)+")
_LENGTH = re.compile(rb"[0-9]{1,18}")
# Host of RFC 9110, 7.2, without the comma that a list of two hosts would have.
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(?::([0-9]*))?")
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)", re.IGNORECASE)
_PORTS = {b"http": b"80", b"https": b"443"}

# Fields whose second line would leave it to the reader which one counts.
_SINGLE = frozenset(
    {
        b"host", b"content-length", b"transfer-encoding", b"content-type", b"origin", b"x-request-id",
        b"x-request-timeout", b"x-forestflow-key", b"inference-header-content-length",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head. ``length`` is the body's in bytes, 0 without one, ``None`` for a chunked body.

    ``url`` is in origin form, ``headers`` have lower-case names. ``awaits_continue``: the body comes after a 100.
    """

    method: str
    url: bytes
    version: str
    headers: list[Header]
    length: int | None
    keep_alive: bool
    awaits_continue: bool


def bad_request(message: str, status: int = 400) -> HttpRefusal:
    """A refusal after which nobody knows where the next request begins: the connection ends with it."""
    return HttpRefusal(status, Code.MALFORMED, _CLOSE, message)


def read_head(head: bytes) -> Head:
    """Read a head up to and with its empty line. Raises HttpRefusal (400, 431, 501, 505)."""
    if len(head) > MAX_HEAD_BYTES:
        raise _too_large()
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise bad_request("the first line is not that of an HTTP/1.1 request")
    version = line[1].decode()
    if version not in ("1.1", "1.0"):
        raise bad_request(f"HTTP/{version} is not spoken here; use HTTP/1.1", 505)
    if head.startswith(b"CONNECT "):
        raise bad_request("CONNECT is not supported: this is no proxy", 501)
    parsed = _Parsed()
    try:
        httptools.HttpRequestParser(parsed).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # the head ends with the data, so nothing was skipped
    except httptools.HttpParserError as error:
        if isinstance(error.__context__, HttpRefusal):
            raise error.__context__ from None
        raise bad_request(f"the request is not HTTP/1.1: {error}") from None
    if head.startswith(b"OPTIONS * "):
        parsed.url = b"/*"  # of the server as a whole (RFC 9110, 9.3.7), of which no route says anything
    headers = parsed.headers
    fields = dict(headers)
    if len(fields) < len(headers):
        _check_single(headers)
    url = _origin_form(parsed.url, headers, fields.get(b"host"), version)
    current = version == "1.1"
    return Head(
        head[: head.index(b" ")].decode(),
        url,
        version,
        headers,
        _length(fields.get(b"content-length"), fields.get(b"transfer-encoding"), version),
        current and (b"connection" not in fields or b"close" not in _connection_options(headers)),
        current and fields.get(b"expect", b"").lower() == b"100-continue",
    )


def check_unfinished(head: bytearray, seen: int) -> None:
    """Raise HttpRefusal (400, 431) as soon as a head that has not ended cannot become one; ``seen`` is checked."""
    if len(head) > MAX_HEAD_BYTES:
        raise _too_large()
    if not _BEGIN.match(head):
        raise bad_request("the first line is not that of an HTTP/1.1 request")
    at = head.find(b"\n", seen)
    while at >= 0:
        if at == 0 or head[at - 1] != 0x0D:
            raise bad_request("a line of the head ends without a carriage return")
        at = head.find(b"\n", at + 1)


def blank_lines(data: bytes | bytearray) -> int:
    """How many bytes of empty lines there are before a request; they are ignored (RFC 9112, 2.2)."""
    blank = _BLANK_LINES.match(data)
    return blank.end() if blank else 0


class _Parsed:
    """Collects what httptools finds in a head."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[Header] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MAX_FIELDS:
            raise bad_request(f"the request has more than {MAX_FIELDS} header lines", 431)
        self.headers.append((name.lower(), value))


def _check_single(headers: list[Header]) -> None:
    names = [name for name, _ in headers if name in _SINGLE]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise bad_request(f"the header {twice.decode()} is there more than once")


def _origin_form(url: bytes, headers: list[Header], host: bytes | None, version: str) -> bytes:
    """The path and query of a target. The host that it names is added to the headers if they have none (3.2)."""
    if host is None and version == "1.1":
        raise bad_request("the Host header is missing")
    if host and not _HOST.fullmatch(host):
        raise bad_request("the Host header is not a host")
    if url.startswith(b"/"):
        return url
    absolute = _ABSOLUTE.match(url)
    if absolute is None:
        raise bad_request("the target of the request is neither a path nor an http URL")
    scheme, authority = absolute[1].lower(), absolute[2]
    if not _HOST.fullmatch(authority):
        raise bad_request("the target of the request has no host, or more than a host and a port")
    if host is None:
        headers.append((b"host", authority))
    elif _normal(host, scheme) != _normal(authority, scheme):
        raise bad_request("the target of the request and its Host header name different hosts")
    rest = url[absolute.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def _normal(host: bytes, scheme: bytes) -> tuple[bytes, bytes]:
    found = _HOST.fullmatch(host)
    return (found[1].lower(), found[2] or _PORTS[scheme]) if found else (b"", b"")


def _length(length: bytes | None, coding: bytes | None, version: str) -> int | None:
    """The body's length (RFC 9112, 6.3)."""
    if coding is not None:
        if version == "1.0":
            raise bad_request("Transfer-Encoding is not part of HTTP/1.0")
        if length is not None:
            raise bad_request("the request has both a Content-Length and a Transfer-Encoding")
        codings = _members(coding)
        if codings != [b"chunked"]:
            if codings[-1:] != [b"chunked"] or codings.count(b"chunked") > 1:
                raise bad_request("the Transfer-Encoding does not end with chunked, once")
            raise bad_request("the only Transfer-Encoding that is supported is chunked", 501)
        return None
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise bad_request("the Content-Length is not a length")
    return int(length)


def _connection_options(headers: list[Header]) -> list[bytes]:
    return [option for name, value in headers if name == b"connection" for option in _members(value)]


def _members(value: bytes) -> list[bytes]:
    return [part.strip(b" \t").lower() for part in value.split(b",")]


def _too_large() -> HttpRefusal:
    return bad_request(f"the head of the request is over {MAX_HEAD_BYTES} bytes", 431)
