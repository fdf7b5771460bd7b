"""Bytes on their way into a folder: counted, timed, told of, and asked for again where a connection broke."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

from forestflow.artifacts.sources.rules import SourceRules
from forestflow.domain.errors import ArtifactRejected, DeadlineExceeded

MAX_FAILURES = 4  # in a row, without a byte in between
FIRST_PAUSE_SECONDS = 0.25
MAX_FILES = 100_000
MAX_NAME_LENGTH = 1024  # of a file below what was asked for; S3's keys are no longer
MAX_DEPTH = 100
CHUNK_BYTES = 1 << 20
LOG_SECONDS = 10.0

_log = logging.getLogger("forestflow.sources")

# From an offset on: where the bytes really start (0 or the offset), and the bytes.
Opener = Callable[[int], AbstractContextManager[tuple[int, Iterator[bytes]]]]


class Interrupted(Exception):
    """What a source raises when asking again may help: ``Interrupted(reason)``."""


class TimedOut(Interrupted):
    """An interruption because no answer came in time: ``TimedOut(reason)``."""


class Meter:
    """What one fetch may still take. ``report`` is told of progress, and may raise to end the fetch."""

    def __init__(self, rules: SourceRules, report: Callable[[str], None]) -> None:
        self.rules = rules
        self._report = report
        self._ends = time.monotonic() + rules.timeout_seconds
        self._logged = time.monotonic()
        self._taken = 0
        self._expected: int | None = 0
        self._told = ""

    @property
    def remaining(self) -> float:
        """Seconds, always above 0; raises DeadlineExceeded."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise self.late()
        return left

    def late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"the model was not fetched within {self.rules.timeout_seconds:g} s (setting fetch_timeout_seconds)"
        )

    def expect(self, size: int | None) -> None:
        """Note that the source announces ``size`` more bytes, or does not say how many (``None``)."""
        self._expected = None if size is None or self._expected is None else self._expected + size
        self._check(self._expected or 0)

    def add(self, size: int) -> None:
        """Count bytes that came (or, negative, that come again). Raises ArtifactRejected, DeadlineExceeded."""
        self._taken += size
        self._check(self._taken)
        self.tell(_progress(self._taken, self._expected))
        self.remaining  # noqa: B018  # raises when there is none

    def tell(self, text: str) -> None:
        """What is going on, for the release's status and now and then the log."""
        if text != self._told:
            self._told = text
            self._report(text)
        if time.monotonic() - self._logged > LOG_SECONDS:
            self._logged = time.monotonic()
            _log.info("%s", text)

    def pause(self, failures: int) -> None:
        """Wait before another try, longer each time."""
        time.sleep(min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), self.remaining))

    def _check(self, size: int) -> None:
        if size > self.rules.max_bytes:
            raise ArtifactRejected(
                f"the source is larger than {self.rules.max_bytes} bytes (setting artifact_max_bytes)"
            )


def download(open_at: Opener, target: Path, meter: Meter) -> None:
    """Write a remote file to ``target``, going on where a broken connection left off.

    Raises ArtifactRejected, DeadlineExceeded.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    with target.open("xb") as file:
        while True:
            try:
                with open_at(file.tell()) as (start, chunks):
                    if start != file.tell():
                        meter.add(start - file.tell())
                        file.truncate(start)
                        file.seek(start)
                    for chunk in chunks:
                        meter.add(len(chunk))
                        file.write(chunk)
                        failures = 0
                return
            except Interrupted as error:
                failures += 1
                again_or_raise(error, failures, meter)


def again_or_raise(error: Interrupted, failures: int, meter: Meter) -> None:
    """Wait for another try after that many failures in a row, or say that there is none."""
    if failures < MAX_FAILURES:
        _log.info("asking again: %s", error)
        meter.pause(failures)
    elif isinstance(error, TimedOut):
        raise DeadlineExceeded(f"{error}; given up after {failures} tries") from error
    else:
        raise ArtifactRejected(f"{error}; given up after {failures} tries") from error


def safe_name(name: str) -> str:
    """A relative name from an archive or a listing; raises ArtifactRejected for one that leads elsewhere."""
    if len(name) > MAX_NAME_LENGTH or name.count("/") > MAX_DEPTH:
        raise ArtifactRejected(f"the source holds a name that is too long, or in too many folders: {name[:80]!a}")
    parts = PurePosixPath(name).parts
    malformed = not name or "\\" in name or name[1:2] == ":" or any(ord(c) < 32 for c in name)
    if malformed or name.startswith("/") or ".." in parts:
        raise ArtifactRejected(f"the source holds a name that is absolute, malformed or leads out of it: {name[:80]!a}")
    return "/".join(parts)


def _progress(taken: int, expected: int | None) -> str:
    done = f"downloading {taken / 1e6:.0f}"
    return f"{done} of {expected / 1e6:.0f} MB" if expected and expected >= taken else f"{done} MB"
