"""Long bodies of doubles, all numbers at once: what the general reading gives, to the last bit, or left to it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestflow.codecs.basic import codec as basic
from forestflow.codecs.basic.codec import decode_request
from forestflow.codecs.basic.float_rows import decode_floats
from forestflow.domain.errors import ForestFlowError
from tests.unit.codecs.strategies import assert_same


def general(body):
    """As ``decode_request`` reads a body that is not long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(basic, "LONG_BODY", len(body) + 1)
        return decode_request(body)


def body_of(rows, fields="abc", kind="Float64", configs=None, **how):
    datum = [{"tensors": [{kind: {"data": row}}]} for row in rows]
    schema = [{"type": kind, "fields": list(fields)}]
    return json.dumps({"schema": schema, "datum": datum, "configs": configs or {}}, **how).encode()


def at_once(body):
    return decode_floats(body, general)


ROWS = [[1.5, -2, 3e-300], [0, 0.1, -0.0], [1e22, 123456789012345678, -7.25]]


@pytest.mark.parametrize("how", [{}, {"indent": 1}, {"separators": (",", ":")}, {"sort_keys": True}])
def test_numbers_of_any_form(how):
    body = body_of(ROWS, configs={"data": "[x]"} if how else None, **how)
    request = at_once(body)
    if b'"data": "[x]"' in body or b'"data":"[x]"' in body:
        assert request is None
    else:
        assert_same(request.batch, general(body).batch)
    body = body_of(ROWS, configs={"k": "v]"}, **how)
    request = at_once(body)
    assert_same(request.batch, general(body).batch)
    assert request.configs == {"k": "v]"}
    assert math.copysign(1, request.batch.columns[0].data[1, 2]) == -1


@given(
    st.lists(
        st.lists(
            st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1), min_size=2, max_size=2
        ),
        min_size=2,
        max_size=6,
    )
)
def test_any_numbers(rows):
    body = body_of(rows, "ab")
    assert_same(at_once(body).batch, general(body).batch)


def test_one_field_takes_lists_of_any_length():
    body = body_of([[1, 2, 3], [4, 5, 6]], ["only"])
    assert_same(at_once(body).batch, general(body).batch)


WRONG = {
    "a record less wide": body_of([[1, 2, 3], [4, 5], [6, 7, 8]]),
    "as many numbers in all": body_of([[1, 2, 3], [4, 5], [6, 7, 8, 9]]),
    "a nested list": body_of([[1, 2, 3], [[4, 5], 6], [7, 8, 9]]),
    "a text": body_of([[1, 2, 3], ["NaN", 5, 6], [7, 8, 9]]),
    "null": body_of([[1, 2, 3], [None, 5, 6], [7, 8, 9]]),
    "true": body_of([[1, 2, 3], [True, 5, 6], [7, 8, 9]]),
    "too large": body_of([[1, 2, 3], [4, 5, 6]]).replace(b"5", b"1e999"),
    "very long integers": body_of([[1, 2, 3], [4, 10**30, 6]]),
    "minus zero": body_of([[1, 2, 3], [4, 5, 6]]).replace(b"5", b"-0"),
    "bare NaN": body_of([[1, 2, 3], [4, math.nan, 6]]),
    "an empty list": body_of([[], []]),
    "an empty record": body_of([[1, 2, 3], []]),
    "a comma too many": body_of([[1, 2, 3], [4, 5, 6]]).replace(b"4, 5", b"4,, 5"),
    "no number": body_of([[1, 2, 3], [4, 5, 6]]).replace(b"5", b"x"),
    "a leading zero": body_of([[1, 2, 3], [4, 5, 6]]).replace(b"5", b"05"),
    "an end too early": body_of(ROWS)[:-3],
    "more behind the end": body_of(ROWS) + b"]",
    "one record": body_of(ROWS[:1]),
    "another type": body_of(ROWS, kind="Float32"),
    "a list inside a number list closed": body_of([[1, 2, 3], [4, 5, 6], [7, 8, 9]]).replace(b"5, 6", b"5, 6], [6"),
    "two tensors": body_of(ROWS).replace(b"]}}]}, {", b"]}}, {}]}, {", 1),
    "a second datum": body_of(ROWS)[:-1] + b', "datum": []}',
    "nothing": b"",
    "names alone": b'"data""data"[]',
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_left_to_the_general_reading(name):
    body = WRONG[name]
    request = at_once(body)
    if request is not None:
        assert_same(request.batch, general(body).batch)
    assert request is None


@given(st.data())
def test_a_damaged_body_is_read_as_the_general_reading_does(data):
    body = bytearray(body_of([[n, n + 0.5, -n] for n in range(5)]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.sampled_from(list(b'0123456789-+.eE,[]{}": natx')))
    damaged = bytes(body)
    request = at_once(damaged)
    if request is not None:
        expected = general(damaged)
        assert_same(request.batch, expected.batch)
        assert request.configs == expected.configs


def test_long_bodies_are_read_so(monkeypatch):
    rows = np.random.default_rng(5).normal(size=(2_000, 3)).tolist()
    body = body_of(rows)
    assert len(body) > basic.LONG_BODY
    expected = general(body)
    monkeypatch.setattr(basic, "decode_basic", lambda body: pytest.fail("number by number"))
    assert_same(decode_request(body).batch, expected.batch)
    assert decode_request(memoryview(body)).batch.rows == 2_000
    monkeypatch.undo()
    with pytest.raises(ForestFlowError):
        decode_request(body[:-2])
