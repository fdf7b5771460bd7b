"""Decoding ahead: while the model runs, the next long text body is parsed in a thread of its own.

Parsing a thousand rows of JSON takes about as long as predicting them, and a framework leaves the interpreter's lock
while it computes: so the two overlap, one request apart. One at a time, and only while the model runs, so that short
requests wait for one parse at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from forestflow.codecs.request import ScoreRequest
from forestflow.codecs.table import BASIC, OIP_REST, TFINFER, TFSERVING_REST

LONG_TEXT = 1 << 15  # bytes from which parsing is worth a thread's switch

_TEXT = frozenset({BASIC, TFSERVING_REST, TFINFER, OIP_REST})
_ENDS_OF_TEXT = b"}] \t\r\n"  # what follows an Open Inference document of text is binary

J = TypeVar("J")


def slow_to_decode(codec: int, payload: bytes) -> bool:
    """Whether a request of that codec is a long text."""
    return len(payload) >= LONG_TEXT and codec in _TEXT and payload[-1] in _ENDS_OF_TEXT


class DecodeAhead(Generic[J]):
    """Jobs whose bodies wait to be decoded, in order; the first of them perhaps in the thread already."""

    def __init__(self, decode: Callable[[J], ScoreRequest]) -> None:
        """``decode`` is called in the thread or by :meth:`take`, never by both at once; what it raises is kept."""
        self._decode = decode
        self._waiting: deque[J] = deque()
        self._ahead: tuple[J, Future[ScoreRequest]] | None = None
        self._thread: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self._waiting) + (self._ahead is not None)

    @property
    def ready(self) -> bool:
        """Whether :meth:`take` answers at once."""
        return self._ahead is not None and self._ahead[1].done()

    def append(self, job: J) -> None:
        self._waiting.append(job)

    def start(self) -> None:
        """Begin with the next job, if there is one and none is under way."""
        if self._ahead is None and self._waiting:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "decode-ahead")
            job = self._waiting.popleft()
            self._ahead = (job, self._thread.submit(self._decode, job))

    def take(self) -> tuple[J, Future[ScoreRequest]]:
        """The first job and what became of it, decoded here and now unless it was before. IndexError if none waits."""
        if self._ahead is not None:
            (job, future), self._ahead = self._ahead, None
            return job, future
        job, future = self._waiting.popleft(), Future()
        try:
            future.set_result(self._decode(job))
        except Exception as error:
            future.set_exception(error)
        return job, future

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
