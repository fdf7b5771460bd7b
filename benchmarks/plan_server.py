"""A router with a Plan as large as one likes, and one real replica behind one of its contracts; no Ray, no registry.

``python -m benchmarks.plan_server PORT CONTRACTS RELEASES`` serves until it is killed. The router, its HTTP
application, its dispatcher and the replica's host are the product's own; only the registry is played here, because a
real one would want eight thousand replicas for such a Plan.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.payloads import MODELS, MOJO, Address
from forestflow.cluster.router import RegistryClient, Router
from forestflow.dataplane.host import Host
from forestflow.domain.assignment import Assignment, Loaded
from forestflow.domain.commands import Command, IsReady
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.plan import ContractPlan, PlanUpdate, ReleasePlan
from forestflow.domain.requests import H2OMojo
from forestflow.domain.settings import Resources
from forestflow.settings.sections import DispatchSettings, RouterSettings

SECRET = b"benchmark" * 4
NODE = "here"


def host(directory: str, fqrv: Fqrv, told: Connection) -> None:
    """The replica's process."""
    process = Host(node_id=NODE, bind_ip="127.0.0.1", socket_directory=Path(directory), secret=SECRET)
    assignment = Assignment("replica", fqrv, H2OMojo(MOJO), MODELS / MOJO, "-", Resources(), 1024, 256 << 20)
    told.send(process.load(assignment))
    multiprocessing.Event().wait()


def plan(contracts: int, releases: int, real: Contract, loaded: Loaded) -> PlanUpdate:
    """``contracts`` contracts of ``releases`` releases each; only the first release of ``real`` has a replica."""
    found = {}
    for contract in [real, *(Contract("synthetic", f"project_{n}", n) for n in range(contracts - 1))]:
        first = Fqrv(contract, "v1")
        addresses = (loaded.address,) if contract == real else ()
        others = [ReleasePlan(Fqrv(contract, f"v{n}"), 0 if contract == real else 10) for n in range(2, releases + 1)]
        found[contract] = ContractPlan(contract, (ReleasePlan(first, 100, replicas=addresses), *others))
    return PlanUpdate(1, found, full=True)


def main() -> None:
    port, contracts, releases = map(int, sys.argv[1:])
    address = Address()
    real = Contract(address.organization, address.project, address.contract_number)
    with tempfile.TemporaryDirectory(prefix="ff-plan-") as directory:
        ours, theirs = multiprocessing.Pipe()
        replica = multiprocessing.get_context("spawn").Process(
            target=host, args=(directory, Fqrv(real, "v1"), theirs), daemon=True
        )
        replica.start()
        update = plan(contracts, releases, real, ours.recv())

        async def answer(command: Command[Any]) -> tuple[Any, int]:
            return (True if command == IsReady() else [*update.contracts]), update.version

        async def next_plan(since: int, wait_seconds: float) -> PlanUpdate:
            if since < update.version:
                return update
            await asyncio.sleep(wait_seconds)
            return PlanUpdate(update.version)

        async def report(reporter: str, number: int, counts: Mapping[Fqrv, tuple[int, int]]) -> None:
            return None

        router = Router(
            RouterSettings("127.0.0.1", port, DispatchSettings(NODE, SECRET)),
            RegistryClient(answer, next_plan, report),
        )
        router.start()
        replica.join()


if __name__ == "__main__":
    main()
