"""The journal against databases that fail: all or nothing, with a reason and no stack trace."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import uuid

import pytest
import sqlalchemy as sa

from forestflow.controlplane.journal import SCHEMA, Journal, Record
from forestflow.domain.errors import JournalDamaged, StorageFailed
from forestflow.domain.reports import Counts

ONE, TWO = Record("one", {"n": 1}), Record("two", {"text": "ü\n\0"})


@pytest.fixture
def journal(tmp_path):
    journal = Journal.in_directory(tmp_path / "data")
    yield journal
    journal.close()


def records(journal):
    return [entry.record for entry in journal.replay()]


def break_table(tmp_path, name):
    """From now on writes to that table fail, as they do on a full disk."""
    with sqlite3.connect(tmp_path / "data" / "journal.db") as connection:
        connection.execute(
            f"CREATE TRIGGER full_{name} BEFORE INSERT ON {name} BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    connection.close()


def test_events_come_back_in_order_over_restarts(journal, tmp_path):
    journal.append([ONE, TWO], 5)
    journal.append([ONE], 7)
    assert journal.last_at_ms() == 7
    journal.close()
    again = Journal.in_directory(tmp_path / "data")
    assert [(e.seq, e.at_ms, e.record) for e in again.replay()] == [(1, 5, ONE), (2, 5, TWO), (3, 7, ONE)]
    again.close()


def test_an_empty_journal(journal):
    assert records(journal) == []
    assert journal.last_at_ms() == 0
    assert journal.counters() == journal.reporters() == {}


def test_a_transaction_that_fails_writes_nothing(journal, tmp_path):
    journal.append([ONE], 1)
    with sqlite3.connect(tmp_path / "data" / "journal.db") as connection:
        connection.execute(
            "CREATE TRIGGER second BEFORE INSERT ON events WHEN NEW.kind = 'two' "
            "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    connection.close()
    with pytest.raises(StorageFailed, match="cannot be written: disk full"):
        journal.append([ONE, TWO], 2)
    assert records(journal) == [ONE]
    journal.append([ONE], 3)
    assert records(journal) == [ONE, ONE]


def test_counters_and_their_report_are_written_together_or_not(journal, tmp_path):
    journal.save_counters({"a": Counts(1, 2), "b": Counts(3, 4)}, "router", 1)
    journal.save_counters({"a": Counts(5, 2, 7)}, "router", 2)
    journal.save_counters({}, "other", 1)
    before = {"a": Counts(5, 2, 7), "b": Counts(3, 4)}, {"router": 2, "other": 1}
    assert (journal.counters(), journal.reporters()) == before
    break_table(tmp_path, "reporters")
    with pytest.raises(StorageFailed, match="counters cannot be written"):
        journal.save_counters({"a": Counts(9, 9)}, "router", 3)
    assert (journal.counters(), journal.reporters()) == before
    journal.append([Record("gone", {})], 1, ["a", "nobody"])
    assert journal.counters() == {"b": Counts(3, 4)}


def test_counters_that_cannot_be_forgotten(journal, tmp_path):
    journal.save_counters({"a": Counts(1, 2)}, "router", 1)
    with sqlite3.connect(tmp_path / "data" / "journal.db") as connection:
        connection.execute("CREATE TRIGGER stuck BEFORE DELETE ON counters BEGIN SELECT RAISE(ABORT, 'stuck'); END")
    connection.close()
    with pytest.raises(StorageFailed, match="stuck"):
        journal.append([Record("gone", {})], 1, ["a"])
    assert list(journal.replay()) == [], "a deletion is written whole or not at all"
    assert journal.counters() == {"a": Counts(1, 2)}


def test_counters_of_a_version_that_knew_no_drops_go_on(tmp_path):
    """The table as the version before made it."""
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute(
            "CREATE TABLE counters (servable TEXT NOT NULL, scored BIGINT NOT NULL, shaded BIGINT NOT NULL, "
            "PRIMARY KEY (servable))"
        )
        connection.execute("INSERT INTO counters VALUES ('a', 5, 2)")
    connection.close()
    for further in ((), (3, 4, 5)):  # twice: the second start finds what the first has changed
        journal = Journal.in_directory(tmp_path)
        assert journal.counters() == {"a": Counts(5, 2, *further)}
        journal.save_counters({"a": Counts(5, 2, 3, 4, 5)}, "router", 1)
        journal.close()


def test_the_schema_has_a_version(tmp_path):
    """An older one is brought up to date, a newer one refused, an empty database only made where that is wanted."""
    for url in databases(tmp_path):
        with pytest.raises(StorageFailed, match="the journal is empty"):
            Journal(url, create=False)
        with pytest.raises(StorageFailed, match="the journal is empty"):
            Journal(url, create=False)
        Journal(url).close()
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            assert connection.execute(sa.text("SELECT version FROM schema_version")).fetchall() == [(SCHEMA,)]
            connection.execute(sa.text("DROP TABLE schema_version"))
            connection.execute(sa.text("ALTER TABLE counters DROP COLUMN shadows_dropped"))
        journal = Journal(url, create=False)  # of a ForestFlow that knew no versions
        journal.save_counters({"a": Counts(1, 2, 3)}, "router", 1)
        journal.append([ONE, TWO], 5)
        assert journal.counters() == {"a": Counts(1, 2, 3)}
        journal.close()
        with engine.begin() as connection:
            assert connection.execute(sa.text("SELECT version FROM schema_version")).fetchall() == [(SCHEMA,)]
            connection.execute(sa.text(f"UPDATE schema_version SET version = {SCHEMA + 1}"))
        with pytest.raises(StorageFailed, match=f"newer ForestFlow: its schema has version {SCHEMA + 1}"):
            Journal(url)
        with engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM schema_version"))
        with pytest.raises(StorageFailed, match="names no version"):
            Journal(url)
        engine.dispose()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("{", "it is not JSON"),
        ("", "it is not JSON"),
        ("[]", "it is not a JSON object"),
        ("[" * 100_000, "it is not JSON"),
    ],
)
def test_an_entry_that_is_not_one(tmp_path, body, why):
    for url in databases(tmp_path):
        journal = Journal(url)
        journal.append([ONE, TWO], 5)
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE events SET body = :body WHERE seq = 2"), {"body": body})
        engine.dispose()
        read = journal.replay()
        assert next(read).record == ONE
        with pytest.raises(JournalDamaged, match=rf"entry 2 \(two\) of the journal cannot be used: {why}") as caught:
            next(read)
        assert caught.value.seq == 2
        read.close()
        journal.close()


def test_a_wrong_password_and_a_database_that_is_not_there(tmp_path):
    """Within seconds, and without the password in the message."""
    url = postgres()
    for wrong in (url.set(username="nobody", password="geheim"), url.set(database="nowhere"), url.set(port=1)):
        with pytest.raises(StorageFailed, match="cannot be opened: connection failed") as caught:
            Journal(wrong)
        assert "geheim" not in caught.value.message
        assert "\n" not in caught.value.message


def databases(tmp_path):
    """SQLite, and a database of its own in the PostgreSQL that FORESTFLOW_TEST_POSTGRES names."""
    yield sa.URL.create("sqlite", database=str(tmp_path / "journal.db"))
    if "FORESTFLOW_TEST_POSTGRES" in os.environ:
        url, name = postgres(), f"journal_{uuid.uuid4().hex}"  # other tests run beside this one
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        yield url.set(database=name)
        with engine.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name}"))  # fails while a connection is left open
        engine.dispose()


def postgres():
    if "FORESTFLOW_TEST_POSTGRES" not in os.environ:
        pytest.skip("no FORESTFLOW_TEST_POSTGRES")
    return sa.make_url(os.environ["FORESTFLOW_TEST_POSTGRES"])


def test_what_is_no_database_says_so(tmp_path):
    (tmp_path / "journal.db").write_text("hello " * 1000)
    with pytest.raises(StorageFailed, match="cannot be opened: file is not a database"):
        Journal.in_directory(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="cannot be opened"):
        Journal.in_directory(tmp_path / "file" / "data")
    with pytest.raises(StorageFailed, match="cannot be opened"):
        Journal("sqlite:////nowhere/at/all.db")


def test_a_database_that_breaks_under_us_says_so(journal, tmp_path):
    journal.append([ONE], 1)
    with sqlite3.connect(tmp_path / "data" / "journal.db") as connection:
        for table in ("events", "counters", "reporters"):
            connection.execute(f"DROP TABLE {table}")
    connection.close()
    for read in (lambda: records(journal), journal.counters, journal.reporters, journal.last_at_ms):
        with pytest.raises(StorageFailed, match="cannot be read"):
            read()


def test_it_is_durable_and_waits_for_nobody(journal):
    with journal._engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(sa.text("PRAGMA synchronous")) == 2  # FULL


def test_what_was_acknowledged_survives_kill_9_and_a_torn_tail(tmp_path):
    script = """
import sys
from pathlib import Path
from forestflow.controlplane.journal import Journal, Record
journal = Journal.in_directory(Path(sys.argv[1]))
for n in range(10_000):
    journal.append([Record("n", {"n": n})], n)
    print(n, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    acknowledged = [int(process.stdout.readline()) for _ in range(20)]
    process.kill()
    acknowledged += [int(line) for line in process.stdout]
    process.stdout.close()
    process.wait()
    with open(tmp_path / "journal.db-wal", "ab") as torn:
        torn.write(os.urandom(1000))
    journal = Journal.in_directory(tmp_path)
    numbers = [entry.record.body["n"] for entry in journal.replay()]
    journal.close()
    assert numbers[: len(acknowledged)] == acknowledged
    assert len(numbers) <= len(acknowledged) + 1
