"""Long BASIC bodies of doubles, read without a Python object for each number.

All records of such a body are the same text but for their numbers, which are one flat list each. So the body is cut
wherever that text stands between two lists, and the lists, joined, are one flat array of numbers, which simdjson reads.
That the rest of the body is right, one and two small records in it show, decoded as any other body; that the lists are
lists of as many numbers, their commas show. All this is done to some of the lists at a time.

Measured (CPython 3.11, one core): 1,000 x 30 doubles of twelve digits 1.1 ms, 1.7 ms with an object for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt
import simdjson

from forestflow.codecs.request import ScoreRequest
from forestflow.domain.errors import ForestFlowError
from forestflow.domain.tensors import Batch, Column, TensorType

_NAME = b'"data"'
_COUNT = np.uint16  # of commas in a list; one that overflows shows in the number of all
_MAX_WIDTH = np.iinfo(_COUNT).max
MAX_AROUND = 1 << 16  # bytes of one and two records with all that is no record
PIECE = 1 << 16  # bytes read at a time: what they need is little beside the numbers
_parser = simdjson.Parser()
_MINUS_ZERO = re.compile(rb"-0(?![.0-9eE])")  # an integer, whose sign would be lost


def decode_floats(body: bytes, decode: Callable[[bytes], ScoreRequest]) -> ScoreRequest | None:
    """What ``decode``, which reads any body, returns for this one; ``None`` where that is left to it."""
    first = _list_after(body, body.find(_NAME))
    last = _list_after(body, body.rfind(_NAME))
    if first is None or last is None or first >= last:
        return None
    second = _list_after(body, body.find(_NAME, first[1]))
    if second is None:
        return None
    head, between, tail = body[: first[0]], body[first[1] : second[0]], body[last[1] :]
    sample = body[first[0] : first[1]]
    if len(head) + len(between) + len(tail) + 2 * len(sample) > MAX_AROUND:
        return None
    try:
        one = decode(b"".join((head, sample, tail)))
        two = decode(b"".join((head, sample, between, sample, tail)))
    except ForestFlowError:
        return None
    if (one.batch.rows, two.batch.rows, len(one.batch.columns)) != (1, 2, 1) or one.configs != two.configs:
        return None
    (column,) = one.batch.columns
    if column.type is not TensorType.Float64:
        return None
    width = column.data.size
    rows = 1 + body.count(between, first[0], last[1])
    if rows * (2 * width - 1) > last[1] - first[0]:  # a number and a comma are two bytes
        return None
    numbers = np.empty((rows, width))
    done, start = 0, first[0]
    while start <= last[1]:
        stop = body.find(between, start + PIECE, last[1])
        stop = last[1] if stop < 0 else stop
        some = _numbers(body[start:stop], between, width) if stop - start <= 2 * PIECE else None
        if some is None or done + len(some) > rows:
            return None
        numbers[done : done + len(some)] = some
        done, start = done + len(some), stop + len(between)
    if done != rows:
        return None
    made = Column(column.type, column.fields, numbers.reshape(rows, *column.data.shape[1:]))
    return ScoreRequest(Batch(rows, (made,)), one.configs)


def _list_after(body: bytes, name: int) -> tuple[int, int] | None:
    """Where what is in the list behind that name begins and ends."""
    start = body.find(b"[", name) + 1
    end = body.find(b"]", start)
    return (start, end) if name >= 0 and 0 < start <= end else None


def _numbers(text: bytes, between: bytes, width: int) -> npt.NDArray[np.float64] | None:
    """All of some lists, a row each; ``None`` if a list has not ``width`` numbers or they are not plain ones.

    ``text`` holds the lists, with ``between`` between them.
    """
    letters = np.frombuffer(bytearray(text.replace(between, b"]")), np.uint8)
    ends = np.flatnonzero(letters == ord("]"))
    if not 0 < width <= _MAX_WIDTH or not letters.size or (letters == ord("[")).any():
        return None
    commas = np.add.reduceat((letters == ord(",")).view(np.uint8), [0, *ends], dtype=_COUNT)
    if (commas != width - 1).any():
        return None
    letters[ends] = ord(",")
    flat = b"".join((b"[", letters.data, b"]"))
    try:
        array = cast(simdjson.Array, _parser.parse(flat))
        numbers = np.frombuffer(array.as_buffer(of_type="d"), np.float64)
    except (ValueError, TypeError, RuntimeError):  # other values, or what is no JSON at all
        return None
    if numbers.size != width * (len(ends) + 1) or (not numbers.all() and _MINUS_ZERO.search(flat)):
        return None
    return numbers.reshape(-1, width)
