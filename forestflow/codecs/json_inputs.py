"""TensorFlow Serving's predict bodies for models with inputs that take JSON: these are texts, uncut as they came.

Such values are no tensors: lists of different lengths, objects, null. Every other input of the same request is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any

import msgspec
import numpy as np

from forestflow.codecs import nested, packed
from forestflow.codecs.growing import Growing
from forestflow.codecs.long_json import LONG
from forestflow.domain.tensors import Batch, Column, ModelMetadata, TensorType

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_values = msgspec.json.Decoder(list[msgspec.Raw]).decode


class JsonInputs:
    """Which inputs of a model take JSON; ``only`` is the model's only input, if it does."""

    def __init__(self, names: Set[str], only: str | None) -> None:
        self._names = names
        self._only = only

    @classmethod
    def of(cls, model: ModelMetadata) -> JsonInputs | None:
        """Those of a model; ``None`` for one that has none."""
        names = frozenset(io.name for io in model.inputs if io.json)
        return cls(names, model.inputs[0].name if len(model.inputs) == 1 else None) if names else None

    def read(self, body: memoryview) -> tuple[Batch, dict[str, Any]] | None:
        """The batch, and the members of the body beside what holds it, which is ``None`` there.

        ``None`` for a body of another form, and for one that is wrong. Raises InvalidInput, Malformed.
        """
        try:
            if len(body) > LONG:
                members, place = packed.Document(body).members_but("instances")
                if place is not None:
                    return self._instances(_pieces(body, *place)), {**members, "instances": None}
            given = _members(body)
            name = "instances" if "instances" in given else "inputs"
            value = given.pop(name)
            batch = self._instances([bytes(value)]) if name == "instances" else self._inputs(value)
            return batch, {**{key: nested.loads(memoryview(raw)) for key, raw in given.items()}, name: None}
        except (ValueError, KeyError, RecursionError):  # msgspec's errors are ValueErrors, as are those of UTF-8
            return None

    def _instances(self, pieces: Iterable[bytes]) -> Batch:
        """The row form, from JSON lists of some instances. Raises ValueError where it is not this."""
        growing: dict[str, Growing] = {}
        for piece in pieces:
            rows = self._rows_of(piece)
            names = growing.keys() or rows[0].keys()
            if any(row.keys() != names for row in rows):
                raise ValueError("instances of different keys")
            for name in list(rows[0]):
                column = self._column(name, [row[name] for row in rows])
                if name in growing:
                    growing[name].add(column)
                else:
                    growing[name] = Growing(column)
        return nested.batch_of([one.column() for one in growing.values()])

    def _rows_of(self, piece: bytes) -> list[dict[str, msgspec.Raw]]:
        try:
            rows = _rows(piece)
        except msgspec.ValidationError:
            if self._only is None:
                raise
            rows = [{self._only: value} for value in _values(piece)]
            if any(_is_object(row[self._only]) for row in rows):  # objects have names
                raise
        if not rows or not rows[0] or rows[0].keys() == {"b64"}:
            raise ValueError("no rows")
        return rows

    def _inputs(self, given: msgspec.Raw) -> Batch:
        """The column form. Raises ValueError where it is not this."""
        named = {self._only: given} if self._only is not None and not _is_object(given) else _members(given)
        if not named or named.keys() == {"b64"}:
            raise ValueError("no inputs")
        return nested.batch_of(
            [
                self._column(name, _values(raw)) if name in self._names else _tensor(name, memoryview(raw))
                for name, raw in named.items()
            ]
        )

    def _column(self, name: str, raws: Sequence[msgspec.Raw]) -> Column:
        if name not in self._names:
            return _tensor(name, memoryview(b"[%b]" % b",".join(raws)))
        texts = np.empty(len(raws), object)
        texts[:] = [bytes(raw).decode() for raw in raws]
        return Column(TensorType.String, (name,), texts)


def _is_object(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == ord("{")


def _tensor(name: str, text: memoryview) -> Column:
    return packed.tensor(name, packed.loads(text) if len(text) > LONG else nested.loads(text))


def _pieces(body: memoryview, start: int, stop: int) -> Iterator[bytes]:
    """A long list as JSON lists of some of its elements."""
    for first, end in packed.Document(body).pieces(start, stop):
        yield b"".join((b"[", body[first:end], b"]"))
