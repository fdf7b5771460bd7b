"""Decoding a long body in pieces: the same as at once, whatever the bytes are."""

from __future__ import annotations

import json

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow.codecs.basic import pieces
from forestflow.codecs.basic.codec import decode_request
from forestflow.domain.errors import ForestFlowError
from tests.profiles import up_to
from tests.unit.codecs.long_bodies import read_as_long
from tests.unit.codecs.strategies import assert_same, inference_requests
from tests.unit.codecs.test_basic_decoding import body


def run(text: bytes, piece: int = 20):
    """The outcome, and in how many steps it came."""
    before, pieces.PIECE_BYTES = pieces.PIECE_BYTES, piece
    decoding, steps = pieces.decode_basic(text), 1
    try:
        while True:
            try:
                next(decoding)
            except StopIteration as done:
                return done.value, steps
            except ForestFlowError as error:
                return error, steps
            steps += 1
    finally:
        pieces.PIECE_BYTES = before


def check(text: bytes) -> int:
    outcome, steps = run(text)
    wanted = whole(text)
    if isinstance(wanted, ForestFlowError):
        assert (type(outcome), outcome.message) == (type(wanted), wanted.message)
    else:
        assert_same(outcome.batch, wanted.batch)
        assert outcome.configs == wanted.configs
    return steps


def whole(text: bytes):
    try:
        return decode_request(text)
    except ForestFlowError as error:
        return error


@settings(deadline=None, max_examples=up_to(300))
@given(inference_requests(), st.sampled_from([None, 1]), st.data())
def test_pieces_give_what_the_whole_gives(message, indent, data):
    text = json.dumps(MessageToDict(message), indent=indent).encode()
    check(text)
    start = data.draw(st.integers(0, len(text)))
    check(text[:start] + data.draw(st.binary(max_size=3)) + text[start + data.draw(st.integers(0, 3)) :])


ROWS = [[("Float64", [n, n + 0.5])] for n in range(50)]
FLOATS = ("Float64", "a", "b")


@pytest.mark.parametrize(
    "text",
    [
        body([FLOATS], *ROWS),
        body([FLOATS], *ROWS, configs={"a": '{"tensors"'}),
        body([FLOATS], *ROWS).replace(b" 7.5", b' "7.5"'),
        body([FLOATS], *ROWS).replace(b" ", b""),
        body([FLOATS], *ROWS).replace(b" ", b"\n\t "),
        body([("String", "a")], *[[("String", [f'{{"tensors": {n}}}'])] for n in range(50)]),
        body([("String", "tensors")], *[[("String", ["tensors"])] for _ in range(50)]),
    ],
)
def test_usual_forms_take_many_steps(text):
    assert check(text) > 20


@pytest.mark.parametrize(
    "text",
    [
        body([FLOATS], *ROWS, configs={"tensors": '{"tensors"'}),
        b"",
        b'{"tensors"' * 1000,
        b'"tensors"' * 1000,
        body([FLOATS]),
        body([FLOATS], ROWS[0]),
        body([], *ROWS),
        body([FLOATS], *ROWS).replace(b'"tensors"', b'"values"'),
        body([FLOATS], *ROWS).replace(b"7.5]", b"7.5, 8]"),
        body([FLOATS], *ROWS).replace(b"}, {", b"} {"),
        body([FLOATS], *ROWS)[:-1] + b',"datum":[{ "tensors":[{"Float64":{"data":[1,2]}}]}]}',
        body([FLOATS], *ROWS).replace(b'[{"tensors"', b'[{}, {"tensors"'),
        body([("Float64", "a")], *ROWS, [("Float64", [1.0])]),
        body([("Int8", "a")], *[[("Int8", [n])] for n in (1, 2, 3, 1000, 5, 6, 7, 8)]),
    ],
)
def test_whatever_else_it_is(text):
    check(text)


# --- bodies of any form, cut between their datums --------------------------------------------------------------------


def check_cut(text: bytes, chunk: int = 24) -> None:
    wanted = whole(text)
    with read_as_long(chunk):
        outcome, _ = run(text, chunk)
    if isinstance(wanted, ForestFlowError):
        assert type(outcome) is type(wanted), (outcome, wanted)
    else:
        assert not isinstance(outcome, ForestFlowError), outcome
        assert_same(outcome.batch, wanted.batch)
        assert outcome.configs == wanted.configs


@settings(deadline=None, max_examples=up_to(300))
@given(inference_requests(), st.sampled_from([None, 1]), st.booleans(), st.integers(100, 400), st.data())
def test_cut_bodies_give_what_the_whole_gives(message, indent, sort, chunk, data):
    text = json.dumps(MessageToDict(message), indent=indent, sort_keys=sort).encode()
    check_cut(text, chunk)
    start = data.draw(st.integers(0, len(text)))
    check_cut(text[:start] + data.draw(st.binary(max_size=3)) + text[start + data.draw(st.integers(0, 3)) :], chunk)


@pytest.mark.parametrize("kind", ["Float64", "Float32", "Float16", "Int8", "Int64", "UInt64", "Bool", "String"])
@pytest.mark.parametrize(
    "values", [[1, 2, 3] * 40, [1.5] * 90, [True] * 50, ["7"] * 50, [300] * 50, [2**63] * 50, [1] * 50 + ["NaN"], []]
)
def test_one_long_datum(kind, values):
    check_cut(body([(kind, "x")], [(kind, values)]))
    check_cut(body([(kind, "x"), ("Int64", "y")], [(kind, values), ("Int64", [1])], [(kind, values), ("Int64", [2])]))
    check_cut(body([(kind, "data")], [(kind, values)], configs={"data": '"data"'}))


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ([("Float64", [1.0])], "datum 50, Float64 tensor: 1 values for 2 fields of the schema"),
        ([("Int8", [1, 2])], "the datums hold a Int8 tensor, the schema names only Float64"),
    ],
)
def test_a_datum_that_does_not_fit_is_told_by_its_number(last, why):
    text = body([FLOATS], *ROWS, last).replace(b'{"tensors"', b'{ "tensors"')
    with read_as_long(64):
        outcome, _ = run(text, 64)
    assert outcome.message == why


def test_lists_of_another_length_are_told_by_their_number():
    text = body([("Float64", "a")], *[[("Float64", [1.0, 2.0])]] * 50, [("Float64", [1.0])])
    with read_as_long(64):
        outcome, _ = run(text, 64)
    assert outcome.message.startswith("datum 50, Float64 tensor: 1 values for 'a', datum ")
    assert outcome.message.endswith(" has 2")
