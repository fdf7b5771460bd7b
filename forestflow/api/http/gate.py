"""What a score request must pass before its body is looked at: site, type, deadline, address. Path and headers only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from secrets import token_hex
from urllib.parse import unquote

from forestflow.api.http.edge import check_content_type, check_path, clean_request_id, contract_of
from forestflow.api.http.errors import HttpRefusal
from forestflow.api.http.hosts import HostGuard
from forestflow.domain.errors import Code, Malformed, TooLarge
from forestflow.runtime.dispatch import ContractRoute, Dispatcher

MAX_TIMEOUT_SECONDS = 86_400.0
CACHED_PATHS = 65_536
KEY_HEADER = b"x-forestflow-key"

# Request ids of our own: random per process, then counted, so that making one costs next to nothing.
_PREFIX = token_hex(8).encode()
_numbers = count(1)


@dataclass(slots=True)
class Admitted:
    """A score request that may go on.

    ``seconds`` is its time if it named one, ``length`` that of its body if told, ``key`` what it is routed by if told.
    """

    route: ContractRoute
    seconds: float | None
    length: int | None
    key: str | None = None


def request_id_of(header: bytes | None) -> bytes:
    """A client's own request id, cleaned, or a new one."""
    if header is None:
        return b"%b%016x" % (_PREFIX, next(_numbers))
    return clean_request_id(header).encode()


class Gate:
    """Remembers which hosts and paths it has let pass."""

    def __init__(self, dispatcher: Dispatcher, guard: HostGuard, max_body_bytes: int) -> None:
        self._dispatcher = dispatcher
        self._guard = guard
        self.max_body_bytes = max_body_bytes
        self._routes: dict[bytes, ContractRoute] = {}  # by raw path

    def admit(self, raw_path: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Admitted:
        """Raises HttpRefusal (403, 404, 415), Malformed, TooLarge, UnknownContract, InvalidIdentifier."""
        host = origin = timeout = length = content_type = key = None
        for name, value in headers:
            if name == b"host":
                host = value
            elif name == b"content-length":
                length = value
            elif name == b"content-type":
                content_type = value
            elif name == b"x-request-timeout":
                timeout = value
            elif name == b"origin":
                origin = value
            elif name == KEY_HEADER:
                key = value.decode("utf-8", "surrogateescape")
        why = self._guard.refusal(host, origin)
        if why is not None:
            raise HttpRefusal(403, Code.INVALID, (), why)
        check_content_type(content_type)
        size = None if length is None else int(length)
        if size is not None and size > self.max_body_bytes:
            raise TooLarge(f"the body has {size} bytes; at most {self.max_body_bytes} are allowed")
        route = self._routes.get(raw_path)
        if route is None or route.gone:
            route = self._find(raw_path)
        return Admitted(route, None if timeout is None else _seconds(timeout), size, key)

    def _find(self, raw_path: bytes) -> ContractRoute:
        check_path(raw_path)
        parts = [unquote(part) for part in raw_path.decode("ascii", "replace").split("/")]
        route = self._dispatcher.route(contract_of(parts[1], parts[2], parts[3]))
        if len(self._routes) >= CACHED_PATHS:
            self._routes.clear()
        self._routes[raw_path] = route
        return route


def is_score_path(raw_path: bytes) -> bool:
    """Whether it is ``/{organization}/{project}/{contract_number}/score``."""
    return raw_path.endswith(b"/score") and raw_path.count(b"/") == 4


def _seconds(header: bytes) -> float:
    try:
        seconds = float(header)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise Malformed(f"X-Request-Timeout must be seconds over 0 and at most {MAX_TIMEOUT_SECONDS:g}")
    return seconds
