"""The journal: events appended before they are acknowledged, replayed on start, with counters beside them.

SQLite in the data directory by default, any SQLAlchemy URL otherwise. The journal stores plain JSON documents and does
not know what they mean. Counters are not events: they are overwritten in place, in batches.

The database names the version of its schema, which covers the tables and the events' documents. An older one is brought
up to date when it is opened; a newer one is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from forestflow.domain.errors import JournalDamaged, StorageFailed
from forestflow.domain.reports import Counts

JOURNAL_FILE = "journal.db"
SCHEMA = 1
CONNECT_SECONDS = 5

_METADATA = sa.MetaData()

_SCHEMA_VERSION = sa.Table(
    "schema_version",
    _METADATA,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
)

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


class JournalUnreadable(StorageFailed):
    """The database failed while it was read: ``JournalUnreadable(message)``."""


class JournalEmpty(StorageFailed):
    """There is no journal where one was expected: ``JournalEmpty(message)``."""


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

    def __init__(self, url: str | sa.URL, *, create: bool = True, **engine: Any) -> None:
        """Open, bring up to date, or make; raises StorageFailed.

        ``url`` is SQLAlchemy's, e.g. ``sqlite:////var/lib/forestflow/journal.db``. Without ``create`` an empty database
        is refused and left empty. ``engine`` holds more options.
        """
        self._engine = _engine(url, engine)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _durable_sqlite)
        try:
            with self._engine.begin() as connection:
                _bring_up_to_date(connection, create)
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise StorageFailed(f"the journal cannot be opened: {_reason(error)}") from error
        except BaseException:
            self._engine.dispose()
            raise

    @classmethod
    def in_directory(cls, directory: Path, *, create: bool = True) -> Journal:
        """The embedded default: ``journal.db`` in the data directory."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"the journal cannot be opened: {error.strerror}") from error
        return cls(sa.URL.create("sqlite", database=str(directory / JOURNAL_FILE)), create=create)

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
        """All events in their order; raises JournalDamaged at the first that is no JSON object."""
        with self._reading() as connection:
            for seq, at_ms, kind, body in connection.execute(sa.select(_EVENTS).order_by(_EVENTS.c.seq)):
                try:
                    document = json.loads(body)
                except (TypeError, ValueError, RecursionError) as error:
                    raise damaged(seq, kind, f"it is not JSON ({error})") from error
                if not isinstance(document, dict):
                    raise damaged(seq, kind, "it is not a JSON object")
                yield Entry(seq, at_ms, Record(kind, document))

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
        """Return the counters of each servable."""
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
            raise JournalUnreadable(f"the journal cannot be read: {_reason(error)}") from error


def damaged(seq: int, kind: str, why: str) -> JournalDamaged:
    """The error for an entry that cannot be read, or not be applied to what those before it say."""
    on_one_line = " ".join(why.split())
    return JournalDamaged(
        seq, f"entry {seq} ({kind}) of the journal cannot be used: {on_one_line}; those before it can"
    )


def _bring_up_to_date(connection: sa.Connection, create: bool) -> None:
    version = _schema_version(connection)
    if version is None:
        if not create:
            raise JournalEmpty("the journal is empty")
        version = SCHEMA
    elif version > SCHEMA:
        raise StorageFailed(
            f"the journal was written by a newer ForestFlow: its schema has version {version}, and this one reads "
            f"versions up to {SCHEMA}; install that ForestFlow again"
        )
    _METADATA.create_all(connection)
    for migrate in _MIGRATIONS[version:]:
        migrate(connection)
    connection.execute(sa.delete(_SCHEMA_VERSION))
    connection.execute(sa.insert(_SCHEMA_VERSION), [{"version": SCHEMA}])


def _schema_version(connection: sa.Connection) -> int | None:
    """0 for tables from before versions were written, ``None`` for a database without tables of ours."""
    tables = sa.inspect(connection)
    if tables.has_table(_SCHEMA_VERSION.name):
        version = connection.scalar(sa.select(sa.func.max(_SCHEMA_VERSION.c.version)))
        if isinstance(version, int) and version > 0:
            return version
        raise StorageFailed("the journal cannot be opened: its table schema_version names no version")
    return 0 if any(tables.has_table(table.name) for table in (_EVENTS, _COUNTERS, _REPORTERS)) else None


def _add_drops(connection: sa.Connection) -> None:
    """Add the count of dropped shadows, which the first tables did not have."""
    existing = {column["name"] for column in sa.inspect(connection).get_columns(_COUNTERS.name)}
    for column in _COUNTERS.columns:
        if column.name not in existing:
            connection.execute(sa.text(f"ALTER TABLE counters ADD COLUMN {column.name} BIGINT NOT NULL DEFAULT 0"))


# The step at index n turns version n into n + 1.
_MIGRATIONS: tuple[Callable[[sa.Connection], None], ...] = (_add_drops,)


def _delete(connection: sa.Connection, column: sa.Column[Any], keys: Iterable[str]) -> None:
    parameters = [{"gone": key} for key in keys]
    if parameters:
        connection.execute(sa.delete(column.table).where(column == sa.bindparam("gone")), parameters)


def _engine(url: str | sa.URL, options: Mapping[str, Any]) -> sa.Engine:
    """Nothing connects yet. What is wrong with the URL is reported without its password."""
    try:
        parsed = sa.make_url(url)
        return sa.create_engine(parsed, connect_args=_connect_args(parsed), hide_parameters=True, **options)
    except ImportError as error:
        package = error.name or str(error)
        raise StorageFailed(
            f"the journal cannot be opened: {parsed.drivername} needs the package {package}, which is not installed; "
            "postgresql+psycopg:// comes with pip install forestflow[postgres]"
        ) from error
    except (SQLAlchemyError, ValueError) as error:
        raise StorageFailed(
            "the journal cannot be opened: its URL is not one of SQLAlchemy's, such as "
            "postgresql+psycopg://user:password@host:5432/database"
        ) from error


def _connect_args(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"check_same_thread": False, "timeout": 10}  # written from a worker thread, never from two at once
    if url.get_driver_name() in ("psycopg", "psycopg2") and "connect_timeout" not in url.query:
        return {"connect_timeout": CONNECT_SECONDS}  # for each address of the host
    return {}


def _durable_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _reason(error: SQLAlchemyError) -> str:
    """On one line, as PostgreSQL's is not."""
    return " ".join(str(getattr(error, "orig", None) or type(error).__name__).split())
