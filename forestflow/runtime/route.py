"""One contract as a router sees it: who may answer, who shadows, and how one is chosen."""

from __future__ import annotations

from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.plan import ContractPlan
from forestflow.domain.routing import WeightedChooser
from forestflow.runtime.release import DispatchSettings, Release


class ContractRoute:
    """One contract on this router: who may answer, who shadows."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.gone = False  # from the Plan: whoever kept this route must look it up again
        self.releases: dict[Fqrv, Release] = {}
        self.chooser: WeightedChooser[Release] | None = None
        self.shadows: tuple[Release, ...] = ()

    def update(self, plan: ContractPlan, settings: DispatchSettings) -> list[Release]:
        """Follow the Plan; returns the releases that left it."""
        wanted = {release.fqrv: release for release in plan.releases}
        left = [self.releases.pop(fqrv) for fqrv in list(self.releases) if fqrv not in wanted]
        for fqrv, release_plan in wanted.items():
            known = self.releases.get(fqrv)
            if known is None:
                self.releases[fqrv] = Release(release_plan, settings)
            elif known.plan != release_plan:
                known.update(release_plan)
        weights = {self.releases[r.fqrv]: r.weight for r in plan.releases if r.weight > 0}
        if not weights:
            self.chooser = None
        elif self.chooser and set(self.chooser.members) == weights.keys():
            self.chooser.change(weights)
        else:
            self.chooser = WeightedChooser(weights, self.chooser.debts() if self.chooser else None)
        self.shadows = tuple(self.releases[r.fqrv] for r in plan.releases if r.shadow and r.sample_percent > 0)
        return left
