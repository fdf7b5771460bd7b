"""The table from neutral codes to gRPC's, and metadata that every client takes."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote, unquote

import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from forestflow.api.answers import MAX_FQRV_LENGTH, fqrv_metadata
from forestflow.api.grpc.errors import (
    MAX_DETAILS_BYTES,
    STATUS,
    BadFields,
    details_of,
    status_of,
    trailers_of,
)
from forestflow.api.requests import request_id_of
from forestflow.domain.errors import Code, Malformed, QueueFull
from forestflow.domain.ids import Contract, Fqrv
from tests.unit.codecs.strategies import fqrvs


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.OK, StatusCode.OK),
        (Code.MALFORMED, StatusCode.INVALID_ARGUMENT),
        (Code.INVALID, StatusCode.INVALID_ARGUMENT),
        (Code.NOT_FOUND, StatusCode.NOT_FOUND),
        (Code.ALREADY_EXISTS, StatusCode.ALREADY_EXISTS),
        (Code.NO_ACTIVE_SERVABLE, StatusCode.FAILED_PRECONDITION),
        (Code.TOO_LARGE, StatusCode.RESOURCE_EXHAUSTED),
        (Code.EXHAUSTED, StatusCode.RESOURCE_EXHAUSTED),
        (Code.DEADLINE, StatusCode.DEADLINE_EXCEEDED),
        (Code.UNAVAILABLE, StatusCode.UNAVAILABLE),
        (Code.UNIMPLEMENTED, StatusCode.UNIMPLEMENTED),
        (Code.INTERNAL, StatusCode.INTERNAL),
        (Code.STORAGE, StatusCode.INTERNAL),
    ],
)
def test_one_status_per_code(code, status):
    assert STATUS[code] is status


def test_no_code_is_left_out():
    assert set(STATUS) == set(Code)


@given(st.text(max_size=MAX_DETAILS_BYTES * 2))
def test_details_are_the_message_or_its_beginning(message):
    details = details_of(message)
    encoded = message.encode(errors="replace")
    assert len(details.encode()) <= MAX_DETAILS_BYTES + len("…".encode())
    if len(encoded) <= MAX_DETAILS_BYTES:
        assert details == encoded.decode()
    else:
        assert details.endswith("…")
        assert encoded.startswith(details.removesuffix("…").encode())


@given(fqrvs)
def test_who_answered_can_be_read_back(fqrv):
    ((name, value),) = fqrv_metadata(fqrv)
    assert name == "x-forestflow-fqrv"
    assert value.isascii()
    assert value.isprintable()
    organization, project, number, release = map(unquote, value.split("/"))
    assert Fqrv(Contract(organization, project, int(number)), release) == fqrv


def test_names_too_long_for_metadata_are_left_to_the_prediction():
    fits = Fqrv(Contract("ü" * 255, "ü" * 255, 1), "v1")
    assert len(fqrv_metadata(fits)[0][1]) <= MAX_FQRV_LENGTH
    assert fqrv_metadata(Fqrv(Contract("ü" * 255, "ü" * 255, 1), "ü" * 255)) == ()


@given(st.text(max_size=3000), fqrvs, st.binary(max_size=128))
def test_trailers_stay_below_what_clients_take(message, fqrv, own_id):
    """8 KiB, counted as HTTP/2 does: names, values and 32 bytes for each, with ``-bin`` values in base64."""
    error, request_id = QueueFull(0.25, message), request_id_of(own_id)
    status = status_of(error, request_id, fqrv)
    trailers = trailers_of(error, status, request_id, fqrv)
    size = len("grpc-message") + len(quote(status.message)) + 32 + len("grpc-status") + 2 + 32
    for name, value in trailers:
        size += len(name) + len(b64encode(value) if isinstance(value, bytes) else value) + 32
    assert size <= 8192
    if len(message) < 300 and len(str(fqrv)) < 300:
        assert dict(trailers)["grpc-status-details-bin"] == status.SerializeToString()


def test_details_give_way_where_names_are_long():
    fqrv = Fqrv(Contract("ü" * 255, "ü" * 255, 1), "v1")
    error = Malformed("ü" * 1000)
    trailers = dict(trailers_of(error, status_of(error, b"id", fqrv), b"id", fqrv))
    assert trailers.keys() == {"x-request-id", "x-forestflow-fqrv"}


def test_fields_that_are_wrong_are_named():
    status = status_of(BadFields([f"f{i}" for i in range(100)], "is required", "many are missing"), b"id")
    violations = BadRequest()
    assert status.details[1].Unpack(violations)
    assert [(v.field, v.description) for v in violations.field_violations[:2]] == [
        ("f0", "is required"),
        ("f1", "is required"),
    ]
    assert len(violations.field_violations) == 16
