"""How much a request may declare: the one rule for every protocol that sends shapes beside values.

A tensor with elements brings them along, and its reader counts them. An empty one brings nothing, and would be free to
declare as many rows as it likes; each costs whoever walks over them. So an empty tensor counts as what it would be as
nested lists (``[3, 0]`` is three empty lists, ``[0, 784]`` is one), and all empty tensors of a request may together be
as many lists as the request has bytes. What stands behind the empty axis says how large one row would be, which may
be ``MAX_ROW`` elements more than the request has bytes.

TensorFlow's messages may name one value for a whole tensor. TensorFlow itself takes as many as fit into memory; here
``REPEATED`` elements of a request, and ``REPEATED_ROWS`` rows, may come without a value of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from forestflow.domain.errors import InvalidInput

MAX_AXES = 32
MAX_ROW = 1 << 22  # a picture of 1024 x 1024 pixels has 3 << 20 elements
REPEATED = 1 << 18
REPEATED_ROWS = 1 << 10


class Room:
    """What the tensors of one request, of ``received`` bytes, may still declare. Methods raise InvalidInput.

    ``name`` is an input's name, or a tensor's number where the protocol has no names.
    """

    __slots__ = ("_largest", "_lists", "_received", "_repeated")

    def __init__(self, received: int) -> None:
        self._received = received
        self._largest = received + MAX_ROW
        self._lists = received
        self._repeated = REPEATED

    def check(self, name: str | int, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape, if the request has room for it; whether its elements came is for its reader to see."""
        if len(shape) > MAX_AXES or min(shape, default=0) < 0 or max(shape, default=0) > self._largest:
            raise self._refusal(name, shape)
        if 0 in shape:
            self._lists -= math.prod(shape[: shape.index(0)])
            if self._lists < 0 or math.prod([size for size in shape if size]) > self._largest:
                raise self._refusal(name, shape)
        return tuple(shape)

    def repeat(self, name: str | int, shape: Sequence[int], came: int) -> None:
        """Take the elements of a checked shape for which no value came."""
        self._repeated -= math.prod(shape) - came
        if self._repeated < 0 or (shape and shape[0] > self._received + REPEATED_ROWS):
            raise InvalidInput(
                f"{_named(name)} has {came} values for the shape {list(shape)}; of a request of {self._received} bytes "
                f"{REPEATED} elements, and {self._received + REPEATED_ROWS} rows, may come without a value of their own"
            )

    def _refusal(self, name: str | int, shape: Sequence[int]) -> InvalidInput:
        sizes = [str(size) if size.bit_length() < 64 else "…" for size in shape[: MAX_AXES + 1]]
        return InvalidInput(
            f"{_named(name)} cannot have the shape [{', '.join(sizes)}] in a request of {self._received} bytes"
        )


def _named(name: str | int) -> str:
    return f"input {name!r}" if isinstance(name, str) else f"tensor {name}"
