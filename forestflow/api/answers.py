"""What answers say whichever transport carries them: errors a client may see, when to come back, and who answered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

from forestflow.codecs.columnar import error_of
from forestflow.dataplane.link import Reply, ReplyWith
from forestflow.domain.errors import Code, ForestFlowError, QueueFull
from forestflow.domain.ids import Fqrv

# Of HTTP, and of GraphPipe's own errors, whose codes are HTTP's over gRPC too.
HTTP_STATUS: Mapping[Code, int] = {
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
    Code.OUT_OF_MEMORY: 507,
}

RETRY_AFTER_SECONDS = 1.0
FQRV = "x-forestflow-fqrv"
UNKNOWN_FIELDS = "x-forestflow-unknown-fields"

# gRPC's clients take 8 KiB of metadata and drop the answer that has more. Percent-encoded, a byte may take three.
MAX_FQRV_LENGTH = 4096


class InternalError(ForestFlowError):
    """What a client is told of a fault of ours: nothing but the request id, under which the log has the rest."""

    def __init__(self) -> None:
        super().__init__("the server failed on this request; its log has the reason under the request id")


def retry_after(error: ForestFlowError) -> int | None:
    """Whole seconds until another try makes sense, at least 1; ``None`` where trying again would not help."""
    if isinstance(error, QueueFull):
        return max(1, math.ceil(error.retry_after_seconds))
    if error.code in (Code.EXHAUSTED, Code.UNAVAILABLE):
        return math.ceil(RETRY_AFTER_SECONDS)
    return None


def payload_of(reply: Reply) -> bytes:
    """A replica's answer; raises what it refused. Its codec writes the error's message, the transport its form."""
    if reply.code != Code.OK:
        raise error_of(Code(reply.code), reply.payload.decode(errors="replace"), reply.retry_after_seconds)
    return reply.payload


def metadata_of(reply: Reply) -> tuple[tuple[str, str], ...]:
    """What headers or trailing metadata say of a replica's answer: who gave it, and which fields it did not know."""
    told = fqrv_metadata(reply.fqrv)
    return (*told, *unknown_fields_metadata(reply)) if isinstance(reply, ReplyWith) else told


def unknown_fields_metadata(reply: Reply | None) -> tuple[tuple[str, str], ...]:
    """Which fields of the request the model does not have; nothing for a right request."""
    return ((UNKNOWN_FIELDS, reply.unknown_fields),) if isinstance(reply, ReplyWith) else ()


@lru_cache(maxsize=4096)
def fqrv_metadata(fqrv: Fqrv) -> tuple[tuple[str, str], ...]:
    """Who answered, each part percent-encoded; nothing where that is too long, as the prediction says it too."""
    contract = fqrv.contract
    parts = (contract.organization, contract.project, str(contract.contract_number), fqrv.release_version)
    value = "/".join(quote(part, safe="") for part in parts)
    return ((FQRV, value),) if len(value) <= MAX_FQRV_LENGTH else ()
