"""The Open Inference Protocol v2 over gRPC: inference.GRPCInferenceService."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc.aio
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from forestflow._gen import open_inference_pb2 as pb
from forestflow.api.grpc.methods import Call, unary
from forestflow.api.openinference import OpenInference
from forestflow.codecs.table import OIP_GRPC
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.domain.errors import Malformed

SERVICE = "inference.GRPCInferenceService"


def methods(service: OpenInference, dispatcher: Dispatcher) -> dict[str, grpc.RpcMethodHandler]:
    """The service's methods by name."""

    async def server_live(message: bytes, call: Call) -> bytes:
        return pb.ServerLiveResponse(live=True).SerializeToString()

    async def server_ready(message: bytes, call: Call) -> bytes:
        return pb.ServerReadyResponse(ready=await service.ready()).SerializeToString()

    async def server_metadata(message: bytes, call: Call) -> bytes:
        return _message(service.server(), pb.ServerMetadataResponse())

    async def model_ready(message: bytes, call: Call) -> bytes:
        asked = _read(pb.ModelReadyRequest.FromString, message)
        return pb.ModelReadyResponse(ready=service.model_ready(asked.name, asked.version)).SerializeToString()

    async def model_metadata(message: bytes, call: Call) -> bytes:
        asked = _read(pb.ModelMetadataRequest.FromString, message)
        return _message(await service.model(asked.name, asked.version), pb.ModelMetadataResponse())

    async def model_infer(message: bytes, call: Call) -> bytes:
        # For the model's name alone; measured: 2.6 us for 200 KB of raw contents.
        asked = _read(pb.ModelInferRequest.FromString, message)
        contract, only = service.find(asked.model_name, asked.model_version)
        return await call.score(contract, OIP_GRPC, message, only)

    handlers = {
        "ServerLive": server_live,
        "ServerReady": server_ready,
        "ServerMetadata": server_metadata,
        "ModelReady": model_ready,
        "ModelMetadata": model_metadata,
        "ModelInfer": model_infer,
    }
    return {name: unary(handler, dispatcher) for name, handler in handlers.items()}


def _read(parse: Callable[[bytes], Any], message: bytes) -> Any:
    try:
        return parse(message)
    except DecodeError as error:
        raise Malformed(f"the message cannot be read: {error}") from None


def _message(document: dict[str, Any], message: Message) -> bytes:
    return json_format.ParseDict(document, message).SerializeToString()
