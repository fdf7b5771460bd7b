"""Cutting JSON: the pieces hold what a parser finds in the whole."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forestflow.codecs.json import long_json
from forestflow.codecs.json.long_json import NotJson, ranges

TEXTS = st.text(st.sampled_from('ab"\\[]{},:\n é'), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False, width=16)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=30,
)
CHUNKS = st.integers(1, 40)


def cut(text: bytes, chunk: int) -> list[bytes]:
    """The pieces of a list or an object that is all of the text."""
    view, found = memoryview(text), []

    def ended():
        end = yield from ranges(view, 0)
        assert end == len(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_json, "CHUNK", chunk)
        for first, end in ended():
            found.append(text[first:end])
    return found


@given(st.lists(VALUES, max_size=30), CHUNKS, st.sampled_from([None, 1]), st.booleans())
@example([1] * 30, 4, None, False)
@example([[1, 2], [3], [4]] * 5, 5, None, False)
def test_elements(values, chunk, indent, ascii_only):
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    pieces = cut(text, chunk)
    assert [element for piece in pieces for element in orjson.loads(b"[%b]" % piece)] == values


@given(st.dictionaries(TEXTS, VALUES, max_size=20), CHUNKS)
def test_members(members, chunk):
    text = json.dumps(members).encode()
    found = {}
    for piece in cut(text, chunk):
        found |= orjson.loads(b"{%b}" % piece)
    assert found == members


@given(st.lists(st.integers(0, 9), min_size=200, max_size=300) | st.lists(TEXTS, min_size=200, max_size=300))
def test_pieces_are_short_where_elements_are(values):
    text = json.dumps(values).encode()
    assert max(map(len, cut(text, 50))) <= 2 * 50 + max(len(json.dumps(value)) for value in values)


def test_a_long_element_is_a_piece_by_itself():
    values = ["a", "b" * 300, "c", [1] * 100, "d"]
    pieces = cut(json.dumps(values).encode(), 30)
    assert [json.loads(piece) for piece in pieces if len(piece) > 60] == [values[1], values[3]]


@pytest.mark.parametrize(
    "text", ["[1,]", "[,1]", "[,]", "[ , ]", "[1}", "{]", "[1", '["', '["a\\"]', "[[1]", "[1,[2,3]", "["]
)
@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_what_does_not_end_or_misses_a_value(text, chunk):
    try:
        pieces = cut(text.encode(), chunk)
    except NotJson:
        return
    with pytest.raises(orjson.JSONDecodeError):  # a piece is not JSON by itself
        [orjson.loads(b"[%b]" % piece) for piece in pieces]


def test_an_empty_list_has_no_pieces():
    assert cut(b"[]", 10) == cut(b"[ \n ]", 2) == []
