"""The one seam for everything that looks at finished requests: metrics, an access log, traces.

An observer is called once for each request, whatever became of it: answered, refused, timed out, lost. The transports
keep a :class:`Watch` of a request while it is under way, if there is an observer; without one there is no watch, and a
request costs no more than the test for that.

To add an observer: write a class with ``finished`` and ``close``, and name it by import string in
``RouterSettings.observers``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from forestflow.dataplane.link import Outcome
from forestflow.domain.errors import Code, ForestFlowError
from forestflow.domain.ids import Contract

CANCELLED = "CANCELLED"  # the code of a request that nobody waited for any more, or that the server gave up
MAX_PATH = 1024

_log = logging.getLogger("forestflow.observer")


@dataclass(frozen=True, slots=True)
class Finished:
    """A request that is over.

    ``method`` is HTTP's, ``gRPC`` for a call and ``item`` for an item of a stream. ``status`` is HTTP's or gRPC's
    number, 499 for HTTP requests that got no answer. ``code`` names the neutral code. Bytes are those of bodies or
    messages, as far as they were read and answered. What nobody found out is ``None`` or empty.
    """

    method: str
    path: str
    protocol: str
    contract: Contract | None
    release: str | None
    status: int
    code: str
    request_bytes: int
    answer_bytes: int
    milliseconds: float
    request_id: str


class Observer(Protocol):
    """Looks at finished requests, on the event loop of its router."""

    def finished(self, request: Finished) -> None:
        """Take a request that is over. Must neither block nor raise."""
        ...

    def close(self) -> None:
        """Write what is left. The router has stopped; this may block."""
        ...


class Watch:
    """What is known so far of a request under way. ``finish`` reports it, once."""

    __slots__ = (
        "_observer", "_over", "_started", "answer_bytes", "code", "contract", "method", "path", "protocol", "release",
        "request_bytes", "request_id",
    )  # fmt: skip

    def __init__(self, observer: Observer, method: str, path: str, protocol: str = "", request_bytes: int = 0) -> None:
        self._observer = observer
        self._over = False
        self._started = time.perf_counter()
        self.method = method[:MAX_PATH]
        self.path = path[:MAX_PATH]
        self.protocol = protocol
        self.contract: Contract | None = None
        self.release: str | None = None
        self.code: Code | None = None
        self.request_bytes = request_bytes
        self.answer_bytes = 0
        self.request_id = ""

    def part(self, request_bytes: int) -> Watch:
        """Begin to watch an item of this call."""
        return Watch(self._observer, "item", self.path, self.protocol, request_bytes)

    def came_of_it(self, outcome: Outcome) -> None:
        """Note a replica's reply, or why there is none."""
        if isinstance(outcome, ForestFlowError):
            self.code = outcome.code
        else:
            self.code = Code(outcome.code)
            self.contract = outcome.fqrv.contract
            self.release = outcome.fqrv.release_version

    def finish(self, status: int, code: str | None = None) -> None:
        """Report the request, unless it was reported before. ``code`` goes before the one that was noted."""
        if self._over:
            return
        self._over = True
        milliseconds = (time.perf_counter() - self._started) * 1000
        if code is None:
            code = Code.OK.name if self.code is None else self.code.name
        self._observer.finished(
            Finished(
                self.method,
                self.path,
                self.protocol,
                self.contract,
                self.release,
                status,
                code,
                self.request_bytes,
                self.answer_bytes,
                milliseconds,
                self.request_id,
            )
        )


class Observers:
    """Several observers as one. What one of them raises is logged, and is neither the request's nor the others'."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)

    def finished(self, request: Finished) -> None:
        for observer in self._observers:
            try:
                observer.finished(request)
            except Exception:
                _log.exception("an observer failed", extra={"request_id": request.request_id})

    def close(self) -> None:
        for observer in self._observers:
            try:
                observer.close()
            except Exception:
                _log.exception("an observer did not close")


def installed(observers: Iterable[tuple[str, Mapping[str, Any]]]) -> Observers:
    """Make observers, each named by ``module:class`` and given its own arguments."""
    made: list[Observer] = []
    for name, arguments in observers:
        module, _, factory = name.partition(":")
        made.append(cast(Observer, getattr(import_module(module), factory)(**arguments)))
    return Observers(made)
