"""Runs the server in one thread, waits for signals in another, and has the main thread watch both.

Python runs a signal's handler in the main thread, between two instructions of whatever that does: a handler that takes
a lock may find it held by the very code that it interrupted, and while the main thread waits inside C no handler runs.
Libraries replace handlers, too: Ray's shutdown puts SIGTERM's default back, which kills. So there are no handlers: the
signals are blocked in every thread, and one of them takes them up with ``sigwait``. Any number of signals asks once.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn


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
    """The server's thread, as all threads see it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._phase = Phase(0)
        self._began = time.monotonic()
        self._asked_at: float | None = None
        self._over = False

    def enter(self, phase: Phase) -> None:
        """Begin a phase. Raises Stopped if the end was asked for."""
        with self._changed:
            self._phase, self._began = phase, time.monotonic()
            self._changed.notify_all()
        self.check()

    def check(self) -> None:
        """Raise Stopped if the end was asked for."""
        if self._asked_at is not None:
            raise Stopped

    def wait(self) -> None:
        """Return when the end is asked for."""
        with self._changed:
            self._changed.wait_for(lambda: self._asked_at is not None)

    def ask(self) -> None:
        """Ask for the end; once is enough."""
        with self._changed:
            if self._asked_at is None:
                self._asked_at = time.monotonic()
                self._changed.notify_all()

    def end(self) -> None:
        """Say that there is nothing left to do."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def outlast(self, abandon: Callable[[str | None], NoReturn]) -> None:
        """Return when the work is over. Call ``abandon`` when it takes longer than its phase allows."""
        with self._changed:
            while not self._over:
                left, why = self._overdue()
                if left == 0.0:
                    abandon(why)
                self._changed.wait(left)

    def _overdue(self) -> tuple[float | None, str | None]:
        """Seconds until patience ends, and why; a phase that may be cut short is ended without a reason."""
        phase = self._phase
        ends: list[tuple[float, str | None]] = []
        if phase.limit_seconds is not None:
            ends.append((self._began + phase.limit_seconds, phase.overdue))
        if self._asked_at is not None:
            ends.append((self._asked_at + phase.stop_seconds, phase.overdue if phase.stop_seconds else None))
        if not ends:
            return None, None
        at, why = min(ends, key=lambda end: end[0])
        return max(0.0, at - time.monotonic()), why


def supervise(function: Callable[[Work], None], abandon: Callable[[str | None], NoReturn]) -> None:
    """Run ``function`` until it ends, and raise what it raises. A signal asks it to end.

    When it takes longer than its phase allows, ``abandon`` is called with the reason. It must end the process: a
    thread that waits inside C cannot be ended otherwise. The signals stay blocked, for the process is at its end
    afterwards and must not be interrupted there.
    """
    numbers = block()
    work = Work()
    failure: list[BaseException] = []

    def listen() -> None:
        while True:
            signal.sigwait(numbers)
            work.ask()

    def run() -> None:
        try:
            function(work)
        except Stopped:
            pass
        except BaseException as error:
            failure.append(error)
        finally:
            work.end()

    threading.Thread(target=listen, name="signals", daemon=True).start()
    threading.Thread(target=run, name="server", daemon=True).start()
    work.outlast(abandon)
    if failure:
        raise failure[0]


def block() -> tuple[signal.Signals, ...]:
    """Keep the signals that ask for the end until :func:`supervise` takes them up; which they are.

    For the main thread, before any other is there: numpy starts threads when it is imported, and a signal goes to
    whatever thread does not block it. Children must call :func:`unblock`.
    """
    numbers = _ending_signals()
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    for number in numbers:  # an ignored one would be dropped, and not wait to be taken up
        signal.signal(number, signal.SIG_DFL)
    return numbers


def unblock() -> None:
    """Let this process be ended by signals again: for a child, which inherits what its parent blocks."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ending_signals())


def _ending_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM and SIGINT whatever was inherited; SIGHUP unless it is ignored, which is what nohup is for."""
    always = (signal.SIGTERM, signal.SIGINT)
    return always if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*always, signal.SIGHUP)
