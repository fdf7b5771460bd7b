"""What a score request must pass before its body is looked at: site, type, deadline, address. Path and headers only."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from forestflow.api.http.edge import check_content_type, check_path, contract_of
from forestflow.api.http.errors import Header, HttpRefusal
from forestflow.api.http.hosts import HostGuard
from forestflow.api.requests import MAX_TIMEOUT_SECONDS
from forestflow.dataplane.dispatch import ContractRoute, Dispatcher
from forestflow.dataplane.link import Outcome
from forestflow.domain.errors import Code, Malformed, TooLarge
from forestflow.domain.ids import Contract

CACHED_PATHS = 65_536
KEY_HEADER = b"x-forestflow-key"

_DECIMAL = re.compile(rb"[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")  # float() takes more, as 1_0


@dataclass(slots=True)
class Admitted:
    """A score request that may go on.

    ``seconds`` is its time if it named one, ``length`` that of its body if told, ``key`` what it is routed by if told.
    ``direct`` is there where the body is not BASIC's; then this holds for that ``version`` of the Plan alone (0: any).
    """

    route: ContractRoute
    seconds: float | None
    length: int | None
    key: str | None = None
    direct: Direct | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Direct:
    """A request of another protocol whose body need not be known to send it on: ``head`` goes before the body.

    ``answer`` makes status, headers and body of what came of a request with that id; ``protocol`` names the protocol
    for observers. A body that ``takes`` refuses
    goes the general way.
    """

    contract: Contract
    codec: int
    head: bytes
    answer: Callable[[Outcome, bytes], tuple[int, list[Header], bytes]]
    protocol: str
    takes: Callable[[memoryview], bool] | None = None


FindDirect = Callable[[bytes, Sequence[Header]], Direct | None]  # by raw path and headers


class Gate:
    """Remembers which hosts and paths it has let pass."""

    def __init__(self, dispatcher: Dispatcher, guard: HostGuard, max_body_bytes: int) -> None:
        self._dispatcher = dispatcher
        self._guard = guard
        self.max_body_bytes = max_body_bytes
        self._routes: dict[bytes, ContractRoute] = {}  # by raw path

    def admit(self, raw_path: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Admitted:
        """Raises HttpRefusal (403, 404, 415), Malformed, TooLarge, UnknownContract, InvalidIdentifier."""
        seconds, length, key, content_type = self._look(headers)
        check_content_type(content_type)
        route = self._routes.get(raw_path)
        if route is None or route.gone:
            route = self._find(raw_path)
        return Admitted(route, seconds, length, key)

    def admit_direct(
        self, raw_path: bytes, headers: Sequence[Header], finders: Iterable[FindDirect]
    ) -> Admitted | None:
        """The same by the first of other protocols that knows the path; content types do not matter to them."""
        for find in finders:
            direct = find(raw_path, headers)
            if direct is not None:
                seconds, length, key, _ = self._look(headers)
                check_path(raw_path)
                route = self._dispatcher.route(direct.contract)
                return Admitted(route, seconds, length, key, direct, self._dispatcher.version)
        return None

    def _look(
        self, headers: Iterable[tuple[bytes, bytes]]
    ) -> tuple[float | None, int | None, str | None, bytes | None]:
        """Time, length of the body, key, and content type."""
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
        size = None if length is None else int(length)  # digits, see framing
        if size is not None and size > self.max_body_bytes:
            raise TooLarge(f"the body has {size} bytes; at most {self.max_body_bytes} are allowed")
        return None if timeout is None else seconds_of(timeout), size, key, content_type

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


def seconds_of(header: bytes) -> float:
    """The time of an ``X-Request-Timeout`` header. Raises Malformed."""
    seconds = float(header) if _DECIMAL.fullmatch(header) else math.nan
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise Malformed(f"X-Request-Timeout must be seconds over 0 and at most {MAX_TIMEOUT_SECONDS:g}")
    return seconds
