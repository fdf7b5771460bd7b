"""The access log: a JSON line for each finished request, written by a thread of its own.

The event loop only appends to a queue, of ``MAX_WAITING`` lines at most. Each batch of whole lines is one write to a
file opened for appending, which the system does not mix with that of another router. A file that was moved away is
opened anew.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

from forestflow.api.observer import Finished

MAX_WAITING = 65_536
MAX_TEXT = 1024  # characters of one field
WRITE_SECONDS = 0.25
_BATCH = 1000  # lines of one write
_PAUSE = 0.002  # between two of them: the event loop wants the interpreter, too

_log = logging.getLogger("forestflow.access_log")


class AccessLog:
    """:class:`forestflow.api.observer.Observer`. Lines that find no room, or no disk, are dropped and counted."""

    def __init__(self, file: Path) -> None:
        self._path = file
        self._waiting: deque[tuple[float, Finished]] = deque()
        self._dropped = 0  # counted by the event loop alone
        self._reported = 0
        self._file = -1
        self._failed = ""
        self._ending = threading.Event()
        self._writer = threading.Thread(target=self._write_regularly, name="access-log", daemon=True)
        self._writer.start()

    def finished(self, request: Finished) -> None:
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((time.time(), request))
        else:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits."""
        self._ending.set()
        self._writer.join()
        if self._file >= 0:
            os.close(self._file)

    def _write_regularly(self) -> None:
        while not self._ending.wait(WRITE_SECONDS):
            self._write()
        self._write()

    def _write(self) -> None:
        dropped = self._dropped - self._reported
        self._reported += dropped
        while batch := [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]:
            try:
                self._append(b"".join(line_of(when, request) for when, request in batch))
            except OSError as error:
                dropped += len(batch)
                if str(error) != self._failed:
                    self._failed = str(error)  # once, however often it fails so
                    _log.error("the access log cannot be written: %s", error)
            else:
                self._failed = ""
            time.sleep(_PAUSE)
        if dropped:
            _log.warning("%d requests are missing in the access log", dropped)

    def _append(self, lines: bytes) -> None:
        self._open()
        while lines:  # the system may take a part, where the disk is nearly full
            lines = lines[os.write(self._file, lines) :]

    def _open(self) -> None:
        """Open the file, unless it is open and still there."""
        if self._file >= 0:
            try:
                if os.path.samestat(os.fstat(self._file), self._path.stat()):
                    return
            except FileNotFoundError:
                pass
            os.close(self._file)
            self._file = -1
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def line_of(when: float, request: Finished) -> bytes:
    """The line of a request that was over at that time. JSON escapes all that could forge another line."""
    contract = request.contract
    named = None if contract is None else f"{contract.organization}/{contract.project}/{contract.contract_number}"
    entry = {
        "time": datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds"),
        "method": _capped(request.method),
        "path": _capped(request.path),
        "protocol": _capped(request.protocol),
        "contract": _capped(named),
        "release": _capped(request.release),
        "status": request.status,
        "code": request.code,
        "request_bytes": request.request_bytes,
        "answer_bytes": request.answer_bytes,
        "ms": round(request.milliseconds, 3),
        "request_id": _capped(request.request_id),
    }
    return json.dumps(entry, ensure_ascii=True).encode() + b"\n"


def _capped(text: str | None) -> str | None:
    return None if text is None else text[:MAX_TEXT]
