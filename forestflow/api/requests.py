"""What is read of a request whichever transport carries it: its id, its time, the contract it names."""

from __future__ import annotations

from itertools import count
from random import getrandbits
from secrets import token_hex

from forestflow.domain.errors import Malformed
from forestflow.domain.ids import MAX_CONTRACT_NUMBER

MAX_REQUEST_ID_LENGTH = 128
MAX_TIMEOUT_SECONDS = 86_400.0

_VISIBLE = frozenset(range(0x21, 0x7F))

# Request ids of our own: random per process, then counted, so that making one costs next to nothing.
_PREFIX = token_hex(8).encode()
_numbers = count(1)


def new_request_id() -> str:
    """32 hexadecimal digits, random."""
    return f"{getrandbits(128):032x}"


def clean_request_id(own: bytes | None) -> str:
    """A client's request id with nothing in it but visible ASCII, 128 of them at most; a new one if nothing is left."""
    if own is None:
        return new_request_id()
    kept = bytes(c for c in own[: 4 * MAX_REQUEST_ID_LENGTH] if c in _VISIBLE)[:MAX_REQUEST_ID_LENGTH]
    return kept.decode("ascii") if kept else new_request_id()


def request_id_of(own: bytes | None) -> bytes:
    """A client's own request id, cleaned, or a new one."""
    if own is None:
        return b"%b%016x" % (_PREFIX, next(_numbers))
    return clean_request_id(own).encode()


def contract_number_of(text: str) -> int:
    """Raises Malformed."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MAX_CONTRACT_NUMBER):
        raise Malformed(f"a contract number is an integer in 0..{MAX_CONTRACT_NUMBER}, got {text[:20]!r}")
    return int(text)
