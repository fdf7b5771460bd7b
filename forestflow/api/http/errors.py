"""The one table from the domain's neutral error codes to HTTP statuses, and the answers made from it.

The control API and the hot score route both answer from here, so that one error has one status everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from forestflow.codecs import control as codec
from forestflow.domain.errors import Code, ForestFlowError, QueueFull
from forestflow.domain.ids import Fqrv

STATUS: Mapping[Code, int] = {
    Code.OK: 200,
    Code.MALFORMED: 400,
    Code.INVALID: 422,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.NO_ACTIVE_SERVABLE: 422,
    Code.TOO_LARGE: 413,
    Code.EXHAUSTED: 429,
    Code.DEADLINE: 504,
    Code.UNAVAILABLE: 503,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.STORAGE: 507,
}

RETRY_AFTER_SECONDS = 1.0

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


class InternalError(ForestFlowError):
    """What a client is told of a fault of ours: nothing but the request id, under which the log has the rest."""

    def __init__(self) -> None:
        super().__init__("the server failed on this request; its log has the reason under the request id")


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """Status, headers (content type and length among them, request id not) and body of an error."""

    status: int
    headers: list[Header]
    body: bytes


def retry_after(error: ForestFlowError) -> int | None:
    """Whole seconds for the ``Retry-After`` header, at least 1; ``None`` where trying again would not help."""
    if isinstance(error, QueueFull):
        return max(1, math.ceil(error.retry_after_seconds))
    if error.code in (Code.EXHAUSTED, Code.UNAVAILABLE):
        return math.ceil(RETRY_AFTER_SECONDS)
    return None


def status_of(error: ForestFlowError) -> int:
    """The HTTP status of an error."""
    return error.status if isinstance(error, HttpRefusal) else STATUS[error.code]


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
