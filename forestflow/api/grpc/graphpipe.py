"""GraphPipe over gRPC, by FlatBuffers' own convention: ``/graphpipe.GraphPipe/Infer`` and ``/Metadata``, the messages
those of HTTP byte by byte.

The contract is in the call's metadata, ``x-forestflow-contract: organization/project/contract_number``, each part
percent-encoded, or under ``contract`` in the config string. What a model says is wrong is told in the InferResponse;
all else by the call's status.
"""

from __future__ import annotations

from urllib.parse import unquote

from forestflow.api.answers import HTTP_STATUS
from forestflow.api.grpc.methods import Call
from forestflow.api.models import Models
from forestflow.api.requests import contract_number_of
from forestflow.codecs.graphpipe.codec import configs_of, metadata_of, payload_of
from forestflow.codecs.graphpipe.reader import METADATA, read_config, read_kind
from forestflow.codecs.graphpipe.writer import error_response
from forestflow.codecs.table import GRAPHPIPE
from forestflow.domain.errors import Code, ForestFlowError, Malformed
from forestflow.domain.ids import Contract

SERVICE = "graphpipe.GraphPipe"
CONTRACT = "x-forestflow-contract"

_OF_THE_MODEL = frozenset({Code.INVALID, Code.UNIMPLEMENTED, Code.INTERNAL})


class GraphPipeMethods:
    """The handlers of both methods."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def infer(self, message: bytes, call: Call) -> bytes:
        """An InferResponse for a Request of an InferRequest."""
        address = call.metadata(CONTRACT)
        if address is None:
            address = configs_of(read_config(message)).get("contract")
        contract = contract_of(address)
        try:
            return await call.score(contract, GRAPHPIPE, payload_of(message))
        except ForestFlowError as error:
            if call.reply is None or error.code not in _OF_THE_MODEL:
                raise
            return error_response(HTTP_STATUS[error.code], error.message)

    async def metadata(self, message: bytes, call: Call) -> bytes:
        """A MetadataResponse for a Request of a MetadataRequest, or for an empty message."""
        if message and read_kind(message) != METADATA:
            raise Malformed("an InferRequest where a MetadataRequest is expected")
        return metadata_of(*await self._models.model(contract_of(call.metadata(CONTRACT))))


def contract_of(address: str | None) -> Contract:
    """Raises Malformed, InvalidIdentifier."""
    parts = [unquote(part) for part in (address or "").split("/")]
    if len(parts) != 3:
        raise Malformed(
            f"no contract is named: expected {CONTRACT}: organization/project/contract_number in the metadata, "
            "or contract:organization/project/contract_number in the config string"
        )
    organization, project, number = parts
    return Contract(organization, project, contract_number_of(number))
