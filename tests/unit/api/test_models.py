"""What is remembered of contracts, and for how long."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from forestflow.api.models import Models
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.domain.commands import ListMetadata
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.plan import ContractPlan, PlanUpdate, ReleasePlan, ReplicaAddress
from forestflow.domain.refusals import UnknownContract
from forestflow.settings.sections import DispatchSettings

ONE, TWO = Contract("o", "p", 0), Contract("o", "q", 1)


class Control:
    """Says of each release that it was asked for, and when."""

    def __init__(self):
        self.asked = []
        self.releases = ["a"]

    async def run(self, command):
        assert isinstance(command, ListMetadata)
        contract = command.contract
        self.asked.append(contract)
        return [SimpleNamespace(fqrv=Fqrv(contract, name), model=len(self.asked)) for name in self.releases]


@pytest.fixture
async def world(tmp_path):
    dispatcher = Dispatcher(DispatchSettings("here", b"secret"))
    control = Control()
    versions = iter(range(1, 100))

    def plan(contract, *releases):
        """Releases as (name, weight, replica ids)."""
        plans = [
            ReleasePlan(
                Fqrv(contract, name),
                weight,
                replicas=tuple(ReplicaAddress(r, "here", str(tmp_path / r), "127.0.0.1:9") for r in ids),
            )
            for name, weight, ids in releases
        ]
        dispatcher.apply(PlanUpdate(next(versions), {contract: ContractPlan(contract, tuple(plans))}))

    yield SimpleNamespace(
        models=Models(control, dispatcher, {"alias": TWO}),
        control=control,
        plan=plan,
        drop=lambda contract: dispatcher.apply(PlanUpdate(next(versions), {contract: None})),
    )
    dispatcher.close()


async def test_names_follow_contracts(world):
    assert world.models.find("o.p.0") is None
    world.plan(ONE, ("a", 100, "r"))
    assert world.models.find("o.p.0") == world.models.find("p") == ONE
    assert world.models.find("alias") is None
    world.plan(TWO, ("a", 100, "s"))
    assert world.models.find("alias") == TWO
    world.drop(ONE)
    assert world.models.find("o.p.0") is None
    assert world.models.find("q") == TWO


async def test_metadata_are_asked_for_again_when_a_contract_has_other_replicas(world):
    world.plan(ONE, ("a", 100, "r"))
    world.plan(TWO, ("a", 100, "s"))
    assert await world.models.model(ONE) == (Fqrv(ONE, "a"), 1)
    world.plan(ONE, ("a", 50, "r"))
    world.plan(TWO, ("a", 50, "st"))
    assert await world.models.model(ONE) == (Fqrv(ONE, "a"), 1)
    assert world.control.asked == [ONE], "weights and other contracts do not matter"
    world.drop(ONE)
    world.plan(ONE, ("a", 100, "u"))
    assert await world.models.model(ONE) == (Fqrv(ONE, "a"), 2), "another release of the same name"
    world.control.releases = ["a", "b"]
    world.plan(ONE, ("a", 0, "u"), ("b", 100, "v"))
    assert await world.models.model(ONE) == (Fqrv(ONE, "b"), 3)


async def test_what_changes_meanwhile_is_not_remembered(world):
    world.plan(ONE, ("a", 100, "r"))
    plain = world.control.run

    async def slow(contract):
        world.plan(ONE, ("a", 100, "t"))
        return await plain(contract)

    world.control.run = slow
    await world.models.model(ONE)
    world.control.run = plain
    assert await world.models.model(ONE) == (Fqrv(ONE, "a"), 2)


async def test_metadata_of_no_contract(world):
    with pytest.raises(UnknownContract):
        await world.models.metadata(ONE)
