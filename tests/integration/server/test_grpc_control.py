"""Managing a real server over gRPC: what it does REST shows, and the other way round."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import grpc
import pytest
from google.protobuf import json_format
from google.rpc.error_details_pb2 import ErrorInfo
from grpc import StatusCode
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from forestflow._gen.contract_pb2 import FQRV, Contract
from forestflow._gen.control_pb2 import (
    ContractRequest,
    ContractState,
    ListContractsRequest,
    ServableRequest,
    UpdateServableRequest,
)
from forestflow._gen.control_pb2_grpc import ControlStub
from forestflow._gen.inference_pb2 import InferenceRequest
from forestflow._gen.serve_request_pb2 import ServeRequestShim
from forestflow._gen.service_pb2 import MetadataRequest, ScoreRequest, StatsRequest
from forestflow._gen.service_pb2_grpc import ForestFlowStub
from forestflow._gen.settings_pb2 import LoggingSettings
from tests.serving import MODELS, RunningServer, golden, rows_body, running, values

ROWS, EXPECTED = golden()
POLICY = {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}


@pytest.fixture(scope="module")
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


@pytest.fixture
def control(channel: grpc.Channel) -> ControlStub:
    return ControlStub(channel)


@pytest.fixture
def models(channel: grpc.Channel) -> ForestFlowStub:
    return ForestFlowStub(channel)


def address(contract: str) -> Contract:
    organization, project, number = contract.split("/")
    return Contract(organization=organization, project=project, contract_number=int(number))


def named(contract: str, release: str) -> FQRV:
    return FQRV(contract=address(contract), release_version=release)


def deploy_request(contract: str, release: str, mojo: str = "energy_gbm_v1.zip") -> ServeRequestShim:
    document = {
        "path": MODELS.as_uri(),
        "fqrv": json_format.MessageToDict(named(contract, release)),
        "flavor": {"H2OMojo": {"mojoPath": mojo}},
        "servableSettings": {"policySettings": POLICY},
    }
    return json_format.ParseDict({"Basic": document}, ServeRequestShim())


def refused(method, request) -> tuple[StatusCode, ErrorInfo]:
    """The code, and the details as gRPC's own reader gives them."""
    with pytest.raises(grpc.RpcError) as caught:
        method(request)
    status = rpc_status.from_call(caught.value)
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    return caught.value.code(), info


def test_what_grpc_deploys_rest_scores_and_what_rest_deploys_grpc_shows(server, contract, control, models):
    created = control.DeployServable(deploy_request(contract, "v1"))
    assert created.created.fqrv == named(contract, "v1")
    assert values(server.score(contract, rows_body(ROWS[:3]))) == pytest.approx(EXPECTED[:3], rel=1e-9)
    assert server.deploy(contract, "v2").status_code == 200
    state = control.GetContract(ContractRequest(contract=address(contract)))
    assert [release.status.fqrv.release_version for release in state.releases] == ["v2"], "the older one has expired"
    assert [release.share for release in state.releases] == [1.0]
    assert address(contract) in control.ListContracts(ListContractsRequest()).contracts
    score = ScoreRequest(
        contract=address(contract), request=json_format.ParseDict(rows_body(ROWS[:3]), InferenceRequest())
    )
    models.Score(score)
    (metrics,) = models.Stats(StatsRequest(contract=address(contract))).metrics
    assert (metrics.fqrv, metrics.scoreCount) == (named(contract, "v2"), 1)
    by_rest = server.http.get(f"/{contract}/metadata").json()
    assert [
        {"BasicMetaData": json_format.MessageToDict(told)}
        for told in models.Metadata(MetadataRequest(contract=address(contract))).metadata
    ] == by_rest
    plan = control.GetPlan(ContractRequest(contract=address(contract)))
    assert [(release.fqrv, release.weight) for release in plan.releases] == [(named(contract, "v2"), 100)]


