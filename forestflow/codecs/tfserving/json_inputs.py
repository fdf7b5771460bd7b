"""TensorFlow Serving's predict bodies for models with inputs that take JSON: these are texts, uncut as they came.

Such values are no tensors: lists of different lengths, objects, null. Every other input of the same request is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import msgspec
import numpy as np

from forestflow.codecs.json import nested, packed
from forestflow.codecs.json.growing import Growing
from forestflow.codecs.json.long_json import LONG, skip_blanks
from forestflow.domain.tensors import Batch, Column, ModelMetadata, TensorType

_members_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_values = msgspec.json.Decoder(list[msgspec.Raw]).decode


class JsonInputs:
    """Which inputs of a model take JSON; ``only`` is the model's only input, if it does."""

    def __init__(self, names: Set[str], only: str | None) -> None:
        self._names = names
        self._only = only

    @classmethod
    def of(cls, model: ModelMetadata) -> JsonInputs | None:
        """Return the inputs of a model that take JSON; ``None`` for a model without any."""
        names = frozenset(io.name for io in model.inputs if io.json)
        return cls(names, model.inputs[0].name if len(model.inputs) == 1 else None) if names else None

    def read(self, body: memoryview) -> tuple[Batch, dict[str, Any]] | None:
        """The batch, and the members of the body beside what holds it, which is ``None`` there.

        ``None`` for a body of another form, and for one that is wrong. Raises InvalidInput, Malformed.
        """
        try:
            given = _members(body)
            name = "instances" if "instances" in given else "inputs"
            value = given.pop(name)
            batch = self._instances(value) if name == "instances" else self._inputs(value)
            return batch, {**{key: _parsed(text) for key, text in given.items()}, name: None}
        except (ValueError, KeyError, RecursionError):  # msgspec's errors are ValueErrors, as are those of UTF-8
            return None

    def _instances(self, given: memoryview) -> Batch:
        """The row form. Raises ValueError where it is not this."""
        growing: dict[str, Growing] = {}
        for piece in _pieces(given):
            rows = self._rows_of(piece)
            names = growing.keys() or rows[0].keys()
            if any(row.keys() != names for row in rows):
                raise ValueError("instances of different keys")
            for name in list(rows[0]):
                raws = [row[name] for row in rows]
                is_json = name in self._names
                column = _texts(name, raws) if is_json else _tensor(name, memoryview(b"[%b]" % b",".join(raws)))
                _grow(growing, name, column)
        return nested.batch_of([one.column() for one in growing.values()])

    def _rows_of(self, piece: bytes | memoryview) -> list[dict[str, msgspec.Raw]]:
        try:
            rows = _objects(piece)
            _refuse_repeated(piece, rows)
        except msgspec.ValidationError:
            if self._only is None:
                raise
            rows = [{self._only: value} for value in _values(piece)]
            if any(_is_object(row[self._only]) for row in rows):  # objects have names
                raise
        if not rows or not rows[0] or rows[0].keys() == {"b64"}:
            raise ValueError("no rows")
        return rows

    def _inputs(self, given: memoryview) -> Batch:
        """The column form. Raises ValueError where it is not this."""
        named = {self._only: given} if self._only is not None and not _is_object(given) else _members(given)
        if not named or named.keys() == {"b64"}:
            raise ValueError("no inputs")
        return nested.batch_of([self._input(name, text) for name, text in named.items()])

    def _input(self, name: str, text: memoryview) -> Column:
        if name not in self._names:
            return _tensor(name, text)
        growing: dict[str, Growing] = {}
        for piece in _pieces(text):
            _grow(growing, name, _texts(name, _values(piece)))
        return growing[name].column()


def _members(text: memoryview) -> dict[str, memoryview]:
    """The members of an object, unread. Raises ValueError for anything else."""
    if len(text) <= LONG:
        return {name: memoryview(raw) for name, raw in _object(text).items()}
    members: dict[str, memoryview] = {}
    for found in packed.Document(text, parse=_unread).members():
        if isinstance(found, dict):
            members |= {name: memoryview(raw) for name, raw in found.items()}
        else:
            name, start, stop = found
            members[name] = text[skip_blanks(text, start) : stop]
    return members


def _object(text: bytes | memoryview) -> dict[str, msgspec.Raw]:
    members = _members_of(text)
    _refuse_repeated(text, [members])
    return members


def _refuse_repeated(text: bytes | memoryview, objects: Sequence[Mapping[str, msgspec.Raw]]) -> None:
    """Raises Malformed where one of these objects, which are all of ``text``, has a name twice; no value is looked at.

    All colons are within the values, but for one of each member, and those in names.
    """
    known = sum(1 + bytes(value).count(b":") for members in objects for value in members.values())
    if bytes(text).count(b":") > known:
        _parsed(memoryview(text))


def _unread(text: bytes | memoryview) -> Any:
    return _object(text) if text[:1] == b"{" else nested.loads(text)


def _pieces(text: memoryview) -> Iterator[bytes | memoryview]:
    """A list as JSON lists of some of its elements."""
    if len(text) <= LONG:
        yield text
        return
    for first, end in packed.Document(text).pieces(0, len(text)):
        yield b"".join((b"[", text[first:end], b"]"))


def _is_object(raw: msgspec.Raw | memoryview) -> bool:
    return memoryview(raw)[0] == ord("{")


def _texts(name: str, raws: Sequence[msgspec.Raw]) -> Column:
    texts = np.empty(len(raws), object)
    texts[:] = [bytes(raw).decode() for raw in raws]
    return Column(TensorType.String, (name,), texts)


def _tensor(name: str, text: memoryview) -> Column:
    return packed.tensor(name, _parsed(text))


def _parsed(text: memoryview) -> Any:
    return packed.loads(text) if len(text) > LONG else nested.loads(text)


def _grow(growing: dict[str, Growing], name: str, column: Column) -> None:
    if name in growing:
        growing[name].add(column)
    else:
        growing[name] = Growing(column)
