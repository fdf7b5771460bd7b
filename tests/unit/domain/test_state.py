from dataclasses import replace

from forestflow.domain.events import (
    ContractSet,
    ServableBecameValid,
    ServableDeployed,
    ServablesDeleted,
    ServableUpdated,
)
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.policies.expiration import KeepLatest
from forestflow.domain.requests import H2OMojo, ServeRequest
from forestflow.domain.settings import ContractSettings, DeploymentSettings, ServableSettings
from forestflow.domain.state import State

CONTRACT = Contract("o", "p", 0)
FQRV = Fqrv(CONTRACT, "r1")
REQUEST = ServeRequest("file:///m", FQRV, H2OMojo("m.zip"))


def deployed():
    state = State()
    state.apply(ContractSet(CONTRACT, ContractSettings()))
    state.apply(ServableDeployed(REQUEST, "d" * 64, 1000))
    return state


def test_deploy_and_lookup():
    state = deployed()
    release = state.release(FQRV)
    assert (release.fqrv, release.digest, release.created_at_ms) == (FQRV, "d" * 64, 1000)
    assert [r.fqrv for r in state.releases()] == [FQRV]
    assert state.release(Fqrv(CONTRACT, "other")) is None
    assert state.release(Fqrv(Contract("x", "p", 0), "r1")) is None


def test_settings_updates_keep_clocks():
    state = deployed()
    state.apply(ServableBecameValid(FQRV, 1234))
    changed = ServableSettings(deployment_settings=DeploymentSettings(replicas=2))
    state.apply(ServableUpdated(FQRV, changed))
    release = state.release(FQRV)
    assert release.settings == changed
    assert release.became_valid_at_ms == 1234
    assert release.created_at_ms == 1000
    state.apply(ContractSet(CONTRACT, ContractSettings(KeepLatest(5))))
    assert state.contracts[CONTRACT].settings.expiration_policy == KeepLatest(5)
    assert state.release(FQRV) == release


def test_deleting_releases_and_their_contract():
    state = deployed()
    state.apply(ServableDeployed(replace(REQUEST, fqrv=Fqrv(CONTRACT, "r2")), "e" * 64, 2000))
    state.apply(ServablesDeleted((FQRV,)))
    assert [r.fqrv.release_version for r in state.releases()] == ["r2"]
    state.apply(ServablesDeleted((Fqrv(CONTRACT, "r2"),), (CONTRACT,)))
    assert state.contracts == {}


def test_events_about_what_is_gone_change_nothing():
    state = State()
    state.apply(ServableUpdated(FQRV, ServableSettings()))
    state.apply(ServableBecameValid(FQRV, 1))
    state.apply(ServablesDeleted((FQRV,), (CONTRACT,)))
    assert state.contracts == {}
