"""What the settings of a contract and its releases tell routers."""

from __future__ import annotations

from forestflow.controlplane.evaluate import contract_plan
from forestflow.domain.events import ContractSet, ServableDeployed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.plan import ContractPlan
from forestflow.domain.policies.routers import StickyRouter
from forestflow.domain.reports import Counts
from forestflow.domain.requests import H2OMojo, ServeRequest
from forestflow.domain.settings import ContractSettings, Routing, ServableSettings, ShadowSettings
from forestflow.domain.state import State

CONTRACT = Contract("o", "p", 0)


def planned(settings: ContractSettings, **releases: ServableSettings) -> ContractPlan:
    state = State()
    state.apply(ContractSet(CONTRACT, settings))
    for name, servable in releases.items():
        request = ServeRequest("file:///m", Fqrv(CONTRACT, name), H2OMojo("m.zip"), servable)
        state.apply(ServableDeployed(request, "d" * 64, 1000))
    return contract_plan(
        CONTRACT, state.contracts[CONTRACT], lambda _: (), lambda _: False, lambda _: Counts(), now_ms=2000
    )


def test_routers_learn_of_key_and_routing():
    plain = planned(ContractSettings())
    assert (plain.sticky_key, plain.routing) == (None, Routing.BATCH)
    sticky = planned(ContractSettings(router=StickyRouter("user"), routing=Routing.RECORD))
    assert (sticky.sticky_key, sticky.routing) == ("user", Routing.RECORD)


def test_routers_learn_how_much_a_release_shadows():
    shadows = {
        "silent": ServableSettings(),
        "some": ServableSettings(shadow=ShadowSettings(enabled=True, sample_percent=10, max_backlog=3)),
    }
    silent, some = planned(ContractSettings(), **shadows).releases
    assert (silent.shadow, silent.sample_percent, silent.max_backlog) == (False, 100, 256)
    assert (some.shadow, some.sample_percent, some.max_backlog) == (True, 10, 3)
