"""Every type comes through every protocol as it is: sent by a public client to a model that gives back what it gets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from forestflow._gen.inference_pb2 import TensorType
from tests.contract.protocol import (
    BOOLEANS,
    FINAL_ZEROS,
    RAW_BYTES,
    SINGLE_INPUTS,
    TEXTS_APART,
    Address,
    Array,
    Wire,
    dtype_of,
    need,
)

LENGTH = 12  # rows of each sample
MANY = 600  # rows of which the server makes several slices


def sample(type_: str) -> Array:
    """Two values in each row: the ends of the type, and what codecs have been known to change."""
    dtype = dtype_of(type_)
    if dtype.kind == "f":
        info = np.finfo(dtype)
        values = [info.min, info.max, info.smallest_normal, -info.smallest_subnormal, -0.0, 0.0]
        values += [np.nan, np.inf, -np.inf, info.eps, 1 + info.eps, np.pi, 100.0]
    elif dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = [limits.min, limits.max, limits.max - 1, limits.min + 1, 0, 1, 100]
        values += [value for value in (2**53 + 1, -(2**53) - 1, 2**63) if limits.min <= value <= limits.max]
    elif dtype.kind == "b":
        values = [True, False, False]
    else:
        values = ["", "warm", "naïve größe 😀", "a\0b", "\u2028\ufeff", '\\"],["', "null", "NaN", "true", "1"]
        values = [*values, "long " * 60]
        values = [text.encode() for text in values] if type_ == "Bytes" else values
    return np.resize(np.array(values, dtype), (LENGTH, 2))


SAMPLES = {type_: sample(type_) for type_ in dict(TensorType.items())}
NO_TEXT = np.array([[b"\xff\0x", bytes(range(256))], [b"\x80", b""]], object)
ZEROS = np.array([["a\0", "\0"], ["", "\0\0 \0"]], object)


def assert_same(wire: Wire, answered: Array, sent: Array) -> None:
    """Of one dtype and shape, and equal to a zero's sign; bytes and texts are told apart where the protocol can."""
    if sent.dtype == object and TEXTS_APART in wire.lacks:
        answered, sent = map(encoded, (answered, sent))
    np.testing.assert_array_equal(answered, sent, strict=True)
    if sent.dtype == object:
        assert set(map(type, answered.flat)) == set(map(type, sent.flat))
    if sent.dtype.kind == "f":
        numbers = ~np.isnan(sent)
        assert np.signbit(answered[numbers]).tolist() == np.signbit(sent[numbers]).tolist()


def encoded(texts: Array) -> Array:
    flat = [text.encode() if isinstance(text, str) else text for text in texts.flat]
    return np.array(flat, object).reshape(texts.shape)


def whole(rows: list[int], wire: Wire) -> dict[str, Array]:
    """Every input that the protocol has a type for, these rows of it."""
    types = [type_ for type_ in SAMPLES if type_ != "Bool" or BOOLEANS not in wire.lacks]
    named: dict[str, Array] = {}
    for type_ in types:
        named |= {type_: SAMPLES[type_][rows, 0], f"{type_}_pair": SAMPLES[type_][rows]}
    return named


def check(wire: Wire, identity: Address, tensors: Mapping[str, Array]) -> None:
    """Each tensor comes back by itself; among all others where a request must have all inputs."""
    for name, sent in tensors.items():
        others = whole([i % LENGTH for i in range(len(sent))], wire) if SINGLE_INPUTS in wire.lacks else {}
        request = {**others, name: sent}
        answer = wire.echo(identity, request)
        assert answer.keys() == request.keys()
        assert_same(wire, answer[name], sent)


def need_type(wire: Wire, type_: str) -> None:
    if type_ == "Bool":
        need(wire, BOOLEANS)


@pytest.mark.parametrize("type_", SAMPLES)
def test_values_of_a_type(wire: Wire, identity: Address, type_: str):
    need_type(wire, type_)
    pairs = SAMPLES[type_]
    check(wire, identity, {type_: pairs[:, 0], f"{type_}_pair": pairs})
    check(wire, identity, {type_: pairs[:, 1]})


@pytest.mark.parametrize("type_", SAMPLES)
def test_a_row_by_itself(wire: Wire, identity: Address, type_: str):
    need_type(wire, type_)
    for row in SAMPLES[type_]:
        check(wire, identity, {type_: row[:1], f"{type_}_pair": row[None]})


@pytest.mark.parametrize("type_", [type_ for type_ in SAMPLES if type_.startswith("Float")])
def test_finite_numbers(wire: Wire, identity: Address, type_: str):
    """JSON without NaN and infinities takes other ways through the server."""
    flat = SAMPLES[type_].ravel()
    check(wire, identity, {f"{type_}_pair": np.resize(flat[np.isfinite(flat)], (LENGTH, 2))})


def test_bytes_that_are_no_text(wire: Wire, identity: Address):
    need(wire, RAW_BYTES)
    check(wire, identity, {"Bytes_pair": NO_TEXT, "Bytes": NO_TEXT[:, 0]})


def test_zeros_at_the_end_of_texts(wire: Wire, identity: Address):
    need(wire, FINAL_ZEROS)
    check(wire, identity, {"String_pair": ZEROS, "String": ZEROS[:, 0]})
    check(wire, identity, {"Bytes_pair": encoded(ZEROS), "Bytes": encoded(ZEROS)[:, 0]})


def test_all_types_in_one_request(wire: Wire, identity: Address):
    request = whole([i * i % LENGTH for i in range(MANY)], wire)
    answer = wire.echo(identity, request)
    assert answer.keys() == request.keys()
    for name, sent in request.items():
        assert_same(wire, answer[name], sent)
