"""A body and what its path said travel as one, and come apart as they were, without a copy."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestflow.codecs.envelope import pack, unpack
from forestflow.domain.errors import Malformed

LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@given(head=st.dictionaries(st.text(), VALUES), body=st.binary())
def test_comes_apart_as_it_was(head, body):
    unpacked, rest = unpack(pack(head, body))
    assert unpacked == head
    assert bytes(rest) == body


def test_the_head_is_messagepack_behind_its_length():
    packed = msgpack.packb({"verb": "predict"})
    assert pack({"verb": "predict"}, b"body") == len(packed).to_bytes(4, "little") + packed + b"body"


def test_the_body_is_not_copied():
    payload = bytearray(pack({}, b"body"))
    _, body = unpack(payload)
    payload[-1:] = b"Y"
    assert bytes(body) == b"bodY"


@pytest.mark.parametrize(
    "payload", [b"", b"\x01\x00\x00", b"\x05\x00\x00\x00\x80", b"\x01\x00\x00\x00\x90", b"\xff" * 9]
)
def test_anything_else_is_malformed(payload):
    with pytest.raises(Malformed):
        unpack(payload)
