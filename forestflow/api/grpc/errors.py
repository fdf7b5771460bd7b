"""The one table from the domain's neutral error codes to gRPC's."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from forestflow.domain.errors import Code

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
}

REQUEST_ID = "x-request-id"
RETRY_AFTER_MS = "grpc-retry-pushback-ms"  # gRPC's own name: clients with a retry policy obey it

# Clients take 8 KiB of metadata and drop the answer that has more.
MAX_DETAILS_BYTES = 1024


def details_of(message: str) -> str:
    """An error's message, cut to what surely passes as ``grpc-message``."""
    encoded = message.encode(errors="replace")
    if len(encoded) <= MAX_DETAILS_BYTES:
        return encoded.decode()
    return encoded[:MAX_DETAILS_BYTES].decode(errors="ignore") + "…"
