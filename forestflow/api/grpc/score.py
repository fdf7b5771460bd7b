"""The method forestflow.v1.ForestFlow/Score, bytes to bytes: never reads the payload."""

from __future__ import annotations

from forestflow.api.grpc.envelope import open_envelope
from forestflow.api.grpc.methods import Call
from forestflow.codecs.table import PROTOBUF


async def score(message: bytes, call: Call) -> bytes:
    contract, payload = open_envelope(message)
    return await call.score(contract, PROTOBUF, payload)
