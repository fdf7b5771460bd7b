"""Long JSON documents of which long lists come as arrays.

A list that is longer than a piece becomes a :class:`Packed` tensor, or, where it holds objects, columns by name
(:class:`Records`); what does not fit together is :class:`Broken`, for whoever reads it as a tensor to say so. All else
is what a parser makes of it. Numbers are read by simdjson, without a Python object for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from forestflow.codecs.json import nested
from forestflow.codecs.json.growing import Growing
from forestflow.codecs.json.long_json import CHUNK, LONG, NotJson, Range, is_blank, ranges, skip_blanks
from forestflow.codecs.json.number_lists import numbers
from forestflow.domain.errors import InvalidInput, Malformed
from forestflow.domain.tensors import Column

MAX_MEMBERS = 10_000  # of an object that is opened; no model has so many inputs
MAX_OPENED = 12  # levels; what is long and deeper is refused
FEW = 1000  # objects of a list that is left as it is

_PLACE = re.compile(r"line \d+ column \d+ \(char (\d+)\)$")


@dataclass(slots=True)
class Packed:
    """A long list of values or lists, as a tensor."""

    column: Column


@dataclass(slots=True)
class Broken:
    """A long list that is no tensor, and why."""

    why: str


@dataclass(slots=True)
class Records:
    """A long list of objects by ``names``, those of the first; ``columns`` are of the names that all objects have.

    ``odd`` is the first object that has other names, ``further`` are names that the first does not have, and
    ``no_object`` is the first element that is no object.
    """

    names: list[str]
    rows: int = 0
    columns: dict[str, Packed | Broken] = field(default_factory=dict)
    odd: int | None = None
    no_object: int | None = None
    further: set[str] = field(default_factory=set)


_FOUND = frozenset({Packed, Broken, Records})


def loads(body: memoryview, few: int = FEW) -> Any:
    """``nested.loads`` of a long body; a list of objects is left as it is if these are ``few``. Raises Malformed."""
    try:
        return Document(body, few).opened(0, len(body))
    except NotJson as error:
        raise Malformed(f"JSON Parse error: {error}") from None


def short_parts(body: memoryview) -> Iterator[tuple[dict[str, Any] | list[Any], int]]:
    """Everything in a long document, in parts that are parsed, with how deep they are. Raises Malformed."""
    try:
        yield from Document(body).short_parts(0, len(body))
    except NotJson as error:
        raise Malformed(f"JSON Parse error: {error}") from None


def lists(body: memoryview, name: str) -> Iterator[list[Any]]:
    """The elements of that long list of a document that ``loads`` has read, some at a time."""
    document = Document(body)
    _, place = document.members_but(name)
    assert place is not None
    for first, end in document.pieces(*place):
        yield [document.opened(first, end, 2)] if end - first > LONG else document.some(first, end)


def with_columns(values: dict[str, Any]) -> dict[str, Any]:
    """An object whose long lists are columns. Raises InvalidInput for one that is no tensor."""
    if _FOUND.isdisjoint(map(type, values.values())):
        return values
    return {name: tensor(name, one) if is_found(one) else one for name, one in values.items()}


def is_found(value: Any) -> bool:
    """Whether it stands for a long list."""
    return type(value) in _FOUND


def tensor(name: str, value: Any) -> Column:
    """``nested.tensor`` of what ``loads`` gives. Raises InvalidInput."""
    if isinstance(value, Packed):
        return Column(value.column.type, (name,), value.column.data)
    if isinstance(value, Broken):
        raise InvalidInput(f"{nested.input_named(name)}{value.why}")
    if isinstance(value, Records):
        raise InvalidInput(
            f"{nested.input_named(name)} holds an object; expected numbers, booleans or strings, of one type"
        )
    try:
        return nested.tensor(name, value)
    except InvalidInput:  # looked at more closely only now: most lists hold no long ones
        if type(value) is not list or _FOUND.isdisjoint(map(type, value)):
            raise
    return _stacked(name, value)


def _stacked(name: str, values: list[Any]) -> Column:
    rows: Growing | None = None
    for value in values:
        column = tensor(name, value)
        column = Column(column.type, column.fields, column.data[np.newaxis])
        if rows is None:
            rows = Growing(column)
            continue
        rows.add(column)
    assert rows is not None
    return rows.column()


class Document:
    """A long body, opened where it is long; ``parse`` reads what is short, ``few`` objects of a list stay a list.

    ``lazy``: long lists come as :class:`LongList`. Methods raise NotJson, and what ``parse`` does, Malformed.
    """

    def __init__(
        self,
        body: memoryview,
        few: int = FEW,
        parse: Callable[[bytes | memoryview], Any] = nested.loads,
        *,
        lazy: bool = False,
    ) -> None:
        self.body = body
        self.few = few
        self.parse = parse
        self._lazy = lazy

    def opened(self, start: int, stop: int, level: int = 0) -> Any:
        """The value between these bytes, that many levels deep."""
        body, start = self.body, skip_blanks(self.body, start)
        if stop - start > LONG and body[start] in b"{[" and level == MAX_OPENED:
            raise NotJson(f"what is at byte {start} is long, and inside of {level} lists and objects")
        if stop - start > LONG:
            if body[start] == ord("{"):
                document: dict[str, Any] = {}
                for found in self._members(start, stop):
                    if isinstance(found, dict):
                        document |= found
                    else:
                        name, value, end = found
                        document[name] = self.opened(value, end, level + 1)
                return document
            if body[start] == ord("[") and self._lazy:
                return LongList(self, start, stop, level)
            if body[start] == ord("["):
                gathered = _Gathered(self)
                for first, end in self.pieces(start, stop):
                    gathered.read(first, end, level + 1)
                return gathered.result()
            return self._text(start, stop)
        return self.parse(body[start:stop])

    def _text(self, start: int, stop: int) -> Any:
        """A long string, or something with many blanks behind it."""
        text = bytes(self.body[start:stop]).rstrip()
        if len(text) <= LONG:
            return self.parse(text)
        try:
            return msgspec.json.decode(text, type=str)  # parsers of any document take memory for one of that length
        except ValueError as error:  # msgspec's errors are, as is invalid UTF-8
            raise NotJson(f"what begins at byte {start} is not JSON: {error}") from None

    def members_but(self, name: str) -> tuple[dict[str, Any], Range | None]:
        """The body's members, and between which bytes the long list of that name is."""
        document: dict[str, Any] = {}
        place: Range | None = None
        start = skip_blanks(self.body, 0)
        if start == len(self.body) or self.body[start] != ord("{"):
            return self.opened(start, len(self.body)), None
        for found in self._members(start, len(self.body)):
            if isinstance(found, dict):
                document |= found
            elif found[0] == name and self.body[skip_blanks(self.body, found[1])] == ord("["):
                place = skip_blanks(self.body, found[1]), found[2]
            else:
                document[found[0]] = self.opened(found[1], found[2], 1)
        return document, place

    def members(self) -> Iterator[dict[str, Any] | tuple[str, int, int]]:
        """Yield the members of an object: short ones together, and the name of a long one with where its value is."""
        start = skip_blanks(self.body, 0)
        if start == len(self.body) or self.body[start] != ord("{"):
            raise NotJson("expected an object")
        return self._members(start, len(self.body))

    def _members(self, start: int, stop: int) -> Iterator[dict[str, Any] | tuple[str, int, int]]:
        """Short ones, and the name of a long one with where its value begins and ends."""
        names: set[str] = set()
        for first, end in self.pieces(start, stop):
            if end - first > LONG:
                name, value = self._member(first, end)
                found: dict[str, Any] | tuple[str, int, int] = (name, value, end)
                new = {name}
            else:
                found = short = self._short(b"{", first, end, b"}")
                new = set(short)
            if twice := names & new:
                raise NotJson(f"{min(twice)[:80]!r} is given twice in one object")
            names |= new
            if len(names) > MAX_MEMBERS:
                raise NotJson(f"an object of more than {MAX_MEMBERS} members")
            yield found

    def short_parts(self, start: int, stop: int, level: int = 0) -> Iterator[tuple[dict[str, Any] | list[Any], int]]:
        """Everything in a long list or object, in parts that are parsed, with how deep in it they are."""
        start = skip_blanks(self.body, start)
        if stop - start <= LONG or self.body[start] not in b"{[" or level == MAX_OPENED:
            self.opened(start, stop, level)  # a long text, or what is refused
        elif self.body[start] == ord("["):
            for first, end in self.pieces(start, stop):
                if end - first > LONG:
                    yield from self.short_parts(first, end, level + 1)
                else:
                    yield self.some(first, end), level
        else:
            for found in self._members(start, stop):
                if isinstance(found, dict):
                    yield found, level
                else:
                    yield from self.short_parts(found[1], found[2], level + 1)

    def some(self, first: int, end: int) -> list[Any]:
        """The elements between these bytes, parsed."""
        read: list[Any] = self._short(b"[", first, end, b"]")
        return read

    def _short(self, opening: bytes, first: int, end: int, closing: bytes) -> Any:
        """A list or an object of some elements."""
        try:
            return self.parse(b"".join((opening, self.body[first:end], closing)))
        except Malformed as error:
            raise Malformed(_PLACE.sub(lambda found: self._place(first - 1 + int(found[1])), error.message)) from None

    def _place(self, byte: int) -> str:
        line, last = 1, -1
        for start in range(0, byte, CHUNK):
            part = bytes(self.body[start : min(byte, start + CHUNK)])
            if lines := part.count(b"\n"):
                line, last = line + lines, start + part.rfind(b"\n")
        return f"line {line} column {byte - last} (char {byte})"

    def pieces(self, start: int, stop: int) -> Iterator[Range]:
        """Yield between which bytes some elements of a list or an object are, or a long one."""
        end = yield from ranges(self.body, start)
        if not is_blank(self.body[end:stop]):
            raise NotJson(f"unexpected content at byte {skip_blanks(self.body, end)}")

    def _member(self, first: int, end: int) -> tuple[str, int]:
        """The name of a long member, and where its value begins."""
        body, first = self.body, skip_blanks(self.body, first)
        text = bytes(body[first : min(end, first + LONG)])
        close = text.find(b'"', 1)
        while close > 0 and (close - len(text[:close].rstrip(b"\\"))) & 1:
            close = text.find(b'"', close + 1)
        colon = skip_blanks(body, first + close + 1)
        if close < 0 or colon >= len(body) or body[colon] != ord(":"):
            raise NotJson(f"expected a name and a colon at byte {first}")
        name = self.parse(text[: close + 1])
        if type(name) is not str:
            raise NotJson(f"expected a name at byte {first}")
        return name, colon + 1


