"""The one table from the domain's neutral error codes to gRPC's, and what an answer says in its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

import grpc

from forestflow.domain.errors import Code
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
}

REQUEST_ID = "x-request-id"
FQRV = "x-forestflow-fqrv"
RETRY_AFTER_MS = "grpc-retry-pushback-ms"  # gRPC's own name: clients with a retry policy obey it

# Clients take 8 KiB of metadata and drop the answer that has more. Percent-encoded, a byte may take three.
MAX_DETAILS_BYTES = 1024
MAX_FQRV_LENGTH = 4096


def details_of(message: str) -> str:
    """An error's message, cut to what surely passes as ``grpc-message``."""
    encoded = message.encode(errors="replace")
    if len(encoded) <= MAX_DETAILS_BYTES:
        return encoded.decode()
    return encoded[:MAX_DETAILS_BYTES].decode(errors="ignore") + "…"


@lru_cache(maxsize=4096)
def fqrv_metadata(fqrv: Fqrv) -> tuple[tuple[str, str], ...]:
    """Who answered, each part percent-encoded; nothing where that is too long, as the prediction says it too."""
    contract = fqrv.contract
    parts = (contract.organization, contract.project, str(contract.contract_number), fqrv.release_version)
    value = "/".join(quote(part, safe="") for part in parts)
    return ((FQRV, value),) if len(value) <= MAX_FQRV_LENGTH else ()
