"""What judges a request over HTTP before its body: site, address, length, deadline, type, and whoever else is to say.

The shortcut, the score route, the further protocols and the control API all ask here. What the bytes of a head and the
settings decide alone may be remembered with the parsed head. What can change between two requests with the same bytes
is a :data:`Judge`'s to say, and is asked again for each request, however well its head is known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from forestflow.api.http.errors import Header, HttpRefusal
from forestflow.api.http.hosts import HostGuard
from forestflow.api.requests import MAX_TIMEOUT_SECONDS
from forestflow.domain.errors import Code, Malformed, TooLarge

KEY_HEADER = b"x-forestflow-key"

_DECIMAL = re.compile(rb"[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")  # float() takes more, as 1_0

# Raises the ForestFlowError that the request is refused with. Takes its method, its raw path and its headers.
Judge = Callable[[str, bytes, Sequence[Header]], None]


@dataclass(frozen=True, slots=True)
class Said:
    """What a head says of its request: its time in seconds, the bytes of its body, what it is routed by, its type."""

    seconds: float | None
    length: int | None
    key: str | None
    content_type: bytes | None


class Admission:
    """``judges`` are asked for each request but probes; there may be none."""

    def __init__(self, guard: HostGuard, judges: Sequence[Judge] = ()) -> None:
        self._guard = guard
        self.judges = tuple(judges)

    def judge(self, method: str, raw_path: bytes, headers: Sequence[Header]) -> None:
        """Ask the judges. Raises whatever they refuse a request with."""
        for judge in self.judges:
            judge(method, raw_path, headers)

    def check(self, method: str, raw_path: bytes, headers: Sequence[Header], *, any_origin: bool = False) -> None:
        """Check site and path, and ask the judges. Raises HttpRefusal (403), Malformed, whatever the judges raise."""
        self.check_site(headers, any_origin=any_origin)
        check_path(raw_path)
        self.judge(method, raw_path, headers)

    def check_site(self, headers: Iterable[Header], *, any_origin: bool = False) -> None:
        """Raise HttpRefusal (403) for another server's Host, or a page of another site unless ``any_origin``."""
        origin = None if any_origin else header_of(headers, b"origin")
        why = self._guard.refusal(header_of(headers, b"host"), origin)
        if why is not None:
            raise HttpRefusal(403, Code.INVALID, (), why)

    def read(self, headers: Iterable[Header], limit: int) -> Said:
        """Check the site, and read what the head says. Raises HttpRefusal (403), TooLarge over ``limit``, Malformed."""
        fields = dict(headers)  # none that is read here is there twice, see framing
        why = self._guard.refusal(fields.get(b"host"), fields.get(b"origin"))
        if why is not None:
            raise HttpRefusal(403, Code.INVALID, (), why)
        length = fields.get(b"content-length")
        check_length(length, limit)
        timeout, key = fields.get(b"x-request-timeout"), fields.get(KEY_HEADER)
        return Said(
            None if timeout is None else seconds_of(timeout),
            None if length is None else int(length),
            None if key is None else key_of(key),
            fields.get(b"content-type"),
        )


def header_of(headers: Iterable[Header], name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    return next((value for key, value in headers if key == name), None)


def check_path(raw_path: bytes) -> None:
    """Raise Malformed where decoding the path once would not give its segments as names."""
    if b"%2f" in raw_path.lower():
        raise Malformed("a name in the path holds an encoded slash")
    try:
        unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        raise Malformed("the path is not UTF-8") from None


def check_length(length: bytes | None, limit: int, where: str = "") -> None:
    """Raise TooLarge for a Content-Length over ``limit`` bytes."""
    if length is not None and length.isdigit() and (len(length) > 18 or int(length) > limit):
        raise TooLarge(f"the body has {length[:18].decode()} bytes; at most {limit} are allowed{where}")


def check_content_type(content_type: bytes | None) -> None:
    """Raise HttpRefusal (415) for a body that says it is not JSON; one that says nothing is believed."""
    if content_type and content_type.partition(b";")[0].strip().lower() != b"application/json":
        raise HttpRefusal(
            415, Code.MALFORMED, (), "the request's Content-Type is not supported; expected application/json"
        )


def seconds_of(header: bytes) -> float:
    """The time of an ``X-Request-Timeout`` header. Raises Malformed."""
    seconds = float(header) if _DECIMAL.fullmatch(header) else math.nan
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise Malformed(f"X-Request-Timeout must be seconds over 0 and at most {MAX_TIMEOUT_SECONDS:g}")
    return seconds


def key_of(header: bytes) -> str:
    """The routing key of an ``X-ForestFlow-Key`` header."""
    return header.decode("utf-8", "surrogateescape")
