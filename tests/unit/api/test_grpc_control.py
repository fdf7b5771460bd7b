"""The Control service beside the REST API over one registry: what one does the other shows, and refuses alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import httpx
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode
from grpc_status import rpc_status

from forestflow._gen import control_pb2 as pb
from forestflow._gen.control_pb2_grpc import ControlStub
from forestflow._gen.serve_request_pb2 import ServeRequestShim
from forestflow._gen.service_pb2 import MetadataRequest, StatsRequest
from forestflow._gen.service_pb2_grpc import ForestFlowStub
from forestflow.domain.commands import UnwatchVersions
from forestflow.domain.errors import Unavailable
from forestflow.domain.ids import Contract
from tests.unit.api.grpc_world import World, until, world
from tests.unit.api.memory_registry import MemoryRegistry
from tests.unit.api.test_control_routes import (
    CONTRACT,
    CONTRACT_SETTINGS,
    FQRV,
    LOGGING,
    POLICY,
    QUICK_START,
    C,
    R,
    deployed,
)

CONTRACT_REQUEST = pb.ContractRequest(contract=json_format.ParseDict(CONTRACT, pb.ContractRequest().contract))


@pytest.fixture
async def grpc_world(registry: MemoryRegistry) -> AsyncIterator[World]:
    async with world(registry, control_max_body_bytes=10_000) as running:
        yield running


@pytest.fixture
def control(grpc_world: World) -> ControlStub:
    return ControlStub(grpc_world.channel)


def of(kind: type[Message], **fields: Any) -> Any:
    return json_format.ParseDict(fields, kind())


def told(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message)


async def refused(call: grpc.aio.UnaryUnaryCall) -> tuple[StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError):
        await call
    return await call.code(), await call.details()


async def test_what_grpc_does_rest_shows(http: httpx.AsyncClient, control: ControlStub) -> None:
    settings = of(pb.ContractSettingsRequest, contract=CONTRACT, settings=CONTRACT_SETTINGS)
    assert told(await control.CreateContract(settings)) == {"contract": CONTRACT}
    assert (await http.get(C + "/c-settings")).json() == {"ContractSettings": CONTRACT_SETTINGS}
    created = await control.DeployServable(of(ServeRequestShim, Basic=QUICK_START))
    assert told(created) == {"created": {"fqrv": FQRV}}
    assert (await http.get(C + "/list")).json() == [{"FQRV": FQRV}]
    shadow = {"enabled": True, "samplePercent": 7, "maxBacklog": 3}
    changed = of(pb.UpdateServableRequest, fqrv=FQRV, logging={"logLevel": "NONE"}, shadow=shadow)
    assert told(await control.UpdateServable(changed)) == {"fqrv": FQRV}
    assert (await http.get(R + "/settings")).json()["ServableSettings"] == {
        "policySettings": POLICY,
        "loggingSettings": {"logLevel": "NONE"},
        "shadow": shadow,
    }
    never = {"validityPolicy": [{"NeverValid": {}}], "phaseInPolicy": {"ManualPhaseIn": {"percent": 5}}}
    await control.UpdateServable(of(pb.UpdateServableRequest, fqrv=FQRV, policy=never))
    assert (await http.get(R + "/settings")).json()["ServableSettings"]["policySettings"] == never
    reports = {"metrics": [{"name": "auc", "value": 0.5}, {"name": "auc", "value": 1}]}
    assert told(await control.ReportMetrics(of(pb.ReportMetricsRequest, fqrv=FQRV, reports=reports))) == {"fqrv": FQRV}
    assert (await http.get(C + "/stats")).json()[0]["ServableMetrics"]["performanceMetrics"]["auc"] == 0.75
    assert told(await control.DeleteServable(of(pb.ServableRequest, fqrv=FQRV))) == {"fqrv": [FQRV]}
    assert (await http.get("/contracts/list")).json() == {"Contracts": {"contracts": []}}


async def test_what_rest_does_grpc_shows(http: httpx.AsyncClient, grpc_world: World, control: ControlStub) -> None:
    await deployed(http)
    assert told(await control.ListContracts(pb.ListContractsRequest())) == {"contracts": [CONTRACT]}
    state = await control.GetContract(CONTRACT_REQUEST)
    assert told(state.settings) == (await http.get(C + "/c-settings")).json()["ContractSettings"]
    (release,) = state.releases
    assert told(release.status) == (await http.get(C + "/status")).json()[0]["ServableStatus"]
    plan = (await http.get(C + "/plan")).json()["PlanExplanation"]
    assert told(await control.GetPlan(CONTRACT_REQUEST)) == plan
    explained = {name: plan["releases"][0].get(name) for name in ("weight", "share", "shadows", "valid", "phaseInPct")}
    assert explained == {name: told(release).get(name) for name in explained}
    described = told(await control.GetServable(of(pb.ServableRequest, fqrv=FQRV)))
    assert described["settings"] == (await http.get(R + "/settings")).json()["ServableSettings"]
    assert described["status"] == told(release.status)
    replicas = [entry["ReplicaStatus"] for entry in (await http.get(R + "/replicas")).json()]
    assert told(await control.GetReplicas(of(pb.ServableRequest, fqrv=FQRV))) == {"replicas": replicas}
    proposal = {"contractSettings": CONTRACT_SETTINGS, "policies": {"v1": POLICY}, "horizonSecs": 60}
    simulated = (await http.post(C + "/plan/simulate", json=proposal)).json()["Simulation"]
    assert told(await control.Simulate(of(pb.SimulateRequest, contract=CONTRACT, simulation=proposal))) == simulated

    models = ForestFlowStub(grpc_world.channel)
    metrics = [entry["ServableMetrics"] for entry in (await http.get(C + "/stats")).json()]
    assert told(await models.Stats(of(StatsRequest, contract=CONTRACT))) == {"metrics": metrics}
    metadata = [entry["BasicMetaData"] for entry in (await http.get(C + "/metadata")).json()]
    assert told(await models.Metadata(of(MetadataRequest, contract=CONTRACT))) == {"metadata": metadata}
    one = of(MetadataRequest, contract=CONTRACT, releaseVersion="v1")
    assert told(await models.Metadata(one)) == {"metadata": metadata}


async def test_versions_and_rollback(http: httpx.AsyncClient, control: ControlStub) -> None:
    watch = QUICK_START | {"versions": {"latest": {"count": 2}}, "pollSeconds": 3.5}
    answer = told(await control.DeployServable(of(ServeRequestShim, Basic=watch)))
    assert answer["versions"] == (await http.get(C + "/versions")).json()["VersionsStatus"]
    assert told(await control.GetVersions(CONTRACT_REQUEST)) == answer["versions"]
    update = of(pb.UpdateVersionsRequest, contract=CONTRACT, update={"versions": {"all": {}}})
    changed = told(await control.UpdateVersions(update))
    assert (changed["policy"], changed["pollSeconds"]) == ({"all": {}}, 3.5)
    assert told(await control.UnwatchVersions(CONTRACT_REQUEST)) == {"contract": CONTRACT}
    assert (await http.get(C + "/versions")).status_code == 404
    settings = of(pb.ContractSettingsRequest, contract=CONTRACT, settings=CONTRACT_SETTINGS)
    assert told(await control.UpdateContract(settings)) == {"contract": CONTRACT}
    back = of(pb.RollbackContractRequest, contract=CONTRACT, rollback={"seq": 1})
    assert told(await control.RollbackContract(back)) == {"contract": CONTRACT}
    kept = (await http.get(C + "/c-settings")).json()["ContractSettings"]["expirationPolicy"]
    assert kept == {"KeepLatest": {"servablesToKeep": 1}}


async def test_mlflows_deploy_needs_no_flavor(registry: MemoryRegistry, control: ControlStub) -> None:
    asked = {name: value for name, value in QUICK_START.items() if name != "flavor"} | {"path": "file:///m/MLmodel"}
    await control.DeployServable(of(ServeRequestShim, MLFlow=asked))
    (request,) = registry.servables.values()
    assert (request.path, type(request.flavor).__name__) == ("file:///m", "MLmodel")


async def test_a_contract_is_deleted_with_all_it_has(
    http: httpx.AsyncClient, registry: MemoryRegistry, control: ControlStub
) -> None:
    assert await refused(control.DeleteContract(CONTRACT_REQUEST)) == (
        StatusCode.NOT_FOUND,
        "unknown contract samples.energy_output.0",
    )
    settings = of(pb.ContractSettingsRequest, contract=CONTRACT, settings=CONTRACT_SETTINGS)
    await control.CreateContract(settings)
    assert (await refused(control.DeleteContract(CONTRACT_REQUEST)))[0] is StatusCode.FAILED_PRECONDITION
    await deployed(http)
    await http.post(C.join(("/servable", "/v2")), json=QUICK_START)
    both = [FQRV, FQRV | {"releaseVersion": "v2"}]
    assert told(await control.DeleteContract(CONTRACT_REQUEST)) == {"fqrv": both}
    assert (await http.get("/contracts/list")).json() == {"Contracts": {"contracts": []}}
    assert UnwatchVersions(Contract("samples", "energy_output", 0)) in registry.commands


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({}, StatusCode.ALREADY_EXISTS, "already exists"),
        ({"path": "file:///missing", "fqrv": FQRV | {"releaseVersion": "v9"}}, StatusCode.INVALID_ARGUMENT, "missing"),
        ({"path": "https://user:secret@host/m"}, StatusCode.INVALID_ARGUMENT, "credentials"),
        ({"flavor": {}}, StatusCode.INVALID_ARGUMENT, "flavor"),
        ({"fqrv": FQRV | {"releaseVersion": "a/b"}}, StatusCode.INVALID_ARGUMENT, "slash"),
        ({"contractSettings": CONTRACT_SETTINGS} | {"fqrv": FQRV | {"releaseVersion": "v9"}},
         StatusCode.INVALID_ARGUMENT, "existing contract"),
        ({"servableSettings": {"policySettings": POLICY, "deploymentSettings": {"replicas": 0}}},
         StatusCode.INVALID_ARGUMENT, "replicas"),
    ],
)  # fmt: skip
async def test_deploys_are_refused_as_rest_refuses_them(
    http: httpx.AsyncClient, control: ControlStub, change: dict[str, Any], status: StatusCode, words: str
) -> None:
    await deployed(http)
    document = QUICK_START | change
    by_rest = await http.post("/servable", json=document)
    assert by_rest.status_code in (400, 409, 422)
    code, details = await refused(control.DeployServable(of(ServeRequestShim, Basic=document)))
    assert code is status
    assert words in details
    assert words in by_rest.text or code is StatusCode.ALREADY_EXISTS


async def test_what_is_missing_is_named(control: ControlStub, grpc_world: World) -> None:
    call = grpc_world.channel.unary_unary("/forestflow.v1.Control/CreateContract")(b"")
    assert await call.code() is StatusCode.INVALID_ARGUMENT
    status = await rpc_status.aio.from_call(call)
    violations = BadRequest()
    assert status.details[1].Unpack(violations)
    assert [violation.field for violation in violations.field_violations] == ["contract", "settings"]
    assert (await refused(control.DeployServable(ServeRequestShim())))[0] is StatusCode.INVALID_ARGUMENT
    empty = of(pb.UpdateServableRequest, fqrv=FQRV)
    assert (await refused(control.UpdateServable(empty)))[0] is StatusCode.INVALID_ARGUMENT
    logging = of(pb.UpdateServableRequest, fqrv=FQRV, logging=LOGGING)
    assert await refused(control.UpdateServable(logging)) == (
        StatusCode.NOT_FOUND,
        "unknown servable samples.energy_output.0.v1",
    )


async def test_a_message_over_the_limit_of_the_control_api(control: ControlStub, registry: MemoryRegistry) -> None:
    large = of(ServeRequestShim, Basic=QUICK_START | {"tags": {"a": "b" * 10_000}})
    code, details = await refused(control.DeployServable(large))
    assert code is StatusCode.RESOURCE_EXHAUSTED
    assert "10000" in details
    assert registry.commands == []


async def test_a_registry_that_is_down(control: ControlStub, registry: MemoryRegistry) -> None:
    registry.fails_with = Unavailable("the registry is down")
    assert (await refused(control.ListContracts(pb.ListContractsRequest())))[0] is StatusCode.UNAVAILABLE
    watch = control.Watch(CONTRACT_REQUEST)
    with pytest.raises(grpc.aio.AioRpcError):
        await watch.read()
    assert await watch.code() is StatusCode.UNAVAILABLE


# --- watching ---


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forestflow.api.grpc.control.WATCH_SECONDS", 0.01)


@pytest.mark.usefixtures("soon")
async def test_a_watch_sees_every_kind_of_change_and_the_end(
    http: httpx.AsyncClient, registry: MemoryRegistry, control: ControlStub
) -> None:
    registry.load_seconds = 0.3
    deploy = asyncio.create_task(deployed(http))
    await until(lambda: bool(registry.loading))
    await http.post("/contract" + C, json=CONTRACT_SETTINGS)
    watch = control.Watch(CONTRACT_REQUEST)
    first = await watch.read()
    assert told(first) == {"contract": CONTRACT, "settings": CONTRACT_SETTINGS}
    await deploy
    state = await watch.read()
    assert [release.status.fqrv.release_version for release in state.releases] == ["v1"]
    assert (state.releases[0].valid, state.releases[0].share) == (True, 1.0)
    await http.put(C, json=CONTRACT_SETTINGS | {"router": {"FairPhaseInPctBasedRouter": {}}})
    state = await watch.read()
    assert state.settings.router.HasField("FairPhaseInPctBasedRouter")
    registry.fails_with = Unavailable("for a moment")
    asked = len(registry.commands)
    await until(lambda: len(registry.commands) > asked + 2)
    registry.fails_with = None
    await http.delete(R)
    assert told(await watch.read()) == {"contract": CONTRACT, "deleted": True}
    assert await watch.read() is grpc.aio.EOF
    assert await watch.code() is StatusCode.OK


async def test_a_watch_of_nothing(control: ControlStub) -> None:
    watch = control.Watch(CONTRACT_REQUEST)
    with pytest.raises(grpc.aio.AioRpcError):
        await watch.read()
    assert await watch.code() is StatusCode.NOT_FOUND


async def test_a_new_plan_is_told_at_once_and_the_same_state_is_not(
    http: httpx.AsyncClient, registry: MemoryRegistry, control: ControlStub, grpc_world: World, monkeypatch
) -> None:
    monkeypatch.setattr("forestflow.api.grpc.control.WATCH_SECONDS", 3600)
    await deployed(http)
    watch = control.Watch(CONTRACT_REQUEST)
    await watch.read()
    asked = len(registry.commands)
    grpc_world.dispatcher.moved()
    await until(lambda: len(registry.commands) >= asked + 3)  # looked, and found the same
    await http.put(C, json=CONTRACT_SETTINGS)
    grpc_world.dispatcher.moved()
    assert told((await watch.read()).settings) == CONTRACT_SETTINGS


async def test_a_stop_ends_the_watches_in_order(
    http: httpx.AsyncClient, control: ControlStub, grpc_world: World, monkeypatch
) -> None:
    monkeypatch.setattr("forestflow.api.grpc.control.WATCH_SECONDS", 3600)
    await deployed(http)
    watch = control.Watch(CONTRACT_REQUEST)
    await watch.read()
    async with asyncio.timeout(10):
        await grpc_world.server.stop(3600)
    assert await watch.read() is grpc.aio.EOF
    assert await watch.code() is StatusCode.OK


@pytest.mark.usefixtures("soon")
async def test_who_leaves_is_watched_for_no_more(
    http: httpx.AsyncClient, registry: MemoryRegistry, control: ControlStub, caplog: pytest.LogCaptureFixture
) -> None:
    await deployed(http)
    watch = control.Watch(CONTRACT_REQUEST)
    await watch.read()
    watch.cancel()
    seen = -1
    async with asyncio.timeout(10):
        while seen != len(registry.commands):  # nobody asks any more
            seen = len(registry.commands)
            await asyncio.sleep(0.1)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
