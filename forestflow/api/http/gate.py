"""Which contract a score request is for, and by which protocol, as path and headers say once admission let it by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from forestflow.api.http.admission import Admission, check_content_type, check_path
from forestflow.api.http.edge import contract_of
from forestflow.api.http.errors import Header
from forestflow.dataplane.dispatch import ContractRoute, Dispatcher
from forestflow.dataplane.link import Outcome
from forestflow.domain.ids import Contract

CACHED_PATHS = 65_536


@dataclass(slots=True)
class Admitted:
    """A score request by its parsed head, which may go on unless a judge refuses it (``Gate.judge``).

    ``seconds`` is its time if it named one, ``length`` that of its body if told, ``key`` what it is routed by if told.
    ``direct`` is there where the body is not BASIC's; then this holds for that ``version`` of the Plan alone (0: any).
    """

    raw_path: bytes
    headers: Sequence[Header]
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

    def __init__(self, dispatcher: Dispatcher, admission: Admission, max_body_bytes: int) -> None:
        self._dispatcher = dispatcher
        self._admission = admission
        self.max_body_bytes = max_body_bytes
        self._routes: dict[bytes, ContractRoute] = {}  # by raw path
        self.judged = bool(admission.judges)

    def admit(self, raw_path: bytes, headers: Sequence[Header]) -> Admitted:
        """Raises HttpRefusal (403, 404, 415), Malformed, TooLarge, UnknownContract, InvalidIdentifier."""
        said = self._admission.read(headers, self.max_body_bytes)
        check_content_type(said.content_type)
        route = self._routes.get(raw_path)
        if route is None or route.gone:
            route = self._find(raw_path)
        return Admitted(raw_path, headers, route, said.seconds, said.length, said.key)

    def check(self, raw_path: bytes, headers: Sequence[Header]) -> None:
        """Ask the judges, if there are any, before it is found out whether there is that contract."""
        if self.judged:
            self._admission.check("POST", raw_path, headers)

    def judge(self, admitted: Admitted) -> None:
        """Ask who may say something else of the next request with the same head. Raises whatever it is refused with."""
        self._admission.judge("POST", admitted.raw_path, admitted.headers)

    def admit_direct(
        self, raw_path: bytes, headers: Sequence[Header], finders: Iterable[FindDirect]
    ) -> Admitted | None:
        """The same by the first of other protocols that knows the path; content types do not matter to them."""
        for find in finders:
            direct = find(raw_path, headers)
            if direct is not None:
                said = self._admission.read(headers, self.max_body_bytes)
                check_path(raw_path)
                route = self._dispatcher.route(direct.contract)
                return Admitted(
                    raw_path,
                    headers,
                    route,
                    said.seconds,
                    said.length,
                    said.key,
                    direct,
                    self._dispatcher.version,
                )
        return None

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
