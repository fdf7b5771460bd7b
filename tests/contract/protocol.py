"""What every protocol of the suite is to it: a way to score a table, written with a client that is not our codec."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

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


class Wire(Protocol):
    """One protocol's client. ``refusals`` says how it reports each kind of trouble, ``lacks`` what it cannot say."""

    refusals: ClassVar[Mapping[str, tuple[Any, ...]]]
    lacks: ClassVar[frozenset[str]]

    def score(self, address: Address, table: Table, configs: Mapping[str, str]) -> Prediction:
        """Raises Refused."""
        ...

    def close(self) -> None: ...


def need(wire: Wire, *abilities: str) -> None:
    """Skip a test of what the protocol has no place for."""
    if missing := wire.lacks.intersection(abilities):
        pytest.skip(f"the protocol has no place for {' or '.join(sorted(missing))}")


def exact(table: Table) -> list[Any]:
    """Types, fields and values so that only what is equal to the last bit, NaN and zeros included, compares equal."""
    return [(c.type, c.fields, [[_exact(value) for value in row] for row in c.rows]) for c in table]


def _exact(value: Any) -> tuple[type, Any]:
    return type(value), struct.pack("<d", value) if isinstance(value, float) else value
