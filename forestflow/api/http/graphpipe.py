"""GraphPipe over HTTP: ``POST /{organization}/{project}/{contract_number}/gp``, raw FlatBuffers both ways.

Errors come as clients can read them: status 200 and an InferResponse, whose error has the code that would be the
status. A MetadataResponse has no place for errors; those of metadata are plain HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from urllib.parse import parse_qs, unquote

from forestflow.api.answers import payload_of as replied
from forestflow.api.http.edge import contract_of
from forestflow.api.http.errors import Header, HttpRefusal, error_answer, status_of
from forestflow.api.http.exchange import Answer, Exchange, render
from forestflow.api.http.gate import Direct
from forestflow.api.models import Models
from forestflow.codecs.graphpipe.codec import metadata_of, payload_of
from forestflow.codecs.graphpipe.reader import INFER, METADATA, read_kind
from forestflow.codecs.graphpipe.writer import error_response
from forestflow.codecs.table import GRAPHPIPE
from forestflow.dataplane.link import Reply
from forestflow.domain.errors import Code, ForestFlowError, Malformed

_BINARY: Header = (b"content-type", b"application/octet-stream")


class GraphPipeHttp:
    """:class:`forestflow.api.http.exchange.HttpProtocol`."""

    name = "graphpipe"
    any_origin = False

    def __init__(self, models: Models) -> None:
        self._models = models

    def claims(self, raw_path: bytes) -> bool:
        return raw_path.endswith(b"/gp") and raw_path.count(b"/") == 4

    async def answer(self, exchange: Exchange) -> Answer:
        if exchange.method != "POST":
            raise HttpRefusal(405, Code.INVALID, ((b"allow", b"POST"),), "GraphPipe takes POST alone")
        organization, project, number, _ = exchange.segments
        contract = contract_of(organization, project, number)
        message = await exchange.body()
        if read_kind(message) == METADATA:
            try:
                return Answer(metadata_of(*await self._models.model(contract)), headers=(_BINARY,))
            except ForestFlowError as error:
                if exchange.watch is not None:
                    exchange.watch.code = error.code
                refused = error_answer(error, exchange.request_id.decode())
                return Answer(refused.body, refused.status)
        payload = payload_of(message, _outputs(exchange.query))
        return Answer(await exchange.score(contract, GRAPHPIPE, payload), headers=(_BINARY,))

    def refuse(self, error: ForestFlowError, exchange: Exchange) -> Answer:
        return _refusal(error)

    def direct(self, raw_path: bytes, _headers: Sequence[Header]) -> Direct | None:
        """For the shortcut: InferRequests. Raises HttpRefusal, InvalidIdentifier for a path that names no contract."""
        if not self.claims(raw_path):
            return None
        organization, project, number = map(unquote, raw_path.decode("ascii", "replace").split("/")[1:4])
        contract = contract_of(organization, project, number)
        answer = partial(render, _replied, _refusal)
        return Direct(contract, GRAPHPIPE, payload_of(b""), answer, self.name, _is_infer)


def _is_infer(message: memoryview) -> bool:
    try:
        return read_kind(message) == INFER
    except Malformed:
        return False


def _replied(reply: Reply) -> Answer:
    return Answer(replied(reply), headers=(_BINARY,))


def _refusal(error: ForestFlowError) -> Answer:
    status = error.status if isinstance(error, HttpRefusal) else 200
    return Answer(error_response(status_of(error), error.message), status, (_BINARY,))


def _outputs(query: bytes) -> list[str]:
    """Those of ``?outputs=a,b``, for clients that cannot name any in their requests."""
    try:
        named = parse_qs(query.decode("ascii"), max_num_fields=32, errors="strict").get("outputs", [])
    except ValueError as error:
        raise Malformed(f"the URL's query cannot be read: {error}") from None
    return [name for part in named for name in part.split(",") if name]
