"""The journal: events appended before they are acknowledged, replayed on start, with counters beside them.

SQLite in the data directory by default, any SQLAlchemy URL otherwise. The journal stores plain JSON documents and does
not know what they mean. Counters are not events: they are overwritten in place, in batches.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from forestflow.domain.errors import StorageFailed
from forestflow.domain.reports import Counts

_METADATA = sa.MetaData()

_EVENTS = sa.Table(
    "events",
    _METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

_COUNTERS = sa.Table(
    "counters",
    _METADATA,
    sa.Column("servable", sa.Text, primary_key=True),
    sa.Column("scored", sa.BigInteger, nullable=False),
    sa.Column("shaded", sa.BigInteger, nullable=False),
    sa.Column("shadows_dropped", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("unscored", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("refused", sa.BigInteger, nullable=False, server_default="0"),
)

_REPORTERS = sa.Table(
    "reporters",
    _METADATA,
    sa.Column("reporter", sa.String(64), primary_key=True),
    sa.Column("last", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Record:
    """One event to be journalled: ``kind`` names it, ``body`` is its JSON document."""

    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One journalled event: its number, when it was written (ms since 1970), and the event."""

    seq: int
    at_ms: int
    record: Record


class Journal:
    """Append-only events and overwritten counters in one database. Used by one thread at a time."""

    def __init__(self, url: str, **engine: Any) -> None:
        """``url``: an SQLAlchemy URL, e.g. ``sqlite:////var/lib/forestflow/journal.db``; ``engine``: more options."""
        self._engine = sa.create_engine(url, connect_args=_connect_args(url), **engine)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _durable_sqlite)
        try:
            with self._engine.begin() as connection:
                _METADATA.create_all(connection)
                _add_missing_columns(connection)
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise StorageFailed(f"the journal cannot be opened: {_reason(error)}") from error

    @classmethod
    def in_directory(cls, directory: Path) -> Journal:
        """The embedded default: ``journal.db`` in the data directory."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"the journal cannot be opened: {error.strerror}") from error
        return cls(f"sqlite:///{directory / 'journal.db'}")

    def append(self, records: Sequence[Record], at_ms: int, forget: Sequence[str] = ()) -> None:
        """Write all records in one transaction, durably, or raise StorageFailed and write none.

        ``forget`` names the servables that are gone with them: their counters go in the same transaction.
        """
        rows = [{"at_ms": at_ms, "kind": r.kind, "body": json.dumps(r.body, separators=(",", ":"))} for r in records]
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(_EVENTS), rows)
                _delete(connection, _COUNTERS.c.servable, forget)
        except SQLAlchemyError as error:
            raise StorageFailed(f"the journal cannot be written: {_reason(error)}") from error

    def replay(self) -> Iterator[Entry]:
        """All events in their order."""
        with self._reading() as connection:
            for seq, at_ms, kind, body in connection.execute(sa.select(_EVENTS).order_by(_EVENTS.c.seq)):
                yield Entry(seq, at_ms, Record(kind, json.loads(body)))

    def last_at_ms(self) -> int:
        """When the latest event was written; 0 when there is none."""
        with self._reading() as connection:
            return int(connection.scalar(sa.select(sa.func.max(_EVENTS.c.at_ms))) or 0)

    def save_counters(self, counters: Mapping[str, Counts], reporter: str, number: int) -> None:
        """Overwrite the counts of the servables named, and remember that this report is counted: all or nothing.

        ``number`` is the report's in the sequence of its ``reporter``.
        """
        rows = [{"servable": name, **asdict(counts)} for name, counts in counters.items()]
        try:
            with self._engine.begin() as connection:
                _delete(connection, _COUNTERS.c.servable, counters)
                if rows:
                    connection.execute(sa.insert(_COUNTERS), rows)
                _delete(connection, _REPORTERS.c.reporter, [reporter])
                connection.execute(sa.insert(_REPORTERS), [{"reporter": reporter, "last": number}])
        except SQLAlchemyError as error:
            raise StorageFailed(f"the counters cannot be written: {_reason(error)}") from error

    def reporters(self) -> dict[str, int]:
        """The number of the last report counted, by reporter."""
        with self._reading() as connection:
            rows = connection.execute(sa.select(_REPORTERS.c.reporter, _REPORTERS.c.last))
            return {row.reporter: row.last for row in rows}

    def counters(self) -> dict[str, Counts]:
        """By servable."""
        with self._reading() as connection:
            return {name: Counts(*counted) for name, *counted in connection.execute(sa.select(_COUNTERS))}

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageFailed(f"the journal cannot be read: {_reason(error)}") from error


def _add_missing_columns(connection: sa.Connection) -> None:
    """Bring tables that an earlier version made up to date."""
    existing = {column["name"] for column in sa.inspect(connection).get_columns(_COUNTERS.name)}
    for column in _COUNTERS.columns:
        if column.name not in existing:
            connection.execute(sa.text(f"ALTER TABLE counters ADD COLUMN {column.name} BIGINT NOT NULL DEFAULT 0"))


def _delete(connection: sa.Connection, column: sa.Column[Any], keys: Iterable[str]) -> None:
    parameters = [{"gone": key} for key in keys]
    if parameters:
        connection.execute(sa.delete(column.table).where(column == sa.bindparam("gone")), parameters)


def _connect_args(url: str) -> dict[str, Any]:
    # the registry writes from a worker thread, never from two at once
    return {"check_same_thread": False, "timeout": 10} if url.startswith("sqlite") else {}


def _durable_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or type(error).__name__)
