"""Scores taken apart: their addresses are read, the InferenceRequest inside goes on to the replica as it came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from forestflow._gen.contract_pb2 import Contract as ContractMessage
from forestflow._gen.envelope_pb2 import ScoreEnvelope, ScoreStreamAnswer, ScoreStreamEnvelope
from forestflow.codecs.messages.values import contract_from
from forestflow.domain.errors import Malformed
from forestflow.domain.ids import Contract


def open_envelope(message: bytes) -> tuple[Contract, bytes]:
    """The contract, and the bytes of the InferenceRequest. Raises Malformed, InvalidIdentifier."""
    try:
        envelope = ScoreEnvelope.FromString(message)
        contract = _contract(_joined(envelope.contract))
    except DecodeError as error:
        raise Malformed(f"not a ScoreRequest: {error}") from None
    if not envelope.request:
        raise Malformed("not a ScoreRequest: it holds no request")
    return contract, _joined(envelope.request)


@lru_cache(maxsize=4096)
def _contract(message: bytes) -> Contract:
    """Parse a contract; the few that clients name are cached. Raises DecodeError, Malformed, InvalidIdentifier."""
    contract = ContractMessage.FromString(message)
    if not contract.IsInitialized():
        raise Malformed("not a ScoreRequest: it names no contract, or not all of it")
    if isinstance(contract.organization, bytes) or isinstance(contract.project, bytes):
        raise Malformed("not a ScoreRequest: a name is not UTF-8")  # protobuf hands out such a string as bytes
    return contract_from(contract)


@dataclass(frozen=True, slots=True)
class Item:
    """A ScoreStreamRequest; ``score`` holds the bytes of its ScoreRequest."""

    id: str
    score: bytes
    key: str | None
    seconds: float | None


def open_item(message: bytes) -> Item:
    """Raises Malformed where it cannot be told under which id to answer."""
    try:
        envelope = ScoreStreamEnvelope.FromString(message)
    except DecodeError as error:
        raise Malformed(f"not a ScoreStreamRequest: {error}") from None
    if not envelope.IsInitialized():
        raise Malformed("not a ScoreStreamRequest: it has no id")
    if isinstance(envelope.id, bytes) or isinstance(envelope.key, bytes):
        raise Malformed("not a ScoreStreamRequest: its id or its key is not UTF-8")
    return Item(
        envelope.id,
        _joined(envelope.score),
        envelope.key if envelope.HasField("key") else None,
        envelope.timeout_seconds if envelope.HasField("timeout_seconds") else None,
    )


def close_item(item_id: str, result: bytes | Status, unknown_fields: Sequence[str] = ()) -> bytes:
    """A ScoreStreamResponse of a prediction as its replica wrote it, or of an error."""
    if isinstance(result, bytes):
        answer = ScoreStreamAnswer(id=item_id, prediction=result, unknown_fields=unknown_fields)
    else:
        answer = ScoreStreamAnswer(id=item_id, error=result, unknown_fields=unknown_fields)
    return answer.SerializeToString()


def _joined(pieces: Sequence[bytes]) -> bytes:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
