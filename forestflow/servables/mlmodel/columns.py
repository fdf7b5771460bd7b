"""Columns that no tensor holds: they come as texts, and reach the model as datetimes, lists and objects.

:class:`~forestflow.servables.estimators.inputs.Reader` is what an estimator's inputs take of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from forestflow.domain.errors import InvalidInput
from forestflow.servables.mlmodel.types import Misfit, Type, described, loads

Array = npt.NDArray[Any]

_MISSING = frozenset({"", "NaT", "null"})
_ZONE = re.compile("[Zz+-]")  # where it is behind the day
_DAY = len("20261121")


@dataclass(frozen=True, slots=True)
class Datetimes:
    """Texts of ISO 8601, or JSON of these, as datetime64[ns]; NaT for an empty text, "NaT" and null.

    As MLflow's schema enforcement has it, a time with a zone is refused; so are digits alone, which may be a JSON
    number, of whatever unit.
    """

    samples = ("1970-01-01", "2000-02-29T13:45:30")

    def __str__(self) -> str:
        return "datetime"

    def read(self, name: str, values: Array) -> Array:
        import pandas

        plain = [_unquoted(name, value) for value in _decoded(name, values)]
        for text in plain:
            if text not in _MISSING and not text[:1].isdigit():  # pandas takes "now" and "today"
                raise _no_date(name, text)
        known = ["" if text in _MISSING else text for text in plain]
        try:
            read = pandas.to_datetime(np.array(known, object), format="ISO8601")
        except ValueError:
            raise self._wrong(name, known) from None
        if read.tz is not None:
            raise self._wrong(name, known)
        nanoseconds = read.to_numpy().astype("datetime64[ns]")
        if not np.array_equal(nanoseconds.astype(read.dtype), read.to_numpy(), equal_nan=True):
            raise self._wrong(name, known)
        made: Array = nanoseconds
        return made

    def _wrong(self, name: str, texts: list[str]) -> InvalidInput:
        """The error for the first text that is wrong by itself: all at once, for they may be many."""
        import pandas

        read = pandas.to_datetime(np.array(texts, object), format="ISO8601", errors="coerce", utc=True)
        for text, known in zip(texts, read.notna().tolist(), strict=True):
            if text and not known:
                return _no_date(name, text)
            if _ZONE.search(text, _DAY):
                return InvalidInput(f"input {name!r}: {text[:40]!r} has a zone; the model takes datetimes without")
        outside = (read < pandas.Timestamp.min.tz_localize("UTC")) | (read > pandas.Timestamp.max.tz_localize("UTC"))
        text = texts[int(outside.argmax())]
        return InvalidInput(f"input {name!r}: {text[:40]!r} is not between the years 1677 and 2262")


@dataclass(frozen=True, slots=True)
class Json:
    """JSON texts as the values that they stand for, of one type."""

    type: Type
    required: bool

    @property
    def samples(self) -> tuple[str, str]:
        text = orjson.dumps(self.type.sample()).decode()
        return text, text

    def __str__(self) -> str:
        return f"JSON: {self.type}"

    def read(self, name: str, values: Array) -> Array:
        made = np.empty(len(values), object)
        for i, value in enumerate(_decoded(name, values)):
            try:
                made[i] = self.type.read(loads(value) if type(value) is str else value, required=self.required)
            except orjson.JSONDecodeError:
                raise InvalidInput(
                    f"input {name!r}, row {i}: {value[:40]!r} is not JSON; expected {self.type}"
                ) from None
            except Misfit as error:
                raise InvalidInput(f"input {name!r}, row {i}: {error}") from None
        return made


def _decoded(name: str, values: Array) -> list[Any]:
    """Texts that are bytes as such; all else as it is."""
    try:
        return [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]
    except UnicodeDecodeError:
        raise InvalidInput(f"input {name!r} holds a text that is not UTF-8") from None


def _unquoted(name: str, value: Any) -> str:
    """The text that a JSON text stands for, where it is quoted."""
    if type(value) is not str:
        raise InvalidInput(f"input {name!r} takes a datetime, got {described(value)}")
    if value.isdecimal():
        raise _no_date(name, value)
    if value[:1] != '"':
        return value
    try:
        text: str = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise _no_date(name, value) from None
    return text


def _no_date(name: str, text: str) -> InvalidInput:
    return InvalidInput(f"input {name!r}: {text[:40]!r} is no datetime; expected ISO 8601, as 2026-11-21T05:34:21")
