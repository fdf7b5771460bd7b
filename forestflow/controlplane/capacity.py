"""Whether any node of a cluster could ever hold a replica, and what it lacks if not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from forestflow.domain.settings import Resources

MIB = 1 << 20

Amounts = Mapping[str, float]  # by Ray's names; "memory" in bytes


def demand(resources: Resources) -> dict[str, float]:
    """What Ray is asked to reserve on one node."""
    wanted = {
        "CPU": float(resources.cpu or 0),
        "GPU": float(resources.gpu or 0),
        "memory": float((resources.memory_mb or 0) * MIB),
    }
    return {name: amount for name, amount in wanted.items() if amount}


def lacking(resources: Resources, nodes: Sequence[Amounts]) -> str | None:
    """Why no node could hold a replica, whatever runs there now; ``None`` when one could.

    ``nodes`` are the whole resources of each node that is up. A replica needs all of its own on one node.
    """
    wanted = demand(resources)
    if not nodes:
        return "the cluster has no node that is up"
    if any(_fits(wanted, node) for node in nodes):
        return None
    names = ("CPU", "GPU", "memory")
    missing = {n: a for n, a in wanted.items() if not any(_fits({n: a}, node) for node in nodes)}
    most = ", ".join(_amount(name, max(node.get(name, 0) for node in nodes)) for name in names)
    if missing:
        return f"no node has {_list(missing.items())}; the cluster's nodes have at most {most}"
    return f"no node has {_list(wanted.items())} together; the cluster's nodes have at most {most}, not all on one"


def waiting(resources: Resources, free: Sequence[Amounts]) -> str | None:
    """What a replica waits for while other ones hold it; ``None`` when a node has it free."""
    wanted = demand(resources)
    if any(_fits(wanted, node) for node in free):
        return None
    return f"waits for a node with {_list(wanted.items())} free"


def _fits(wanted: Amounts, node: Amounts) -> bool:
    return all(node.get(name, 0) >= amount for name, amount in wanted.items())


def _list(amounts: Iterable[tuple[str, float]]) -> str:
    return " and ".join(_amount(name, amount) for name, amount in amounts)


def _amount(name: str, amount: float) -> str:
    if name == "memory":
        return f"{_plain(amount / MIB, 0)} MiB of memory"
    return f"{_plain(amount, 4)} {name}"


def _plain(amount: float, digits: int) -> str:
    """Without an exponent and without zeros at the end, as Ray counts ten-thousandths."""
    return f"{Decimal(repr(round(amount, digits))).normalize():f}"
