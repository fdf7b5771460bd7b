"""One contract as a router sees it: who may answer, who shadows, and how one is chosen."""

from __future__ import annotations

import contextlib

from forestflow.codecs.table import BASIC, configs_reader
from forestflow.dataplane.release import ReleaseLinks
from forestflow.domain.errors import ForestFlowError
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.plan import ContractPlan
from forestflow.domain.routing import StickyChooser, WeightedChooser
from forestflow.domain.settings import Routing
from forestflow.settings.sections import DispatchSettings


class ContractRoute:
    """``chooser`` is ``None`` while nobody may answer; ``sticky`` unless the contract routes by key."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.gone = False  # from the Plan: whoever kept this route must look it up again
        self.releases: dict[Fqrv, ReleaseLinks] = {}
        self.chooser: WeightedChooser[ReleaseLinks] | None = None
        self.sticky: StickyChooser[ReleaseLinks] | None = None
        self.sticky_key = ""  # the config that holds it
        self.by_record = False
        self.plain = True  # nothing of a request need be known to choose
        self.shadows: tuple[ReleaseLinks, ...] = ()

    def meet(self, plan: ContractPlan, settings: DispatchSettings) -> list[ReleaseLinks]:
        """Begin to connect to the replicas that a coming Plan adds; returns the releases that have none up yet.

        Who answers, and by which replicas, stays as it is until :meth:`update`.
        """
        waiting = []
        for release_plan in plan.releases:
            known = self.releases.get(release_plan.fqrv)
            if known is None:
                known = self.releases[release_plan.fqrv] = ReleaseLinks(release_plan, settings)
                added = bool(release_plan.replicas)
            else:
                added = known.connect(release_plan.replicas)
            if added and not known.ready:
                waiting.append(known)
        return waiting

    def update(self, plan: ContractPlan, settings: DispatchSettings) -> list[ReleaseLinks]:
        """Follow the Plan; returns the releases that left it."""
        wanted = {release.fqrv: release for release in plan.releases}
        left = [self.releases.pop(fqrv) for fqrv in list(self.releases) if fqrv not in wanted]
        for fqrv, release_plan in wanted.items():
            known = self.releases.get(fqrv)
            if known is None:
                self.releases[fqrv] = ReleaseLinks(release_plan, settings)
            elif known.plan != release_plan:
                known.update(release_plan)
        weights = {self.releases[r.fqrv]: r.weight for r in plan.releases if r.weight > 0}
        if not weights:
            self.chooser = None
        elif self.chooser and set(self.chooser.members) == weights.keys():
            self.chooser.change(weights)
        else:
            self.chooser = WeightedChooser(weights, self.chooser.debts() if self.chooser else None)
        self.sticky = None
        if weights and plan.sticky_key is not None:
            self.sticky = StickyChooser(weights, _name)
            self.sticky_key = plan.sticky_key
            configs_reader(BASIC)  # loads it, so that the first request need not wait
        self.by_record = plan.routing is Routing.RECORD
        self.plain = self.sticky is None and not self.by_record
        self.shadows = tuple(self.releases[r.fqrv] for r in plan.releases if r.shadow and r.sample_percent > 0)
        return left

    def by_key(self, codec: int, payload: bytes, key: str | None) -> ReleaseLinks:
        """The release for the request's key: the one given, else that of its configs; without any, whose turn it is.

        Needs a chooser and a sticky one.
        """
        assert self.chooser is not None
        assert self.sticky is not None
        if not key:
            with contextlib.suppress(ForestFlowError):  # the replica finds the same, and has the words for it
                key = configs_reader(codec)(payload).get(self.sticky_key)
        return self.sticky.choose(key) if key else self.chooser.next()


def _name(release: ReleaseLinks) -> str:
    return str(release.fqrv)
