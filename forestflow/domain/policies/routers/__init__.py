"""Contract routers: which releases share the requests of users."""

from forestflow.domain.policies.routers.fair import FairPhaseInPctBasedRouter
from forestflow.domain.policies.routers.latest import LatestPhaseInPctBasedRouter
from forestflow.domain.policies.routers.performance import PerformanceRouter
from forestflow.domain.policies.routers.sticky import StickyRouter

__all__ = [
    "ContractRouter",
    "FairPhaseInPctBasedRouter",
    "LatestPhaseInPctBasedRouter",
    "PerformanceRouter",
    "StickyRouter",
]

ContractRouter = FairPhaseInPctBasedRouter | LatestPhaseInPctBasedRouter | StickyRouter | PerformanceRouter
