"""What HTTP answers where something was refused.

The control API and the hot score route both answer from here, so that one error has one status everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from forestflow.api.answers import HTTP_STATUS, retry_after
from forestflow.codecs.control import rest as codec
from forestflow.domain.errors import Code, ForestFlowError
from forestflow.domain.ids import Fqrv

Header = tuple[bytes, bytes]


class HttpRefusal(ForestFlowError):
    """A refusal that only HTTP knows, such as 405: ``HttpRefusal(status, code, headers, message)``.

    ``code`` is the neutral code nearest to it, told in the body.
    """

    def __init__(self, status: int, code: Code, headers: tuple[Header, ...], message: str) -> None:
        super().__init__(status, code, headers, message)
        self.status = status
        self.code = code
        self.headers = headers


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """Status, headers (content type and length among them, request id not) and body of an error."""

    status: int
    headers: list[Header]
    body: bytes


def status_of(error: ForestFlowError) -> int:
    """The HTTP status of an error."""
    return error.status if isinstance(error, HttpRefusal) else HTTP_STATUS[error.code]


def error_headers(error: ForestFlowError) -> list[Header]:
    """What else an answer of this error says in headers: Retry-After, Allow, Connection."""
    headers = list(error.headers) if isinstance(error, HttpRefusal) else []
    seconds = retry_after(error)
    if seconds is not None:
        headers.append((b"retry-after", str(seconds).encode()))
    if error.code is Code.TOO_LARGE:
        headers.append((b"connection", b"close"))  # the rest of the body is still on its way, and is not wanted
    return headers


def error_answer(
    error: ForestFlowError, request_id: str, *, fqrv: Fqrv | None = None, as_text: bool = False
) -> ErrorAnswer:
    """An error as JSON in the original's form, or its message alone as text."""
    body = (error.message + "\n").encode(errors="replace") if as_text else codec.error(error, fqrv, request_id)
    content_type = b"text/plain; charset=utf-8" if as_text else b"application/json"
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        *error_headers(error),
    ]
    return ErrorAnswer(status_of(error), headers, body)


def wants_text(accept: str | None) -> bool:
    """Whether an Accept header asks for text/plain and not for JSON."""
    if not accept:
        return False
    named = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return "text/plain" in named and "application/json" not in named


def response(status: int, headers: list[Header], body: bytes) -> bytes:
    """A whole HTTP/1.1 response, past ASGI."""
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, HTTPStatus(status).phrase.encode(), lines, body)
