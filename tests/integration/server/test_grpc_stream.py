"""ScoreStream against the real server: thousands of scores over one call, wrong ones among them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from queue import SimpleQueue

import grpc
import pytest
from google.protobuf import json_format
from google.rpc.error_details_pb2 import ErrorInfo
from grpc import StatusCode

from forestflow._gen.contract_pb2 import Contract
from forestflow._gen.inference_pb2 import InferenceRequest
from forestflow._gen.service_pb2 import ScoreRequest, ScoreStreamRequest, StatsRequest
from forestflow._gen.service_pb2_grpc import ForestFlowStub
from tests.serving import FIELDS, RunningServer, golden, rows_body, values

ROWS, EXPECTED = golden()
ITEMS = 2000


@pytest.fixture(scope="module")
def models(server: RunningServer) -> Iterator[ForestFlowStub]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield ForestFlowStub(channel)


def address(contract: str) -> Contract:
    organization, project, number = contract.split("/")
    return Contract(organization=organization, project=project, contract_number=int(number))


def item(name: str, contract: str, body: dict) -> ScoreStreamRequest:
    request = json_format.ParseDict(body, InferenceRequest())
    return ScoreStreamRequest(id=name, score=ScoreRequest(contract=address(contract), request=request))


def wrong(number: int, contract: str) -> tuple[ScoreStreamRequest, StatusCode]:
    """Items that fail, each kind in its turn."""
    name, fields = str(number), [*FIELDS[:-1], "NoSuchField"]
    kinds = [
        (item(name, contract, {}), StatusCode.INVALID_ARGUMENT),
        (item(name, "no/such/7", rows_body(ROWS[:1])), StatusCode.NOT_FOUND),
        (
            item(name, contract, rows_body(ROWS[:1]) | {"schema": [{"type": "Float64", "fields": fields[:2]}]}),
            StatusCode.INVALID_ARGUMENT,
        ),
    ]
    return kinds[number % len(kinds)]


def test_two_thousand_scores_are_those_of_rest_and_of_h2o(server, contract, models):
    server.deploy(contract, "v1").raise_for_status()
    by_rest = values(server.score(contract, rows_body(ROWS)))
    assert by_rest == pytest.approx(EXPECTED, rel=1e-9)
    codes: dict[str, StatusCode] = {}

    def items() -> Iterator[ScoreStreamRequest]:
        for number in range(ITEMS):
            if number % 10 == 3:
                request, codes[str(number)] = wrong(number, contract)
                yield request
            else:
                at = number % len(ROWS)
                yield item(str(number), contract, rows_body([ROWS[at], ROWS[-1 - at]]))

    call = models.ScoreStream(items(), metadata=[("x-request-id", "stream")])
    answers = {answer.id: answer for answer in call}
    assert call.code() is StatusCode.OK
    assert answers.keys() == {str(number) for number in range(ITEMS)}
    for name, answer in answers.items():
        if name in codes:
            assert answer.error.code == codes[name].value[0], answer.error.message
            info = ErrorInfo()
            assert answer.error.details[0].Unpack(info)
            assert info.metadata["requestId"] == f"stream-{name}"
        else:
            at = int(name) % len(ROWS)
            found = [datum.tensors[0].Float64.data[0] for datum in answer.prediction.datum]
            assert found == [by_rest[at], by_rest[-1 - at]], "not one bit may differ"
    assert len(codes) == ITEMS / 10


def test_a_stream_may_call_many_contracts_and_wait_between_its_items(server, contract, models):
    server.deploy(contract, "v1").raise_for_status()
    other = contract[:-1] + "1"
    server.deploy(other, "v1", "energy_gbm_v2.zip").raise_for_status()
    expected = {contract: EXPECTED[0], other: golden("energy_gbm_v2")[1][0]}
    turns: SimpleQueue[str] = SimpleQueue()  # of the next to be sent: each when the one before is answered

    def items() -> Iterator[ScoreStreamRequest]:
        while name := turns.get():
            yield item(name, name, rows_body(ROWS[:1]))

    call, answers = models.ScoreStream(items()), []
    for name in expected:
        turns.put(name)
        answers.append(next(call))
    turns.put("")
    assert list(call) == []
    server.http.delete(f"/{other}/v1").raise_for_status()
    found = {answer.id: answer.prediction.datum[0].tensors[0].Float64.data[0] for answer in answers}
    assert found == pytest.approx(expected, rel=1e-9)
    assert [answer.id for answer in answers] == list(expected)


def test_who_cancels_is_scored_for_no_more(server, contract, models):
    server.deploy(contract, "v1").raise_for_status()
    sent = 0

    def items() -> Iterator[ScoreStreamRequest]:
        nonlocal sent
        while True:
            sent += 1
            yield item(str(sent), contract, rows_body(ROWS[:2]))

    call = models.ScoreStream(items())
    for _ in range(50):
        assert next(call).HasField("prediction")
    call.cancel()
    assert call.code() is StatusCode.CANCELLED

    def count() -> int:
        return models.Stats(StatsRequest(contract=address(contract))).metrics[0].scoreCount

    before = -1
    for _ in range(100):
        if before == (before := count()):
            break
        time.sleep(0.2)
    else:
        pytest.fail("it is scored on and on")
    assert 50 <= before <= sent
    score = ScoreRequest(
        contract=address(contract), request=json_format.ParseDict(rows_body(ROWS[:1]), InferenceRequest())
    )
    assert models.Score(score).datum


def test_a_stream_ends_at_its_deadline(server, contract, models):
    server.deploy(contract, "v1").raise_for_status()

    def items() -> Iterator[ScoreStreamRequest]:
        yield item("a", contract, rows_body(ROWS[:1]))
        while call.is_active():  # and no end of it
            time.sleep(0.01)

    call = models.ScoreStream(items(), timeout=2)
    assert next(call).HasField("prediction")
    with pytest.raises(grpc.RpcError):
        next(call)
    assert call.code() is StatusCode.DEADLINE_EXCEEDED
