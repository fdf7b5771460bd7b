"""The current Plan of every contract and its version: routers ask what changed since the version they have."""

from __future__ import annotations

import asyncio

from forestflow.domain.ids import Contract
from forestflow.domain.plan import ContractPlan, PlanUpdate


class PlanBook:
    """``first_version`` must be above every version of an earlier book, so that its readers get all of this one."""

    def __init__(self, first_version: int) -> None:
        self._first_version = self._version = first_version
        self._plans: dict[Contract, ContractPlan] = {}
        self._changed_at: dict[Contract, int] = {}
        self._changed = asyncio.Event()

    @property
    def version(self) -> int:
        return self._version

    def put(self, contract: Contract, plan: ContractPlan | None) -> None:
        """Set the Plan of a contract, or drop it; a Plan that says the same is no new version."""
        if self._plans.get(contract) == plan:
            return
        if plan is None:
            del self._plans[contract]
        else:
            self._plans[contract] = plan
        self._version += 1
        self._changed_at[contract] = self._version
        self._changed.set()
        self._changed = asyncio.Event()

    async def since(self, version: int, wait_seconds: float) -> PlanUpdate:
        """What changed after ``version``; waits up to ``wait_seconds`` for a change."""
        if version == self._version:
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait()
            except TimeoutError:
                return PlanUpdate(self._version)
        if not self._first_version <= version <= self._version:
            return PlanUpdate(self._version, dict(self._plans), full=True)
        changed = {c: self._plans.get(c) for c, changed_at in self._changed_at.items() if changed_at > version}
        return PlanUpdate(self._version, changed)
