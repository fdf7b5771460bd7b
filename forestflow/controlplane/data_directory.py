"""The data directory before anything is started over it: held by one server, writable, its journal fit to be used."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from forestflow.controlplane.journal import JOURNAL_FILE, Journal, JournalEmpty, JournalUnreadable
from forestflow.domain.errors import JournalDamaged, StorageFailed

SECRET_BYTES = 32


class DataUnusable(Exception):
    """A server cannot start over this data directory or journal: ``DataUnusable(message)`` says what to do."""


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Make the directory, and hold it for one server alone."""
    with _reported(directory):
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataUnusable(f"another server uses {directory}; give this one --data-dir") from None
        yield


def check_journal(directory: Path, url: str | None) -> None:
    """Open the journal once, which makes it or brings it up to date.

    An empty one beside traces of an earlier life is lost state, and no beginning: whoever began there anew would remove
    the models.
    """
    traces = _traces(directory)
    try:
        open_journal(directory, url, create=not traces).close()
    except JournalEmpty as error:
        left = " and ".join(map(str, traces))
        raise DataUnusable(
            f"{error.message}, and {left} of an earlier server are there; restore {_place(directory, url)} from a "
            f"backup, or remove {left} to begin anew"
        ) from error
    except StorageFailed as error:
        advice = f"; look at {_place(directory, url)}, or restore it from a backup"
        failed = isinstance(error.__cause__, sa.exc.DBAPIError)  # otherwise the message says it all
        raise DataUnusable(error.message + (advice if failed else "")) from error


def open_journal(directory: Path, url: str | None, *, create: bool = False) -> Journal:
    """The journal of a server with that data directory and setting ``journal_url``; raises StorageFailed."""
    if not url:
        return Journal.in_directory(directory, create=create)
    with contextlib.suppress(sa.exc.ArgumentError, ValueError):  # reported by the journal itself
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and (parsed.database or ":memory:") == ":memory:":
            raise StorageFailed("the journal cannot be opened: one in memory is lost with its process")
    return Journal(url, create=create)


def unreadable(directory: Path, url: str | None, error: StorageFailed) -> str:
    """What kept a registry from reading its state, and what to do about it where that is the journal."""
    place = _place(directory, url)
    if isinstance(error, JournalDamaged):
        return (
            f"{error.message}; restore {place} from a backup, or, to go on with what can be read, save a copy and have "
            f"SQL remove the rest: DELETE FROM events WHERE seq >= {error.seq}"
        )
    return f"{error.message}; restore {place} from a backup" if isinstance(error, JournalUnreadable) else error.message


def secret(directory: Path) -> bytes:
    """The secret that routers and replicas share; made at the first start, readable by the owner alone."""
    path = directory / "secret"
    with _reported(directory):
        if not path.exists():
            _write_whole(path, secrets.token_bytes(SECRET_BYTES))
        content = path.read_bytes()
    if len(content) != SECRET_BYTES:
        raise DataUnusable(f"{path} is damaged: it must hold {SECRET_BYTES} bytes; remove it, and another is made")
    return content


def _write_whole(path: Path, content: bytes) -> None:
    """Write the file whole or, on a full disk, not at all."""
    unfinished = path.with_name(path.name + ".new")
    descriptor = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


@contextlib.contextmanager
def _reported(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataUnusable(f"the data directory {directory} cannot be used: {error.strerror}") from error


def _traces(directory: Path) -> list[Path]:
    """What an earlier life left beside the journal."""
    with _reported(directory):
        made, artifacts = directory / "secret", directory / "artifacts"
        models = artifacts.is_dir() and any(artifacts.iterdir())
        return [path for path, there in ((made, made.exists()), (artifacts, models)) if there]


def _place(directory: Path, url: str | None) -> str:
    return "the database of journal_url" if url else str(directory / JOURNAL_FILE)
