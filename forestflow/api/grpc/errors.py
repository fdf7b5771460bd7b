"""What gRPC answers where something was refused: the one table from the domain's neutral error codes to gRPC's, and
the details beside the code, as ``google.rpc.Status``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from forestflow.api.answers import fqrv_metadata, retry_after
from forestflow.domain.errors import Code, ForestFlowError, Malformed, QueueFull
from forestflow.domain.ids import Fqrv

STATUS: Mapping[Code, grpc.StatusCode] = {
    Code.OK: grpc.StatusCode.OK,
    Code.MALFORMED: grpc.StatusCode.INVALID_ARGUMENT,
    Code.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Code.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Code.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Code.NO_ACTIVE_SERVABLE: grpc.StatusCode.FAILED_PRECONDITION,
    Code.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Code.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Code.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Code.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Code.UNIMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    Code.INTERNAL: grpc.StatusCode.INTERNAL,
    # UNAVAILABLE would invite to try again at once; a full disk is still full then.
    Code.STORAGE: grpc.StatusCode.INTERNAL,
    Code.OUT_OF_MEMORY: grpc.StatusCode.RESOURCE_EXHAUSTED,
}

DOMAIN = "forestflow"  # of ErrorInfo: whose the reasons are
REQUEST_ID = "x-request-id"
RETRY_AFTER_MS = "grpc-retry-pushback-ms"  # gRPC's own name: clients with a retry policy obey it
DETAILS = "grpc-status-details-bin"  # gRPC's own name, too

# Clients take 8 KiB of metadata and drop the answer that has more.
MAX_DETAILS_BYTES = 1024
MAX_TRAILER_BYTES = 7 * 1024
MAX_VIOLATIONS = 16

Trailers = tuple[tuple[str, str | bytes], ...]


class BadFields(Malformed):
    """A message whose fields are missing or no text: ``BadFields(fields, what, message)``."""

    def __init__(self, fields: Sequence[str], what: str, message: str) -> None:
        super().__init__(fields, what, message)
        self.fields = fields
        self.what = what


def details_of(message: str) -> str:
    """An error's message, cut to what surely passes as ``grpc-message``."""
    encoded = message.encode(errors="replace")
    if len(encoded) <= MAX_DETAILS_BYTES:
        return encoded.decode()
    return encoded[:MAX_DETAILS_BYTES].decode(errors="ignore") + "…"


def status_of(
    error: ForestFlowError,
    request_id: bytes,
    fqrv: Fqrv | None = None,
    statuses: Mapping[Code, grpc.StatusCode] = STATUS,
) -> Status:
    """The error with all its details; ``fqrv`` is the release that was scored, if one was chosen."""
    status = Status(code=statuses[error.code].value[0], message=details_of(error.message))
    info = ErrorInfo(reason=error.code.name, domain=DOMAIN, metadata={"requestId": request_id.decode()})
    if fqrv is not None:
        info.metadata["release"] = str(fqrv)
    status.details.add().Pack(info)
    if isinstance(error, BadFields):
        violations = [
            BadRequest.FieldViolation(field=field, description=error.what) for field in error.fields[:MAX_VIOLATIONS]
        ]
        status.details.add().Pack(BadRequest(field_violations=violations))
    milliseconds = _retry_milliseconds(error)
    if milliseconds:
        retry = RetryInfo()
        retry.retry_delay.FromMilliseconds(milliseconds)
        status.details.add().Pack(retry)
    return status


def trailers_of(
    error: ForestFlowError,
    status: Status,
    request_id: bytes,
    fqrv: Fqrv | None = None,
    further: Sequence[tuple[str, str]] = (),
) -> Trailers:
    """What an error says in the call's trailing metadata. Details that would be too much there are left out."""
    trailers: list[tuple[str, str | bytes]] = [(REQUEST_ID, request_id.decode())]
    if fqrv is not None:
        trailers += fqrv_metadata(fqrv)
    trailers += further
    milliseconds = _retry_milliseconds(error)
    if milliseconds:
        trailers.append((RETRY_AFTER_MS, str(milliseconds)))
    details = status.SerializeToString()
    size = len(quote(status.message)) + len(details) * 4 // 3  # as they are sent: in percent and in base64
    if size + sum(len(name) + len(value) + 32 for name, value in trailers) <= MAX_TRAILER_BYTES:
        trailers.append((DETAILS, details))
    return tuple(trailers)


def _retry_milliseconds(error: ForestFlowError) -> int:
    seconds = error.retry_after_seconds if isinstance(error, QueueFull) else retry_after(error)
    return math.ceil(seconds * 1000) if seconds else 0
