"""Types of an MLmodel signature beyond plain columns: what a JSON value must be, and what the model gets for it.

Values are checked as MLflow's schema enforcement does it, where it does not lose some: whole numbers are doubles, too.
https://mlflow.org/docs/latest/ml/model/signatures/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

import numpy as np
import orjson

from forestflow.domain.unique_keys import repeated

NESTED = frozenset({"array", "object", "map", "any"})

_JSON = {
    bool: "a boolean",
    int: "a whole number",
    float: "a fraction",
    str: "a text",
    list: "a list",
    dict: "an object",
}


class Misfit(Exception):
    """A value that is not of its type. ``path`` leads to it from the value that was read."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.path = ""

    def below(self, step: str) -> Misfit:
        """Return this error as one level above sees it."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"{self.message} at {self.path}" if self.path else self.message


def loads(text: str) -> Any:
    """One JSON document. Raises Misfit for a name twice in one object, orjson.JSONDecodeError for what is not JSON."""
    document = orjson.loads(text)
    if "{" in text and (twice := repeated(text.encode(), document)):
        raise Misfit(twice)
    return document


class Type(Protocol):
    """One type."""

    def read(self, value: Any, *, required: bool = True) -> Any:
        """The value for the model of a JSON value, ``None`` for null where none is required. Raises Misfit."""
        ...

    def sample(self) -> Any:
        """A JSON value of the type, to rehearse with."""
        ...


def parse(entry: Mapping[str, Any]) -> Type:
    """The type that an entry of a signature declares. Raises ValueError, KeyError, TypeError for what is none."""
    name = entry["type"]
    if name == "array":
        return Array(parse(entry["items"]))
    if name == "map":
        return Map(parse(entry["values"]))
    if name == "any":
        return Anything()
    if name == "object":
        return Object(
            {
                str(key): Property(parse(declared), declared.get("required", True) is True)
                for key, declared in entry["properties"].items()
            }
        )
    if name not in _SAMPLES:
        raise ValueError(f"the type {str(name)!r} is not supported")
    return Scalar(name)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value: ``name`` is MLflow's."""

    name: str

    def __str__(self) -> str:
        return self.name

    def sample(self) -> Any:
        return _SAMPLES[self.name]

    def read(self, value: Any, *, required: bool = True) -> Any:
        kind = type(value)
        if value is None:
            if self.name in _FLOATS:
                return float("nan") if required else None
            if not required:
                return None
        elif self.name in _FLOATS:
            if kind in (float, int):
                return _float(value, self.name)
        elif self.name in _INTEGERS:
            if kind is int:
                top = 1 << (_INTEGERS[self.name] - 1)
                if not -top <= value < top:
                    raise Misfit(f"expected {self}, {-top} to {top - 1}, got {value}")
                return value
        elif self.name == "datetime":
            if kind is str:
                return moment(value)
        elif kind is (bool if self.name == "boolean" else str):
            return value
        raise Misfit(f"expected {self}, got {described(value)}")


def _float(value: float, name: str) -> float:
    try:
        wide = float(value)
    except OverflowError:
        raise Misfit(f"{value} is more than {name} can hold") from None
    if name == "double":
        return wide
    with np.errstate(over="ignore"):
        narrow = float(np.float32(wide))
    if np.isinf(narrow) and np.isfinite(wide):
        raise Misfit(f"{value} is more than {name} can hold")
    return narrow


def moment(text: str, *, zones: bool = False) -> datetime | date:
    """ISO 8601 as MLflow's params have it: a date where no time is given. With ``zones`` a zone counts, in UTC.

    Raises Misfit.
    """
    try:
        whole = datetime.fromisoformat(text)
        if whole.tzinfo is None:
            return date.fromisoformat(text) if len(text) <= len("2026-01-01") else whole
        if zones:
            return whole.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise Misfit(f"{text[:40]!r} is no datetime; expected ISO 8601, as 2026-11-21T05:34:21") from None
    raise Misfit(f"{text[:40]!r} has a zone; the model takes datetimes without")


@dataclass(frozen=True, slots=True)
class Array:
    """A list."""

    items: Type

    def __str__(self) -> str:
        return f"array of {self.items}"

    def sample(self) -> Any:
        return [self.items.sample()]

    def read(self, value: Any, *, required: bool = True) -> Any:
        if value is None and (not required or isinstance(self.items, Anything)):
            return None
        if type(value) is not list:
            raise Misfit(f"expected {self}, got {described(value)}")
        if isinstance(self.items, Scalar):
            required = True  # an element is there, also in a list that need not be
            if set(map(type, value)) == _ALIKE.get(self.items.name):
                return value
        made: list[Any] = []
        try:
            made.extend(self.items.read(one, required=required) for one in value)
        except Misfit as error:
            raise error.below(f"[{len(made)}]") from None
        return made


@dataclass(frozen=True, slots=True)
class Property:
    """A member of an object."""

    type: Type
    required: bool

    def __str__(self) -> str:
        return f"{self.type}" if self.required else f"{self.type}, optional"


@dataclass(frozen=True, slots=True)
class Object:
    """An object with these members and no others."""

    properties: Mapping[str, Property]

    def __str__(self) -> str:
        return f"object ({', '.join(f'{name}: {declared}' for name, declared in self.properties.items())})"

    def sample(self) -> Any:
        return {name: declared.type.sample() for name, declared in self.properties.items()}

    def read(self, value: Any, *, required: bool = True) -> Any:
        if not required and not value and value in (None, {}):
            return value
        if type(value) is not dict:
            raise Misfit(f"expected {self}, got {described(value)}")
        if missing := [name for name, one in self.properties.items() if one.required and name not in value]:
            raise Misfit(f"{missing[0]!r} is missing; expected {self}")
        made = {}
        for name, one in value.items():
            declared = self.properties.get(name)
            if declared is None:
                raise Misfit(f"there is no {name!r} in {self}")
            try:
                made[name] = declared.type.read(one, required=declared.required)
            except Misfit as error:
                raise error.below(f".{name}") from None
        return made


@dataclass(frozen=True, slots=True)
class Map:
    """An object of any names, whose values are of one type."""

    values: Type

    def __str__(self) -> str:
        return f"map of {self.values}"

    def sample(self) -> Any:
        return {"key": self.values.sample()}

    def read(self, value: Any, *, required: bool = True) -> Any:
        if value in (None, {}) and (not required or isinstance(self.values, Anything)):
            return value
        if type(value) is not dict:
            raise Misfit(f"expected {self}, got {described(value)}")
        made = {}
        for name, one in value.items():
            try:
                made[name] = self.values.read(one, required=required)
            except Misfit as error:
                raise error.below(f".{name}") from None
        return made


@dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON value."""

    def __str__(self) -> str:
        return "any"

    def sample(self) -> Any:
        return None

    def read(self, value: Any, *, required: bool = True) -> Any:
        return value


def described(value: Any) -> str:
    """A JSON value in an error's message."""
    return "null" if value is None else _JSON[type(value)]


_FLOATS = frozenset({"float", "double"})
_INTEGERS = {"integer": 32, "long": 64}  # bits
_ALIKE = {"double": {float}, "string": {str}, "boolean": {bool}, "binary": {str}}  # lists that need no second look
_SAMPLES: Mapping[str, Any] = {
    "boolean": False,
    "integer": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "string": "",
    "binary": "",
    "datetime": "1970-01-01T00:00:00",
}
