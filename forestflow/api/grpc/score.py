"""The unary methods of forestflow.v1.ForestFlow. Score goes from bytes to bytes: it never reads the payload."""

from __future__ import annotations

from forestflow._gen.service_pb2 import MetadataRequest, MetadataResponse, StatsRequest, StatsResponse
from forestflow.api.grpc.envelope import open_envelope
from forestflow.api.grpc.messages import read
from forestflow.api.grpc.methods import Call, Handler
from forestflow.codecs.messages import reports
from forestflow.codecs.messages.values import contract_from
from forestflow.codecs.table import PROTOBUF
from forestflow.controlplane.control import ControlPlane
from forestflow.domain.commands import GetMetadata, ListMetadata, ListMetrics
from forestflow.domain.ids import Fqrv


async def score(message: bytes, call: Call) -> bytes:
    contract, payload = open_envelope(message)
    return await call.score(contract, PROTOBUF, payload)


def queries(control: ControlPlane) -> dict[str, Handler]:
    """What is asked of models: handlers by the name of their method."""

    async def metadata(message: bytes, _call: Call) -> bytes:
        request = read(MetadataRequest, message)
        contract = contract_from(request.contract)
        if request.HasField("release_version"):
            told = [await control.run(GetMetadata(Fqrv(contract, request.release_version)))]
        else:
            told = await control.run(ListMetadata(contract))
        return MetadataResponse(metadata=map(reports.metadata_to, told)).SerializeToString()

    async def stats(message: bytes, _call: Call) -> bytes:
        told = await control.run(ListMetrics(contract_from(read(StatsRequest, message).contract)))
        return StatsResponse(metrics=map(reports.metrics_to, told)).SerializeToString()

    return {"Metadata": metadata, "Stats": stats}
