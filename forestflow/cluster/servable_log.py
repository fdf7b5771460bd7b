"""The log of each replica: what its process writes to standard output and error, and ForestFlow's records of it.

One text file per replica, ``<data directory>/logs/servables/<org>/<project>/<number>/<release>/<replica>.log``, with
one predecessor. The process writes to the file itself, not through a pipe, so that its last words before a crash are
there; a thread renames a file that has grown too long and puts a new one below the descriptors.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from forestflow.domain.ids import Fqrv
from forestflow.domain.reports import LogPosition, ReplicaLog

MAX_BYTES = 16 << 20
READ_BYTES = 1 << 20  # at most so much is read at once
KEEP_SECONDS = 7 * 86_400  # after its replica is gone
KEEP_LINES = 10_000  # of a replica on a node without the data directory
CHECK_SECONDS = 1.0

_SUFFIX, _OLDER = ".log", ".log.1"


def directory_of(data_dir: Path, fqrv: Fqrv) -> Path:
    """Where the logs of a release are; on a node without the data directory, in a directory of that node."""
    root = data_dir if data_dir.is_dir() else Path(tempfile.gettempdir()) / f"forestflow-{os.getuid()}"
    contract = fqrv.contract
    names = (contract.organization, contract.project, str(contract.contract_number), fqrv.release_version)
    # cut: a name of 255 characters may be longer than a file's name may be
    return root.joinpath("logs", "servables", *[name.encode()[:255].decode(errors="ignore") for name in names])


def replicas_in(directory: Path) -> list[str]:
    """The replicas that have a log there, the one that wrote last at the end."""
    files = sorted(directory.glob(f"*{_SUFFIX}"), key=lambda file: file.stat().st_mtime)
    return [file.name.removesuffix(_SUFFIX) for file in files]


def read(directory: Path, replica_id: str, tail: int, after: LogPosition | None = None) -> ReplicaLog | None:
    """The last ``tail`` lines, or the whole lines since ``after``; ``None`` for a replica without a log."""
    files = [file for suffix in (_OLDER, _SUFFIX) if (file := directory / (replica_id + suffix)).exists()]
    if not files:
        return None
    with contextlib.ExitStack() as opened:
        streams = [opened.enter_context(file.open("rb")) for file in files]
        known = [LogPosition(status.st_ino, status.st_size) for status in (os.fstat(s.fileno()) for s in streams)]
        if after is None:
            text = b""
            for stream, end in zip(reversed(streams), reversed(known), strict=True):
                stream.seek(max(0, end.offset - READ_BYTES))
                text = stream.read(READ_BYTES) + text
            lines = text[-READ_BYTES:].splitlines(keepends=True)
            return ReplicaLog(replica_id, b"".join(lines[-tail:] if tail else []).decode(errors="replace"), known[-1])
        inodes = [position.inode for position in known]
        first = inodes.index(after.inode) if after.inode in inodes else len(inodes) - 1
        for number, stream in enumerate(streams[first:], first):
            offset = after.offset if inodes[number] == after.inode else 0
            stream.seek(offset)
            text = stream.read(READ_BYTES)
            text = text[: text.rfind(b"\n") + 1] if len(text) < READ_BYTES else text
            if text or number == len(streams) - 1:
                position = LogPosition(inodes[number], offset + len(text))
                return ReplicaLog(replica_id, text.decode(errors="replace"), position)
    return None  # not reached: the last stream always answers


def keep(directory: Path, log: ReplicaLog) -> None:
    """Write down what another node's replica said. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / (log.replica_id + _SUFFIX)).write_text(log.text, "utf-8")


def remove(directory: Path, replica_id: str) -> None:
    """Remove a replica's log, and the folders that hold nothing then."""
    for suffix in (_OLDER, _SUFFIX):
        (directory / (replica_id + suffix)).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others have theirs there
        os.removedirs(directory)


@dataclass(slots=True)
class Capture:
    """Standard output and error of this process, in a file."""

    path: Path
    max_bytes: int = MAX_BYTES

    def start(self) -> None:
        """Redirect, also what ForestFlow logs; look after the file from a thread. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open()
        for name, number in (("stdout", 1), ("stderr", 2)):
            setattr(sys, name, os.fdopen(number, "w", 1, "utf-8", "backslashreplace", closefd=False))
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("forestflow")
        # one that writes to standard error already would write each record twice
        logger.handlers[:] = [h for h in logger.handlers if type(h) is not logging.StreamHandler] + [handler]
        threading.Thread(target=self._look_after, name="servable-log", daemon=True).start()

    def check(self) -> None:
        """Begin a new file when this one is too long; tell by its time that its replica lives."""
        if os.fstat(1).st_size > self.max_bytes:
            self.path.replace(self.path.with_suffix(_OLDER))
            self._open()
        os.utime(1)

    def _open(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)

    def _look_after(self) -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            with contextlib.suppress(OSError):  # a full disk: tried again
                self.check()


def remove_old(data_dir: Path, now: float) -> None:
    """Remove the logs of replicas that are long gone."""
    root = data_dir / "logs" / "servables"
    for file in root.rglob(f"*{_SUFFIX}*"):
        if file.is_file() and now - file.stat().st_mtime > KEEP_SECONDS:
            file.unlink(missing_ok=True)
    for folder in sorted(root.rglob("*"), reverse=True):
        if folder.is_dir():
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()
