"""Requests that their clients give up are not run for nobody, whichever way they came, and are counted."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf import json_format

from forestflow._gen import open_inference_pb2 as oip
from forestflow._gen.contract_pb2 import Contract
from forestflow._gen.inference_pb2 import InferenceRequest
from forestflow._gen.service_pb2 import ScoreRequest, ScoreStreamRequest
from forestflow._gen.service_pb2_grpc import ForestFlowStub
from tests.serving import wait_for

pytestmark = pytest.mark.slow

MANY = 30
PATIENT = 999.0  # a row that a patient client sends

SCRIPT = """
import os, time

class Predict:
    {options}

    def predict(self, inputs):
        for a, b in inputs:
            with open({log!r}, "a") as file:
                file.write(f"{{a}}\\n")
            while a == 0 and not os.path.exists({gate!r}):
                time.sleep(0.01)
            time.sleep(b)
        return [a for a, b in inputs]
"""


class Model:
    """A deployed model that sleeps as long as a row's second number says; ``ran`` has the first numbers of those run.

    With a 0 it runs until :meth:`open`: whatever is sent meanwhile waits behind it, and runs within no time afterwards.
    """

    def __init__(self, server, contract, directory, options="", **settings):
        self.server, self.contract, self.log = server, contract, directory / "ran.txt"
        self.gate = directory / "open"
        self.log.touch()
        (directory / "model").mkdir()
        (directory / "model" / "serve.py").write_text(
            SCRIPT.format(log=str(self.log), gate=str(self.gate), options=options or "pass")
        )
        self.path = (directory / "model").as_uri()
        self.deploy("v1", **settings).raise_for_status()

    def deploy(self, release, **settings):
        policy = {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
        payload = {
            "path": self.path,
            "flavor": {"Python": {"script": "serve.py"}},
            "servableSettings": {"policySettings": policy, **settings},
        }
        return self.server.http.post(f"/servable/{self.contract}/{release}", json=payload)

    def open(self):
        """Once the server had the time to notice who is gone."""
        for _ in range(10):
            self.server.http.get("/alive").raise_for_status()
            time.sleep(0.1)
        self.gate.touch()

    @property
    def ran(self):
        return [float(line) for line in self.log.read_text().split()]

    def unscored(self):
        entries = self.server.http.get(f"/{self.contract}/stats").json()
        return sum(int(entry["ServableMetrics"].get("unscoredCount", 0)) for entry in entries)

    def queued(self):
        found = self.server.http.get(f"/{self.contract}/v1/replicas").json()
        return found[0]["ReplicaStatus"].get("queued", 0)


def basic(a, seconds):
    schema = [{"type": "Float64", "fields": ["a", "b"]}]
    return {"schema": schema, "datum": [{"tensors": [{"Float64": {"data": [a, seconds]}}]}]}


def post(server, path, document, *headers):
    """A connection over which the request was sent, its answer not awaited."""
    body = json.dumps(document).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(head + body)
    return connection


def shortcut(server, contract, a):
    return post(server, f"/{contract}/score", basic(a, 0.01))


def general(server, contract, a):
    return post(server, f"/{contract}/score", basic(a, 0.01), "X-Unknown-Header: goes the general way")


def exchanged(server, contract, a):
    return post(
        server, f"/v2/models/{contract.replace('/', '.')}/infer",
        {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [a, 0.01]}]},
        "X-Unknown-Header: goes the general way",
    )  # fmt: skip


@pytest.mark.parametrize("options", ["", "batched = True"], ids=["whole", "single"])
@pytest.mark.parametrize("way", [shortcut, general, exchanged], ids=lambda way: way.__name__)
def test_closed_connections(server, contract, tmp_path, way, options):
    model = Model(server, contract, tmp_path, options, deploymentSettings={"merging": {"maxRows": 1}})
    first = way(server, contract, 0)
    wait_for(lambda: model.ran)
    connections = [way(server, contract, number) for number in range(1, MANY)]
    for connection in connections:
        connection.close()
    check(model)
    first.close()


def check(model, sent=MANY - 1):
    """None of those that were sent after the first one ran."""
    model.open()
    assert model.server.score(model.contract, basic(PATIENT, 0)).status_code == 200
    assert model.ran == [0, PATIENT]
    wait_for(lambda: model.unscored() == sent)


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


def score_request(contract, a, seconds=0.01):
    organization, project, number = contract.split("/")
    address = Contract(organization=organization, project=project, contract_number=int(number))
    return ScoreRequest(contract=address, request=json_format.ParseDict(basic(a, seconds), InferenceRequest()))


def own(channel, contract, a):
    return ForestFlowStub(channel).Score.future(score_request(contract, a))


def open_inference(channel, contract, a):
    request = oip.ModelInferRequest(model_name=contract.replace("/", "."))
    tensor = request.inputs.add(name="x", datatype="FP64", shape=[1, 2])
    tensor.contents.fp64_contents.extend([a, 0.01])
    method = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer", request_serializer=oip.ModelInferRequest.SerializeToString
    )
    return method.future(request)


@pytest.mark.parametrize("way", [own, open_inference], ids=lambda way: way.__name__)
def test_cancelled_calls(server, contract, tmp_path, channel, way):
    model = Model(server, contract, tmp_path)
    first = way(channel, contract, 0)
    wait_for(lambda: model.ran)
    calls = [way(channel, contract, number) for number in range(1, MANY)]
    time.sleep(1)  # for gRPC's own threads to send them
    for call in calls:
        call.cancel()
    check(model)
    assert first.result()


def test_cancelled_streams(server, contract, tmp_path, channel):
    model = Model(server, contract, tmp_path)
    sent = [ScoreStreamRequest(id=str(n), score=score_request(contract, n)) for n in range(MANY)]

    def items():
        yield from sent
        time.sleep(60)  # it does not end

    stream = ForestFlowStub(channel).ScoreStream(items())
    wait_for(lambda: model.ran)
    time.sleep(1)
    stream.cancel()
    check(model)


def test_what_was_answered_with_504_is_not_run_afterwards(server, contract, tmp_path):
    """The first call takes longer than the others may; they wait in the socket meanwhile, unseen by the replica."""
    model = Model(server, contract, tmp_path)
    with ThreadPoolExecutor(MANY) as pool:
        slow = pool.submit(server.score, contract, basic(0, 0))
        wait_for(lambda: model.ran)
        hasty = {"X-Request-Timeout": "1"}
        late = [pool.submit(server.score, contract, basic(number, 0.01), **hasty) for number in range(1, MANY)]
        assert {reply.result().status_code for reply in late} == {504}
        check(model)
        assert slow.result().status_code == 200


def test_a_long_batch_ends_with_its_slice(server, contract, tmp_path):
    model = Model(server, contract, tmp_path, "batched = True")
    document = basic(1, 0)
    document["datum"] = [{"tensors": [{"Float64": {"data": [n, 0.02]}}]} for n in range(1, 5000)]
    connection = post(server, f"/{contract}/score", document)
    wait_for(lambda: model.ran)
    connection.close()
    assert server.score(contract, basic(PATIENT, 0)).status_code == 200
    wait_for(lambda: model.queued() == 0)
    assert len(model.ran) < 3000


def test_requests_split_by_record_are_given_up_whole(server, contract, tmp_path):
    settings = {"routing": "RECORD", "router": {"FairPhaseInPctBasedRouter": {}}}
    keep = {"expirationPolicy": {"KeepLatest": {"servablesToKeep": 2}}}
    server.http.post(f"/contract/{contract}", json={**keep, **settings}).raise_for_status()
    model = Model(server, contract, tmp_path)
    model.deploy("v2").raise_for_status()
    documents = []
    for number in range(MANY):
        document = basic(number, 0.01)
        document["datum"] *= 2  # one for each release
        documents.append(document)
    first = post(server, f"/{contract}/score", documents[0])
    wait_for(lambda: len(model.ran) == 2)
    connections = [post(server, f"/{contract}/score", document) for document in documents[1:]]
    for connection in connections:
        connection.close()
    model.open()
    wait_for(lambda: model.unscored() == 2 * (MANY - 1))
    assert model.ran == [0, 0]
    first.close()
