"""What looking at the policies costs: ``python -m benchmarks.policies``.

One evaluation of 1,000 contracts of 8 releases as the registry's tick does it, on one core: which releases become valid
or expire, and the Plan that routers get. All contracts phase releases in, so that each Plan is a new one; every router,
expiration policy and validity rule is among them, and metrics are means of 100 reports.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import cycle

from forestflow.controlplane.evaluate import contract_plan, due_events
from forestflow.controlplane.planbook import PlanBook
from forestflow.domain import settings as s
from forestflow.domain.events import ContractSet, MetricReported, ServableBecameValid, ServableDeployed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.metrics import MetricReport, Sample
from forestflow.domain.plan import ReplicaAddress
from forestflow.domain.policies.expiration import ExpirationPolicy, KeepAll, KeepLatest, KeepTopRanked, MaxAge
from forestflow.domain.policies.phase_in import LinearTimeBasedPhaseIn
from forestflow.domain.policies.routers import (
    ContractRouter,
    FairPhaseInPctBasedRouter,
    LatestPhaseInPctBasedRouter,
    PerformanceRouter,
    StickyRouter,
)
from forestflow.domain.policies.validity import (
    ImmediatelyValid,
    MinServedEventsBasedValidity,
    PerformanceBasedValidity,
    TimeBasedValidity,
    ValidityRule,
)
from forestflow.domain.reports import Counts
from forestflow.domain.requests import H2OMojo, ServeRequest
from forestflow.domain.state import State

CONTRACTS, RELEASES, ROUNDS = 1000, 8, 5
BEGAN_MS = 1_700_000_000_000
ROUTERS: tuple[ContractRouter, ...] = (
    FairPhaseInPctBasedRouter(),
    LatestPhaseInPctBasedRouter(),
    PerformanceRouter("auc"),
    StickyRouter("user"),
)
EXPIRATIONS: tuple[ExpirationPolicy, ...] = (
    KeepAll(),
    KeepLatest(RELEASES),
    KeepTopRanked(RELEASES, "auc"),
    MaxAge(86_400),
)
RULES: tuple[tuple[ValidityRule, ...], ...] = (
    (ImmediatelyValid(),),
    (TimeBasedValidity(86_400_000), PerformanceBasedValidity(0.99, "auc")),
    (MinServedEventsBasedValidity(10**9),),
    (ImmediatelyValid(),),
)


def state() -> State:
    """Half of the releases are valid and being phased in, the others wait for their rules."""
    made = State()
    routers, expirations = cycle(ROUTERS), cycle(EXPIRATIONS)
    reports = MetricReport("auc", tuple(Sample(0.5 + n / 1000, BEGAN_MS + n) for n in range(100)))
    for number in range(CONTRACTS):
        contract = Contract("bench", "policies", number)
        made.apply(ContractSet(contract, s.ContractSettings(next(expirations), next(routers))))
        for release in range(RELEASES):
            policy = s.PolicySettings(RULES[release % len(RULES)], LinearTimeBasedPhaseIn(100))
            request = ServeRequest(
                "file:///m", Fqrv(contract, f"v{release}"), H2OMojo("m.zip"), s.ServableSettings(policy)
            )
            made.apply(ServableDeployed(request, "d", BEGAN_MS))
            made.apply(MetricReported(request.fqrv, reports))
            if policy.validity_policy == (ImmediatelyValid(),):
                made.apply(ServableBecameValid(request.fqrv, BEGAN_MS))
    return made


def evaluations(rounds: int = ROUNDS) -> Iterable[float]:
    """Milliseconds of each evaluation of all contracts. Raises AssertionError where it does not give what it should."""
    known, book = state(), PlanBook(1)
    address = (ReplicaAddress("r", "node", "/run/r.sock", "127.0.0.1:1"),)
    for turn in range(rounds):
        now_ms = BEGAN_MS + 1000 * (turn + 1)  # the phase-in is a point further
        version, began = book.version, time.perf_counter()
        for contract, contract_state in known.contracts.items():
            events = due_events(contract_state, lambda _: address, lambda _: Counts(5), now_ms)
            assert not events, events
            book.put(
                contract,
                contract_plan(
                    contract, contract_state, lambda _: address, lambda _: False, lambda _: Counts(5), now_ms
                ),
            )
        seconds = time.perf_counter() - began
        assert book.version - version >= CONTRACTS // 2, "the Plans did not change"
        yield seconds * 1000


def main() -> None:
    """Print each evaluation."""
    print(
        f"policies of {CONTRACTS:,} contracts of {RELEASES} releases:",
        ", ".join(f"{ms:.0f} ms" for ms in evaluations()),
    )


if __name__ == "__main__":
    main()
