"""The table from neutral codes to gRPC's, and metadata that every client takes."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from forestflow.api.answers import MAX_FQRV_LENGTH, fqrv_metadata
from forestflow.api.grpc.errors import (
    MAX_DETAILS_BYTES,
    STATUS,
    details_of,
)
from forestflow.domain.errors import Code
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
