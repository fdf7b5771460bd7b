"""The data directory before a start: one server, a whole secret, and a journal that belongs to what is there."""

from __future__ import annotations

import os
import sqlite3

import pytest

from forestflow.controlplane import data_directory as datadir
from forestflow.controlplane.data_directory import DataUnusable
from forestflow.controlplane.journal import Journal, JournalUnreadable
from forestflow.domain.errors import JournalDamaged, StorageFailed

NAMES = ("a%20b", "a b?mode=ro", "#x", "ü&=;'\"")


def test_it_is_made_and_held_for_one(tmp_path):
    data = tmp_path / "a" / "data"
    with datadir.held(data):
        assert data.is_dir()
        with pytest.raises(DataUnusable, match="another server uses"), datadir.held(data):
            pass
    with datadir.held(data):
        pass


def test_the_secret_is_made_once_and_for_the_owner(tmp_path):
    made = datadir.secret(tmp_path)
    assert len(made) == 32
    assert datadir.secret(tmp_path) == made
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_secret_that_was_cut_is_none(tmp_path):
    """Whoever took it would talk with an empty key."""
    (tmp_path / "secret").write_bytes(b"")
    with pytest.raises(DataUnusable, match=r"secret is damaged: .* remove it"):
        datadir.secret(tmp_path)


def test_a_full_disk_leaves_no_half_of_a_secret(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataUnusable, match="No space left"):
        datadir.secret(tmp_path)
    assert not (tmp_path / "secret").exists()
    monkeypatch.undo()
    assert len(datadir.secret(tmp_path)) == 32


def test_a_first_start_makes_the_journal_and_a_second_finds_it(tmp_path):
    datadir.check_journal(tmp_path, None)
    datadir.secret(tmp_path)
    datadir.check_journal(tmp_path, None)
    datadir.open_journal(tmp_path, None).close()


@pytest.mark.parametrize("trace", ["secret", "artifacts"])
@pytest.mark.parametrize("url", [None, "sqlite:///{}/other.db"])
def test_an_empty_journal_beside_traces_of_a_life_is_lost_state(tmp_path, trace, url):
    (tmp_path / "artifacts" / ("abc" if trace == "artifacts" else "")).mkdir(parents=True)
    if trace == "secret":
        datadir.secret(tmp_path)
    url = url and url.format(tmp_path)
    for _ in range(2):
        with pytest.raises(DataUnusable, match=rf"the journal is empty, and .*{trace} .* backup, or remove .*{trace}"):
            datadir.check_journal(tmp_path, url)
    with pytest.raises(StorageFailed, match="empty"):
        datadir.open_journal(tmp_path, url)


def test_a_journal_in_memory_is_refused(tmp_path):
    for url in ("sqlite://", "sqlite:///:memory:", "sqlite+pysqlite://"):
        with pytest.raises(DataUnusable, match="in memory is lost"):
            datadir.check_journal(tmp_path, url)


def test_what_to_do_about_a_damaged_entry_works(tmp_path):
    said = datadir.unreadable(tmp_path, None, JournalDamaged(2, "entry 2 is bad"))
    assert str(tmp_path / "journal.db") in said
    Journal.in_directory(tmp_path).close()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.executemany("INSERT INTO events VALUES (?, 0, 'a', '{}')", [(1,), (2,), (3,)])
        connection.execute(said.rpartition(": ")[2])
        assert connection.execute("SELECT seq FROM events").fetchall() == [(1,)]
    connection.close()
    said = datadir.unreadable(tmp_path, "postgresql://h/d", JournalUnreadable("cannot be read"))
    assert said == "cannot be read; restore the database of journal_url from a backup"
    assert datadir.unreadable(tmp_path, None, StorageFailed("no space for models")) == "no space for models"


def test_a_directory_of_any_name(tmp_path):
    """It is no text of a URL."""
    for name in NAMES:
        data = tmp_path / name
        data.mkdir()
        datadir.check_journal(data, None)
        assert (data / "journal.db").stat().st_size > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
