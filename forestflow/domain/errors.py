"""Every way a command or a score can be refused, with a neutral code that each transport maps to its own status.

The classes cross process borders (registry to router, replica to host), so each forwards every constructor argument
to ``super().__init__``; ``tests/unit/domain/test_errors.py`` pickles every one of them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

MAX_MESSAGE = 8192  # characters: a message may hold what a client sent, which need not come back whole


class Code(enum.IntEnum):
    """What went wrong, independent of any protocol. The numbers travel in reply frames."""

    OK = 0
    MALFORMED = 1  # the bytes are not of the protocol
    INVALID = 2  # well-formed, but makes no sense here
    NOT_FOUND = 3
    ALREADY_EXISTS = 4
    NO_ACTIVE_SERVABLE = 5
    TOO_LARGE = 6
    EXHAUSTED = 7  # a bounded queue is full: try again later
    DEADLINE = 8
    UNAVAILABLE = 9  # nothing that could answer is reachable now
    UNIMPLEMENTED = 10
    INTERNAL = 11  # a model or the server failed
    STORAGE = 12  # the state could not be written: nothing was acknowledged
    OUT_OF_MEMORY = 13  # the request needs more memory than a replica may have


class ForestFlowError(Exception):
    """Base of all errors that a client may see; ``message`` never holds a stack trace."""

    code: Code = Code.INTERNAL

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)

    @property
    def message(self) -> str:
        text = str(self.args[-1]) if self.args else type(self).__name__
        return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"

    def __str__(self) -> str:
        return self.message


class Malformed(ForestFlowError):
    """The bytes of a request are not what its protocol says: ``Malformed(message)``."""

    code = Code.MALFORMED


class Invalid(ForestFlowError):
    """A well-formed request that makes no sense: ``Invalid(message)``."""

    code = Code.INVALID


class InvalidIdentifier(Invalid):
    """A name of a contract or release that cannot be one: ``InvalidIdentifier(message)``."""


class InvalidSettings(Invalid):
    """Settings that contradict themselves: ``InvalidSettings(message)``."""


class InvalidInput(Invalid):
    """A score request that the model cannot take (wrong number of inputs, wrong type): ``InvalidInput(message)``."""


class UnknownInputs(InvalidInput):
    """A score request with fields, or tensors, that the model does not have: ``UnknownInputs(names, message)``.

    Without these fields it may be a request that the model can take.
    """

    def __init__(self, names: Iterable[str], message: str) -> None:
        super().__init__(tuple(dict.fromkeys(names)), message)

    @property
    def names(self) -> tuple[str, ...]:
        names: tuple[str, ...] = self.args[0]
        return names


class TooLarge(ForestFlowError):
    """A body or message over the configured limit: ``TooLarge(message)``."""

    code = Code.TOO_LARGE


class QueueFull(ForestFlowError):
    """A bounded queue is full; ``QueueFull(retry_after_seconds, message)``."""

    code = Code.EXHAUSTED

    @property
    def retry_after_seconds(self) -> float:
        return float(self.args[0])


class DeadlineExceeded(ForestFlowError):
    """The request's time ran out: ``DeadlineExceeded(message)``."""

    code = Code.DEADLINE


class Unavailable(ForestFlowError):
    """Nobody who could answer is reachable: ``Unavailable(message)``."""

    code = Code.UNAVAILABLE


class StorageFailed(ForestFlowError):
    """The journal or artifact store could not write: ``StorageFailed(message)``."""

    code = Code.STORAGE


class JournalDamaged(StorageFailed):
    """An entry of the journal cannot be read: ``JournalDamaged(seq, message)``; those before it can."""

    @property
    def seq(self) -> int:
        """The number of the entry."""
        return int(self.args[0])


class NotImplementedByModel(ForestFlowError):
    """The model has no such output or method: ``NotImplementedByModel(message)``."""

    code = Code.UNIMPLEMENTED


class ModelFailed(ForestFlowError):
    """The model itself failed on a valid request: ``ModelFailed(message)``."""

    code = Code.INTERNAL


class OutOfMemory(ForestFlowError):
    """A replica ran out of memory over the request: ``OutOfMemory(message)``. Sent again, it would do so again."""

    code = Code.OUT_OF_MEMORY


class Quarantined(Invalid):
    """Replicas were lost over the same request before: ``Quarantined(message)``."""


class LoadFailed(ForestFlowError):
    """A servable could not be loaded: ``LoadFailed(message)``; the message says why and what to do."""

    code = Code.INVALID


class ArtifactRejected(ForestFlowError):
    """A model artifact is missing, damaged or hostile: ``ArtifactRejected(message)``."""

    code = Code.INVALID


class UnknownModel(ForestFlowError):
    """No contract, or no release of it, has that model name: ``UnknownModel(message)``."""

    code = Code.NOT_FOUND
