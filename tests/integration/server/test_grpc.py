"""What users see of gRPC: a real client of the generated stubs against the real server."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf import json_format
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forestflow._gen.contract_pb2 import Contract
from forestflow._gen.inference_pb2 import InferenceRequest
from forestflow._gen.service_pb2 import ScoreRequest
from forestflow._gen.service_pb2_grpc import ForestFlowStub
from tests.serving import free_port, golden, rows_body, running

ROWS, EXPECTED = golden()
BODY = json_format.ParseDict(rows_body(ROWS[:2]), InferenceRequest())
SERVICE = "forestflow.v1.ForestFlow"
KEEP_ONE = {"expirationPolicy": {"KeepLatest": {"servablesToKeep": 1}}, "router": {"FairPhaseInPctBasedRouter": {}}}


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


@pytest.fixture
def stub(channel):
    return ForestFlowStub(channel)


def score_request(contract: str, body: InferenceRequest = BODY) -> ScoreRequest:
    organization, project, number = contract.split("/")
    address = Contract(organization=organization, project=project, contract_number=int(number))
    return ScoreRequest(contract=address, request=body)


def refused(stub, request, **options) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Score(request, **options)
    return caught.value


def test_score_is_h2os_own_prediction_and_says_who_answered(server, contract, stub):
    server.deploy(contract, "v 1").raise_for_status()
    prediction, call = stub.Score.with_call(score_request(contract), metadata=[("x-request-id", "abc-1")])
    assert [datum.tensors[0].Float64.data[0] for datum in prediction.datum] == pytest.approx(EXPECTED[:2], rel=1e-9)
    assert list(prediction.schema[0].fields) == ["Regression"]
    assert prediction.fqrv.release_version == "v 1"
    trailing = dict(call.trailing_metadata())
    assert trailing["x-request-id"] == "abc-1"
    assert trailing["x-forestflow-fqrv"] == contract.replace("[", "%5B").replace("]", "%5D") + "/v%201"
    count = server.http.get(f"/{contract}/stats").json()[0]["ServableMetrics"]["scoreCount"]
    assert count == "1", "gRPC and HTTP count alike"


def test_errors(server, contract, stub):
    assert refused(stub, score_request("no/such/7")).code() is StatusCode.NOT_FOUND
    server.http.post(f"/contract/{contract}", json=KEEP_ONE).raise_for_status()
    assert refused(stub, score_request(contract)).code() is StatusCode.FAILED_PRECONDITION
    server.deploy(contract, "v1").raise_for_status()
    empty = refused(stub, score_request(contract, InferenceRequest()))
    assert (empty.code(), empty.details()) == (StatusCode.INVALID_ARGUMENT, "No input data provided")
    assert dict(empty.trailing_metadata())["x-forestflow-fqrv"].endswith("/v1")


def test_deadlines(server, contract, stub):
    server.deploy(contract, "v1", deploymentSettings={"timeoutSeconds": 0.001}).raise_for_status()
    long = InferenceRequest(schema=BODY.schema, datum=[BODY.datum[0]] * 100_000)
    late = refused(stub, score_request(contract, long))
    assert late.code() is StatusCode.DEADLINE_EXCEEDED, "without one of the call, the release's setting holds"
    assert len(stub.Score(score_request(contract), timeout=30).datum) == 2
    assert refused(stub, score_request(contract, long), timeout=0.01).code() is StatusCode.DEADLINE_EXCEEDED


def test_full_queues_say_when_to_come_back(server, contract, stub):
    server.deploy(contract, "v1", deploymentSettings={"maxQueued": 1}).raise_for_status()
    heavy = score_request(contract, InferenceRequest(schema=BODY.schema, datum=[BODY.datum[0]] * 20_000))

    def one(_):
        try:
            return stub.Score(heavy) and None
        except grpc.RpcError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        errors = [error for error in pool.map(one, range(16)) if error is not None]
    assert {error.code() for error in errors} == {StatusCode.RESOURCE_EXHAUSTED}
    assert len(errors) < 16
    assert int(dict(errors[0].trailing_metadata())["grpc-retry-pushback-ms"]) >= 1


def test_health_and_reflection(server, channel):
    check = health_pb2_grpc.HealthStub(channel).Check
    for service in ("", SERVICE):
        assert check(health_pb2.HealthCheckRequest(service=service)).status == health_pb2.HealthCheckResponse.SERVING
    database = ProtoReflectionDescriptorDatabase(channel)
    assert SERVICE in database.get_services()
    assert [s.name for s in database.FindFileContainingSymbol(SERVICE).service] == ["ForestFlow"]


@pytest.fixture(scope="module")
def bad_contract(server):
    server.deploy("tests/bad-calls/0", "v1").raise_for_status()
    yield "tests/bad-calls/0"
    server.http.delete("/tests/bad-calls/0/v1").raise_for_status()


def test_a_message_over_the_limit(server, bad_contract):
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.grpc, options=options) as channel:
        raw = channel.unary_unary(f"/{SERVICE}/Score")
        with pytest.raises(grpc.RpcError) as caught:
            raw(bytes((64 << 20) + 1))
        assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
        assert len(ForestFlowStub(channel).Score(score_request(bad_contract)).datum) == 2


WHOLE = score_request("tests/bad-calls/0").SerializeToString()


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, len(WHOLE)), st.integers(0, 8), st.binary(max_size=6))
def test_hundreds_of_damaged_messages_are_the_clients_fault(channel, bad_contract, at, length, junk):
    message = WHOLE[:at] + junk + WHOLE[at + length :]
    call = channel.unary_unary(f"/{SERVICE}/Score").future(message)
    assert call.code() in (StatusCode.OK, StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND), call.details()
    assert "Traceback" not in call.details()


@pytest.mark.slow
def test_two_routers_share_the_port_and_stop_in_order(tmp_path):
    with running(tmp_path / "data", "--routers", "2") as server:
        server.deploy("tests/stop/0", "v1").raise_for_status()
        for _ in range(20):  # a connection each, so that both routers get some
            with grpc.insecure_channel(server.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                assert len(ForestFlowStub(channel).Score(score_request("tests/stop/0"), timeout=10).datum) == 2
        long = InferenceRequest(schema=BODY.schema, datum=[BODY.datum[0]] * 50_000)
        answers = []
        with grpc.insecure_channel(server.grpc, options=[("grpc.max_receive_message_length", -1)]) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            stub = ForestFlowStub(channel)
            call = threading.Thread(target=lambda: answers.append(stub.Score(score_request("tests/stop/0", long))))
            call.start()
            time.sleep(0.3)
            assert server.stop() == []
            call.join()
            assert [status.status for status in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]
        assert len(answers[0].datum) == 50_000


@pytest.mark.slow
def test_a_taken_port_is_told_with_its_flag(server, tmp_path):
    def start(http: str, grpc: str) -> str:
        command = [sys.executable, "-m", "forestflow.cli", "serve", "--data-dir", str(tmp_path / "x")]
        command += ["--http", http, "--grpc", grpc]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 4
        return done.stderr

    said = start(f"127.0.0.1:{free_port()}", server.grpc)
    assert f"cannot listen on {server.grpc}" in said
    assert "--grpc" in said
    same = f"127.0.0.1:{free_port()}"
    assert "a port of its own" in start(same, same)
