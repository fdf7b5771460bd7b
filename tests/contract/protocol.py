"""What every protocol of the suite is to it: a way to score a table, written with a client that is not our codec."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pytest


@dataclass(frozen=True)
class Address:
    """A contract."""

    organization: str
    project: str
    contract_number: int


@dataclass(frozen=True)
class Target:
    """Where a server listens; without ``grpc``, only over HTTP."""

    http: str
    grpc: str | None


@dataclass(frozen=True)
class Column:
    """Fields of one type (its name in proto/inference.proto) with the values of each row.

    ``sent_as`` is the type in which a request carries them, where that is not the one that it announces.
    """

    type: str
    fields: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    sent_as: str | None = None

    def take(self, rows: Sequence[int]) -> Column:
        return replace(self, rows=[self.rows[i] for i in rows])


Table = tuple[Column, ...]

Array = npt.NDArray[Any]
TYPES = {  # numpy's name of a dtype: ours
    type_.lower(): type_
    for type_ in (
        *("Float16", "Float32", "Float64", "Bool"),
        *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"),
    )
}


@dataclass(frozen=True)
class Prediction:
    """An answer: who gave it, and the outputs."""

    address: Address
    release: str
    columns: Table


class Refused(Exception):
    """An error in the protocol's own form: ``Refused(how, message)``; ``how`` is a value of ``Wire.refusals``."""

    def __init__(self, how: tuple[Any, ...], message: str) -> None:
        super().__init__(how, message)
        self.how = how
        self.message = message


UNKNOWN_CONTRACT = "unknown contract"
NO_ACTIVE_RELEASE = "no active release"
UNFIT_DATA = "data that does not fit"


# What a protocol may have no place for.
FIELDS = "names of single fields in requests"
FURTHER_FIELDS = "fields that nobody asked for"
ANSWERED_FIELDS = "names of fields in answers"
CONFIGS = "configs"
ANNOUNCED_TYPES = "types announced beside the values"
BOOLEANS = "booleans"
RAGGED_ROWS = "rows of different lengths"
EMPTY_BATCHES = "an error for no rows"
SINGLE_INPUTS = "requests with some of the model's inputs"
TEXTS_APART = "a type of its own for bytes"  # the values come through all the same
RAW_BYTES = "bytes that are no text"
DECLARED_SHAPES = "shapes beside the values"
FINAL_ZEROS = "zeros at the end of texts"  # numpy's arrays of bytes, which a client makes, drop them


class Wire(Protocol):
    """One protocol's client. ``refusals`` says how it reports each kind of trouble, ``lacks`` what it cannot say."""

    refusals: ClassVar[Mapping[str, tuple[Any, ...]]]
    lacks: ClassVar[frozenset[str]]

    def score(self, address: Address, table: Table, configs: Mapping[str, str]) -> Prediction:
        """Raises Refused."""
        ...

    def echo(self, address: Address, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """What the model of ``identity/serve.py`` answers for inputs by name; raises Refused.

        Texts and bytes are ``str`` and ``bytes`` in arrays of objects. Answers have the dtype that the protocol says.
        """
        ...

    def declare(self, address: Address, shapes: Mapping[str, Sequence[int]]) -> None:
        """Score empty tensors of doubles by name that say that they have these shapes. Raises Refused.

        Not of protocols that lack DECLARED_SHAPES.
        """
        ...

    def close(self) -> None: ...


def need(wire: Wire, *abilities: str) -> None:
    """Skip a test of what the protocol has no place for."""
    if missing := wire.lacks.intersection(abilities):
        pytest.skip(f"the protocol has no place for {' or '.join(sorted(missing))}")


def type_of(values: Array) -> str:
    """Our name of an array's type."""
    if values.dtype != object:
        return TYPES[values.dtype.name]
    return "Bytes" if all(isinstance(value, bytes) for value in values.flat) else "String"


def dtype_of(type_: str) -> np.dtype[Any]:
    return np.dtype(object if type_ in ("String", "Bytes") else type_.lower())


def typed(values: Any, dtype: np.dtype[Any]) -> Array:
    """Nested lists of what a document holds as an array; fails for numbers that are not of the dtype's kind."""
    plain = np.array(values, object)
    if dtype.kind == "O":
        return plain
    kind = {"f": float, "i": int, "u": int, "b": bool}[dtype.kind]
    assert {type(value) for value in plain.flat} == {kind}
    return np.array(plain.tolist(), dtype)


def as_table(tensors: Mapping[str, Array]) -> Table:
    """A column for each tensor, its rows flattened."""
    return tuple(
        Column(type_of(values), (name,), values.reshape(len(values), -1).tolist()) for name, values in tensors.items()
    )


def as_tensors(table: Table, asked: Mapping[str, Array]) -> dict[str, Array]:
    """Columns as arrays of their types, each in the shape of the input of its name."""
    answered = {column.fields[0]: typed(column.rows, dtype_of(column.type)) for column in table}
    return {name: values.reshape(asked[name].shape) for name, values in answered.items()}


def exact(table: Table) -> list[Any]:
    """Types, fields and values so that only what is equal to the last bit, NaN and zeros included, compares equal."""
    return [(c.type, c.fields, [[_exact(value) for value in row] for row in c.rows]) for c in table]


def _exact(value: Any) -> tuple[type, Any]:
    return type(value), struct.pack("<d", value) if isinstance(value, float) else value
