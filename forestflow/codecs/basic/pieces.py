"""Long BASIC bodies, decoded a piece at a time: little is in memory beside the columns that come of it, and whoever
decodes may do other things in between.

A record begins at ``{"tensors"``. In JSON that text cannot be inside a string, where its quotes would be escaped, so a
search finds the records without reading what is between them. All that is not records, with the last one, is a small
request by itself: it is decoded first. Then come the other records, some at a time. A body of any other form is cut
between its datums (``long_json``), which takes longer.

Measured (CPython 3.11, one core): 100,000 x 5 doubles in pieces of 1 ms.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from forestflow.codecs.basic.body import MAX_FAST, decode_body, decode_head, decode_lanes, members_of_datums
from forestflow.codecs.json import inference_json
from forestflow.codecs.json import strict as strict_json
from forestflow.codecs.json.columns import assemble, column
from forestflow.codecs.json.growing import Growing
from forestflow.codecs.json.long_json import LONG, NotJson
from forestflow.codecs.json.packed import Document, LongList
from forestflow.codecs.request import ScoreRequest
from forestflow.domain.errors import ForestFlowError, InvalidInput
from forestflow.domain.tensors import Batch, Column, TensorType
from forestflow.domain.unique_keys import has_all

PIECE_BYTES = 1 << 16
_NAME = b'"tensors"'
_DATA = b'"data"'
_MAX_GAP = 64  # bytes of blanks between a record's brace and its first name
_MAX_MISSES = 64  # finds of the name that are something else, until this is given up


def decode_basic(body: bytes) -> Generator[None, None, ScoreRequest]:
    """What :func:`~forestflow.codecs.basic.body.decode_body` returns, or raises, after as many steps as it takes."""
    try:
        request = yield from _records(body)
    except (ValueError, KeyError, RecursionError, ForestFlowError):
        request = None
    if request is None:
        request = yield from _datums(body)
    return request


class _Columns:
    """The columns of some records, and of all before them."""

    def __init__(self) -> None:
        self.rows = 0
        self._growing: list[Growing] = []

    def add(self, columns: Sequence[Column]) -> bool:
        """Whether they are like those before: as many, of the same types and shapes."""
        if not self.rows:
            self._growing = [Growing(one) for one in columns]
        elif [growing.signature for growing in self._growing] != [
            (c.type, c.fields, c.data.shape[1:]) for c in columns
        ]:
            return False
        else:
            for growing, one in zip(self._growing, columns, strict=True):
                growing.add(one)
        self.rows += len(columns[0].data)
        return True

    def batch(self) -> Batch:
        return Batch(self.rows, tuple([growing.column() for growing in self._growing]))


def _records(body: bytes) -> Generator[None, None, ScoreRequest | None]:
    first, last = _record_after(body, 0), _last_record(body)
    if not 0 <= first < last or first + len(body) - last > LONG:
        return None
    ends = body[:first] + body[last:]
    whole = decode_body(ends)
    if whole.batch.rows != 1 or b'"datum"' in body[last:]:
        return None
    schema = [(TensorType[entry.type], tuple(entry.fields)) for entry in decode_head(ends).schema]
    kinds = tuple([kind for kind, _ in schema])
    if not 0 < len(kinds) <= MAX_FAST:
        return None
    columns = _Columns()
    start = first
    while start < last:
        yield
        found = _record_after(body, start + PIECE_BYTES)
        stop = found if 0 <= found < last else last
        piece = body[start:stop].rstrip()
        if not piece.endswith(b",") or len(piece) > PIECE_BYTES + LONG:
            return None
        lanes = decode_lanes(kinds, b"[%b]" % piece[:-1])
        if not has_all(piece, members_of_datums(len(lanes[0]), len(kinds))):
            return None
        if not columns.add([column(kind, fields, lane) for (kind, fields), lane in zip(schema, lanes, strict=True)]):
            return None
        start = stop
    yield
    return ScoreRequest(columns.batch(), whole.configs) if columns.add(whole.batch.columns) else None


def _record_after(body: bytes, start: int) -> int:
    """Where the next record begins; -1 where none is found."""
    for _ in range(_MAX_MISSES):
        name = body.find(_NAME, start)
        if name < 0:
            return -1
        brace = _brace_before(body, name)
        if brace >= start:
            return brace
        start = name + len(_NAME)
    return -1


def _last_record(body: bytes) -> int:
    end = len(body)
    for _ in range(_MAX_MISSES):
        end = body.rfind(_NAME, 0, end)
        if end < 0:
            return -1
        brace = _brace_before(body, end)
        if brace >= 0:
            return brace
    return -1


def _brace_before(body: bytes, name: int) -> int:
    """The brace that only blanks part from the name; -1 where there is none."""
    brace = body.rfind(b"{", max(0, name - _MAX_GAP), name)
    return brace if brace >= 0 and not body[brace + 1 : name].strip() else -1


def _datums(body: bytes) -> Generator[None, None, ScoreRequest]:
    """A body of any form."""
    if len(body) <= LONG:
        return decode_body(body)
    try:
        return (yield from _cut(body))
    except NotJson as error:
        raise strict_json.malformed(str(error)) from None


def _cut(body: bytes) -> Generator[None, None, ScoreRequest]:
    document = Document(memoryview(body), parse=strict_json.loads, lazy=True)
    members, datum = document.members_but("datum")
    schema, configs = inference_json.head(members)
    columns = _Columns()
    if datum is None:  # it is no list, or short
        return ScoreRequest(assemble(schema, inference_json.datums(members)), configs)
    for first, end in document.pieces(*datum):
        yield
        long = end - first > LONG
        values = [_long_datum(body, document, first, end)] if long else document.some(first, end)
        tensors = [inference_json.datum(value, columns.rows + i) for i, value in enumerate(values)]
        batch = assemble(schema, tensors, columns.rows)
        if not columns.add(batch.columns):
            raise _unlike(columns.rows, batch, columns.batch())
    return ScoreRequest(columns.batch() if columns.rows else assemble(schema, []), configs)


def _long_datum(body: bytes, document: Document, start: int, stop: int) -> Any:
    """A record with its long lists unread."""
    name = body.find(_DATA, start, stop)
    first, last = body.find(b"[", name, stop), body.find(b"]", name, stop) + 1
    around = stop - start - (last - first)
    # One flat list, beside which there is little: no need to look for it level by level.
    if 0 <= name < first < last and around < LONG < last - first and body.find(b'"', first, last) < 0:
        record = strict_json.loads(b"%bnull%b" % (body[start:first], body[last:stop]))
        if _filled(record, LongList(document, first, last, 1)):
            return record
    return document.opened(start, stop, 1)


def _filled(record: Any, values: LongList) -> bool:
    """Whether they are the data of the record's only tensor, and now there."""
    tensors = record.get("tensors") if isinstance(record, dict) else None
    if not isinstance(tensors, list) or len(tensors) != 1 or not isinstance(tensors[0], dict) or len(tensors[0]) != 1:
        return False
    (tensor,) = tensors[0].values()
    if not isinstance(tensor, dict) or "data" not in tensor or tensor["data"] is not None:
        return False
    tensor["data"] = values
    return True


def _unlike(first: int, batch: Batch, before: Batch) -> InvalidInput:
    """What is different in the records from that number on."""
    for one, other in zip(batch.columns, before.columns, strict=False):
        if one.type is other.type and one.data.shape[1:] != other.data.shape[1:]:
            return InvalidInput(
                f"datum {first}, {one.type.name} tensor: {one.data.shape[1]} values for {one.fields[0]!r}, "
                f"datum 0 has {other.data.shape[1]}"
            )
    names = [", ".join(column.type.name for column in some.columns) for some in (batch, before)]
    return InvalidInput(f"datum {first} has tensors of {names[0]}, datum 0 has {names[1]}")
