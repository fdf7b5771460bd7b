"""The Unix sockets of a node's hosts, in one directory that is there as long as it holds any.

Hosts are killed as well as closed. Whoever opens or removes a socket holds a lock on the directory, so that a socket on
which nobody listens under that lock belongs to a dead host, and no directory is removed under a host that begins.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from forestflow.artifacts.store import private_directory
from forestflow.dataplane.pulse import pulse_path

Server = TypeVar("Server")

_LONGEST_PATH = 107  # bytes; the address of a Unix socket has 108, with a zero at the end (unix(7))
_LONGEST_ID = 32  # of a replica


def directory_for(namespace: str) -> Path:
    """Where the hosts of that namespace have their sockets on this node: ``XDG_RUNTIME_DIR`` if their paths fit there.

    Elsewhere, and where the variable is not set, it is ``/tmp``: ``TMPDIR`` may be long.
    """
    name = f"{namespace}-{os.getuid()}"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        directory = Path(runtime) / name
        if len(os.fsencode(socket_path(directory, "r" * _LONGEST_ID))) <= _LONGEST_PATH:
            return directory
    return Path("/tmp") / name


async def listen(directory: Path, replica_id: str, serve: Callable[[str], Awaitable[Server]]) -> tuple[Server, Path]:
    """Have ``serve`` listen on the replica's socket; what it gives, and the path. Raises PermissionError, OSError."""
    path = socket_path(directory, replica_id)
    with held(directory):
        _remove_dead(directory)
        path.unlink(missing_ok=True)
        return await serve(str(path)), path


def socket_path(directory: Path, replica_id: str) -> Path:
    """Where the replica answers on its node."""
    return directory / f"{replica_id}.sock"


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Make the directory if it is missing, and keep others from removing it. Raises PermissionError, OSError."""
    lock = None
    while lock is None:  # whoever left last may remove the directory before it is locked
        private_directory(directory)
        lock = _locked(directory)
    try:
        private_directory(directory)
        yield
    finally:
        os.close(lock)


def leave(directory: Path, replica_id: str) -> None:
    """Remove the replica's socket and pulse, sockets of killed hosts, and the directory when it is empty then."""
    lock = _locked(directory)
    if lock is None:
        return
    try:
        path = socket_path(directory, replica_id)
        path.unlink(missing_ok=True)
        pulse_path(path).unlink(missing_ok=True)
        _remove_dead(directory)
        with suppress(OSError):  # other hosts have their sockets there
            directory.rmdir()
    finally:
        os.close(lock)


def _locked(directory: Path) -> int | None:
    """An open descriptor that holds the directory's lock; ``None`` where there is no directory of ours."""
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        ours = os.fstat(lock)
        if ours.st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.samestat(ours, directory.stat()):
                return lock
    except FileNotFoundError:  # it was removed while this waited
        pass
    os.close(lock)
    return None


def _remove_dead(directory: Path) -> None:
    for path in directory.glob("*.sock"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)  # a host that hangs takes no connection, but listens
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                continue