def test_updates_and_deletions(server, contract, control):
    control.DeployServable(deploy_request(contract, "v1"))
    logging = LoggingSettings(logLevel="FULL", keyFeatures=["a"])
    assert control.UpdateServable(UpdateServableRequest(fqrv=named(contract, "v1"), logging=logging)).fqrv
    settings = server.http.get(f"/{contract}/v1/settings").json()["ServableSettings"]
    assert settings["loggingSettings"] == {"logLevel": "FULL", "keyFeatures": ["a"]}
    deleted = control.DeleteServable(ServableRequest(fqrv=named(contract, "v1")))
    assert list(deleted.fqrv) == [named(contract, "v1")]
    assert server.score(contract, rows_body(ROWS[:1])).status_code == 404
    control.DeployServable(deploy_request(contract, "v2"))
    assert list(control.DeleteContract(ContractRequest(contract=address(contract))).fqrv) == [named(contract, "v2")]
    assert server.http.get(f"/{contract}/c-settings").status_code == 404


def test_refusals_have_details(contract, control, models):
    code, info = refused(control.GetContract, ContractRequest(contract=address("no/such/7")))
    assert (code, info.reason, info.domain) == (StatusCode.NOT_FOUND, "NOT_FOUND", "forestflow")
    request = ScoreRequest(contract=address("no/such/7"), request=InferenceRequest())
    assert refused(models.Score, request)[0] is StatusCode.NOT_FOUND
    control.DeployServable(deploy_request(contract, "v1"))
    code, info = refused(control.DeployServable, deploy_request(contract, "v1"))
    assert (code, info.reason) == (StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    code, info = refused(control.DeployServable, deploy_request(contract, "v2", "none.zip"))
    assert (code, info.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID")
    code, info = refused(models.Score, ScoreRequest(contract=address(contract), request=InferenceRequest()))
    assert (code, info.metadata["release"]) == (StatusCode.INVALID_ARGUMENT, f"{contract.replace('/', '.')}.v1")


def test_a_watch_sees_a_deploy_from_its_beginning_and_the_deletion(server, contract, control):
    control.DeployServable(deploy_request(contract, "v1"))
    watch = control.Watch(ContractRequest(contract=address(contract)))
    first = next(watch)
    assert [release.status.fqrv.release_version for release in first.releases] == ["v1"]
    deploy = threading.Thread(target=lambda: server.deploy(contract, "v2").raise_for_status())
    deploy.start()
    states = [first]
    while [release.status.fqrv.release_version for release in states[-1].releases] != ["v2"]:
        states.append(next(watch))
    deploy.join()
    seen = [{r.status.fqrv.release_version: r.status.State.Name(r.status.state) for r in s.releases} for s in states]
    assert {"v1": "AVAILABLE", "v2": "LOADING"} in seen
    assert all(before != after for before, after in pairwise(states)), "no state is told twice"
    assert states[-1].releases[0].share == 1.0
    server.http.delete(f"/{contract}/v2").raise_for_status()
    rest = list(watch)
    assert rest[-1] == ContractState(contract=address(contract), deleted=True)
    assert watch.code() is StatusCode.OK


def test_reflection_describes_the_control_service(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    assert {"forestflow.v1.ForestFlow", "forestflow.v1.Control"} <= set(database.get_services())
    (service,) = database.FindFileContainingSymbol("forestflow.v1.Control").service
    watch = next(method for method in service.method if method.name == "Watch")
    assert watch.server_streaming


@pytest.mark.slow
def test_a_server_that_stops_ends_its_watches(tmp_path):
    with running(tmp_path / "data") as server, grpc.insecure_channel(server.grpc) as channel:
        server.deploy("tests/stop/0", "v1").raise_for_status()
        watch = ControlStub(channel).Watch(ContractRequest(contract=address("tests/stop/0")))
        assert next(watch).releases
        assert server.stop() == []
        assert [state.deleted for state in watch] in ([], [False])
        assert watch.code() is StatusCode.OK
