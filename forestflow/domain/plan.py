"""The Plan: the result of evaluating all policies at one instant, and the only thing the request path reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.settings import Routing


@dataclass(frozen=True, slots=True)
class ReplicaAddress:
    """Where one replica answers frames: a Unix socket for routers of its node, TCP ``host:port`` for all others."""

    replica_id: str
    node_id: str
    unix_path: str
    tcp: str


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """How routers treat one release. ``weight`` 0: answers no user.

    ``shadow``: gets copies, at low priority, of ``sample_percent`` of the requests that others answer. A replica lets
    ``max_backlog`` of them wait.
    """

    fqrv: Fqrv
    weight: int
    shadow: bool = False
    replicas: tuple[ReplicaAddress, ...] = ()
    max_queued: int | None = None
    timeout_seconds: float | None = None
    sample_percent: int = 100
    max_backlog: int = 256


@dataclass(frozen=True, slots=True)
class ContractPlan:
    """All releases of a contract that routers need to know.

    ``sticky_key`` names the config whose value decides which release answers; ``None``: no request has a key.
    """

    contract: Contract
    releases: tuple[ReleasePlan, ...] = ()
    sticky_key: str | None = None
    routing: Routing = Routing.BATCH


@dataclass(frozen=True, slots=True)
class PlanUpdate:
    """What changed between two versions of the Plan; a contract that maps to ``None`` is gone.

    ``full`` says that contracts not named do not exist.
    """

    version: int
    contracts: Mapping[Contract, ContractPlan | None] = field(default_factory=dict)
    full: bool = False
