"""The envelope of a ScoreRequest, with protobuf's own parser of the whole message as the oracle."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow._gen.inference_pb2 import InferenceRequest
from forestflow._gen.service_pb2 import ScoreRequest
from forestflow.api.grpc.envelope import open_envelope
from forestflow.codecs.messages.values import contract_to
from forestflow.domain.errors import ForestFlowError, InvalidIdentifier, Malformed
from forestflow.domain.ids import Contract
from tests.profiles import up_to
from tests.unit.codecs.strategies import contracts, inference_requests

CONTRACT = Contract("samples", "energy", 7)
ADDRESS = ScoreRequest(contract=contract_to(CONTRACT)).SerializePartialToString()


def piece(number: int, content: bytes) -> bytes:
    """One length-delimited field, its length in a varint."""
    length, varint = len(content), b""
    while length > 0x7F:
        varint += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + varint + bytes([length]) + content


def whole(message: bytes) -> tuple[Contract, bytes] | None:
    """Contract and request as protobuf reads them; ``None`` where that is not possible."""
    try:
        parsed = ScoreRequest.FromString(message)
        if not (parsed.HasField("request") and parsed.contract.IsInitialized()):
            return None
        names = parsed.contract
        contract = Contract(names.organization, names.project, names.contract_number)
    except (DecodeError, ForestFlowError, TypeError):  # TypeError: a name that is not UTF-8
        return None
    return contract, parsed.request.SerializePartialToString(deterministic=True)


def opened(message: bytes) -> tuple[Contract, bytes] | None:
    """The same by our envelope, with the request parsed as a replica would."""
    try:
        contract, payload = open_envelope(message)
        request = InferenceRequest.FromString(payload)
    except (DecodeError, ForestFlowError):
        return None
    return contract, request.SerializePartialToString(deterministic=True)


@given(contracts, inference_requests())
def test_the_request_goes_on_byte_for_byte(contract, request):
    message = ScoreRequest(contract=contract_to(contract), request=request).SerializeToString(deterministic=True)
    assert open_envelope(message) == (contract, request.SerializeToString(deterministic=True))


@given(contracts, inference_requests(), st.lists(st.integers(0, 8), min_size=8, max_size=8), st.binary(max_size=4))
def test_pieces_in_any_order(contract, request, order, unknown):
    """Serializers may write fields in any order, a message in pieces, and fields that we do not know."""
    request_bytes = request.SerializePartialToString()
    address = contract_to(contract)
    parts = [
        piece(1, type(address)(organization=contract.organization).SerializePartialToString()),
        piece(1, type(address)(project="overwritten").SerializePartialToString()),
        piece(1, address.SerializeToString()),
        piece(2, request_bytes),
        piece(2, request_bytes),
        piece(2, b""),
        piece(15, unknown),
        b"\x48\x01",  # field 9, a varint
    ]
    message = b"".join(part for _, part in sorted(zip(order, parts, strict=True), key=lambda pair: pair[0]))
    expected = whole(message)
    assert expected is not None
    assert opened(message) == expected


@settings(max_examples=up_to(500))
@given(inference_requests(), st.data())
def test_damaged_messages(request, data):
    message = bytearray(ScoreRequest(contract=contract_to(CONTRACT), request=request).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(message)))
        message[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    assert opened(bytes(message)) == whole(bytes(message))


@given(st.binary(max_size=60))
def test_any_bytes(message):
    assert opened(message) == whole(message)
    assert opened(ADDRESS + message) == whole(ADDRESS + message)


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        (b"", Malformed, "names no contract"),
        (b"\xff\xff", Malformed, "not a ScoreRequest"),
        (b'{"schema": []}', Malformed, "not a ScoreRequest"),
        (piece(2, b""), Malformed, "names no contract"),
        (piece(1, b"\x0a\x01o") + piece(2, b""), Malformed, "names no contract"),
        (ADDRESS, Malformed, "holds no request"),
        (piece(1, b"\x0a\x01\xff\x12\x01p\x18\x00") + piece(2, b""), Malformed, "not UTF-8"),
        (piece(1, b"\x0a\x01o\x12\x01\xff\x18\x00") + piece(2, b""), Malformed, "not UTF-8"),
        (piece(1, b"\x0a\x00\x12\x01p\x18\x00") + piece(2, b""), InvalidIdentifier, "must not be empty"),
        (piece(1, b"\x0a\x01o\x12\x03a/b\x18\x00") + piece(2, b""), InvalidIdentifier, "slash"),
        (
            piece(1, b"\x0a\x01o\x12\x01p\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") + piece(2, b""),
            InvalidIdentifier,
            "contract_number -1",
        ),
    ],
)
def test_what_is_none_is_refused_with_a_reason(message, error, words):
    with pytest.raises(error, match=words):
        open_envelope(message)
