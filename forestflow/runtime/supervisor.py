"""Runs the server in one thread and listens for signals in another, the main one, which does nothing else.

Python runs a signal's handler in the main thread, between two instructions of whatever that does: a handler that takes
a lock may find it held by the very code that it interrupted, and a main thread that waits inside C runs no handler at
all. So the handlers here do nothing. The interpreter itself writes the number of each signal into a pipe
(``signal.set_wakeup_fd``), the main thread reads the pipe, and the server's thread is asked to end. Any number of
signals asks once.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

# Whoever starts a server may have them ignored (`nohup make test &` does that to SIGINT) or blocked.
_ENDING = (signal.SIGTERM, signal.SIGINT)
_PIPE_BYTES = 4096


class Stopped(Exception):
    """The end was asked for before the server was up: ``Stopped()``."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What the server's thread does now, and how long the main thread waits for it before it ends the process.

    ``stop_seconds`` counts from when the end was asked for, ``limit_seconds`` from the beginning of the phase.
    """

    stop_seconds: float
    limit_seconds: float | None = None
    overdue: str = "it did not stop in time, and was ended"


class Work:
    """The server's thread as both threads see it."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._asked = threading.Event()
        self._phase = Phase(0), time.monotonic()
        self.asked_at: float | None = None

    def enter(self, phase: Phase) -> None:
        """Begin a phase. Raises Stopped if the end was asked for."""
        self._phase = phase, time.monotonic()
        self._wake()
        self.check()

    def check(self) -> None:
        """Raise Stopped if the end was asked for."""
        if self._asked.is_set():
            raise Stopped

    def wait(self) -> None:
        """Return when the end is asked for."""
        self._asked.wait()

    def ask(self) -> None:
        """Ask for the end; once is enough."""
        if self.asked_at is None:
            self.asked_at = time.monotonic()
            self._asked.set()

    def overdue(self) -> tuple[float | None, str | None]:
        """Seconds until the main thread's patience ends, and why.

        There is no reason when the end was asked for in a phase that may be cut short.
        """
        phase, began = self._phase
        ends: list[tuple[float, str | None]] = []
        if phase.limit_seconds is not None:
            ends.append((began + phase.limit_seconds, phase.overdue))
        if self.asked_at is not None:
            ends.append((self.asked_at + phase.stop_seconds, phase.overdue if phase.stop_seconds else None))
        if not ends:
            return None, None
        at, why = min(ends, key=lambda end: end[0])
        return max(0.0, at - time.monotonic()), why


def supervise(function: Callable[[Work], None], abandon: Callable[[str | None], NoReturn]) -> None:
    """Run ``function`` until it ends, and raise what it raises. A signal asks it to end.

    When it takes longer than its phase allows, ``abandon`` is called with the reason. It must end the process: a
    thread that waits inside C cannot be ended otherwise.
    """
    with _signals() as (read, wake):
        work = Work(wake)
        failure: list[BaseException] = []
        over = threading.Event()

        def run() -> None:
            try:
                function(work)
            except Stopped:
                pass
            except BaseException as error:
                failure.append(error)
            finally:
                over.set()
                wake()

        thread = threading.Thread(target=run, name="server", daemon=True)
        thread.start()
        while not over.is_set():
            left, why = work.overdue()
            if left == 0.0:
                abandon(why)
            if _read(read, left):
                work.ask()
        thread.join()
    if failure:
        raise failure[0]


def ending_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM and SIGINT always; SIGHUP unless it is ignored, which is what nohup is for."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return _ENDING
    return (*_ENDING, signal.SIGHUP)


@contextlib.contextmanager
def _signals() -> Iterator[tuple[int, Callable[[], None]]]:
    """The reading end of the pipe that signals write to, and a function that ends a wait for it.

    Afterwards the signals are ignored: the process is at its end, and must not be interrupted there.
    """
    numbers = ending_signals()
    read, write = os.pipe()
    for descriptor in (read, write):
        os.set_blocking(descriptor, False)

    def wake() -> None:
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes, too
            os.write(write, b"\0")

    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, _nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    try:
        yield read, wake
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(before)
        os.close(read)
        os.close(write)


def _nothing(_number: int, _frame: object) -> None:
    """Only there so that the interpreter catches the signal."""


def _read(descriptor: int, seconds: float | None) -> bool:
    """Wait for bytes; whether there was a signal among them."""
    select.select([descriptor], [], [], seconds)
    try:
        return any(os.read(descriptor, _PIPE_BYTES))
    except BlockingIOError:
        return False