@dataclass(slots=True, eq=False)
class LongList:
    """A long list that is not read yet."""

    document: Document
    start: int
    stop: int
    level: int

    def pieces(self) -> Iterator[Range]:
        """Between which bytes some elements are, or a long one."""
        return self.document.pieces(self.start, self.stop)

    def elements(self) -> Iterator[Any]:
        """One after another, with long lists inside that are not read yet either."""
        for first, end in self.pieces():
            if end - first > LONG:
                yield self.document.opened(first, end, self.level + 1)
            else:
                yield from self.document.some(first, end)


class _Gathered:
    """What the elements of a long list have been so far."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0
        self._rows: Growing | None = None
        self._why: str | None = None
        self._objects: list[Any] | None = None  # the elements, while they are few
        self._records: _GrowingRecords | None = None

    def read(self, first: int, end: int, level: int) -> None:
        """Takes over the elements between these bytes. Raises Malformed."""
        document = self._document
        if end - first > LONG:
            self._add([document.opened(first, end, level)])
            return
        column = None
        if self._objects is None and self._records is None:
            column = numbers(b"".join((b"[", document.body[first:end], b"]")))
        if column is None:
            self._add(document.some(first, end))
        else:
            self._grow(column)

    def result(self) -> Any:
        """The whole list."""
        if self._records is not None:
            return self._records.result()
        if self._objects is not None:
            return self._objects
        if self._why is not None:
            return Broken(self._why)
        return Packed(self._rows.column()) if self._rows is not None else []

    def _add(self, values: list[Any]) -> None:
        if self._records is not None:
            self._records.add(values)
        elif self._objects is not None:
            self._objects += values
            if len(self._objects) > self._document.few:
                self._records, self._objects = _GrowingRecords(self._objects), None
        elif not self._count and type(values[0]) is dict and not nested.is_b64(values[0]):
            self._objects = []
            self._add(values)
        elif self._why is None:
            try:
                self._grow(tensor("", values))
            except InvalidInput as error:
                self._why = _why("", error)

    def _grow(self, column: Column) -> None:
        self._count += len(column.data)
        if self._why is not None:
            return
        if self._rows is None:
            self._rows = Growing(column)
            return
        try:
            self._rows.add(column)
        except InvalidInput as error:
            self._why, self._rows = _why("", error), None


class _GrowingRecords:
    """Columns by name, a piece at a time."""

    def __init__(self, objects: list[Any]) -> None:
        self._names = objects[0].keys()
        self._found = Records(list(self._names))
        self._growing: dict[str, Growing | Broken | None] = dict.fromkeys(self._names)
        self.add(objects)

    def add(self, objects: list[Any]) -> None:
        found = self._found
        if found.no_object is None and set(map(type, objects)) != {dict}:
            found.no_object = found.rows + next(i for i, one in enumerate(objects) if type(one) is not dict)
        if found.no_object is None:
            odd = [i for i, one in enumerate(objects) if one.keys() != self._names]
            if odd and found.odd is None:
                found.odd = found.rows + odd[0]
            for i in odd:
                found.further.update(objects[i].keys() - self._names)
            for name, growing in list(self._growing.items()):
                self._grow(name, growing, objects)
        found.rows += len(objects)

    def _grow(self, name: str, growing: Growing | Broken | None, objects: list[Any]) -> None:
        if isinstance(growing, Broken):
            return
        try:
            column = tensor(name, [one[name] for one in objects])
            if growing is None:
                self._growing[name] = Growing(column)
            else:
                growing.add(column)
        except KeyError:  # not all objects have it
            del self._growing[name]
        except InvalidInput as error:
            self._growing[name] = Broken(_why(name, error))

    def result(self) -> Records:
        for name, growing in self._growing.items():
            if growing is not None:
                self._found.columns[name] = growing if isinstance(growing, Broken) else Packed(growing.column())
        return self._found


def _why(name: str, error: InvalidInput) -> str:
    """The error's message without the name of the input, for it may be known by another one."""
    return error.message.removeprefix(nested.input_named(name))
