"""A ScoreRequest taken apart: its contract is read, the InferenceRequest inside goes on to the replica as it came."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from forestflow._gen.envelope_pb2 import ScoreEnvelope
from forestflow.codecs.messages import contract_from
from forestflow.domain.errors import Malformed
from forestflow.domain.ids import Contract


def open_envelope(message: bytes) -> tuple[Contract, bytes]:
    """The contract, and the bytes of the InferenceRequest. Raises Malformed, InvalidIdentifier."""
    try:
        envelope = ScoreEnvelope.FromString(message)
    except DecodeError as error:
        raise Malformed(f"not a ScoreRequest: {error}") from None
    if not envelope.IsInitialized():
        raise Malformed("not a ScoreRequest: it names no contract, or not all of it")
    if not envelope.request:
        raise Malformed("not a ScoreRequest: it holds no request")
    if isinstance(envelope.contract.organization, bytes) or isinstance(envelope.contract.project, bytes):
        raise Malformed("not a ScoreRequest: a name is not UTF-8")  # protobuf hands out such a string as bytes
    pieces = envelope.request
    return contract_from(envelope.contract), pieces[0] if len(pieces) == 1 else b"".join(pieces)
