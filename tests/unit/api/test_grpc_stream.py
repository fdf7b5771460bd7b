"""ScoreStream over a dispatcher whose answers are given by hand: order, bounds, failures, deadlines, and every end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from forestflow._gen.inference_pb2 import ByteData, Datum, InferenceRequest, Prediction, Tensor
from forestflow._gen.service_pb2 import ScoreRequest, ScoreStreamRequest, ScoreStreamResponse
from forestflow._gen.service_pb2_grpc import ForestFlowStub
from forestflow.api.grpc.envelope import close_item, open_item
from forestflow.api.grpc.stream import MAX_UNDER_WAY
from forestflow.codecs.messages.values import contract_to, fqrv_to
from forestflow.codecs.table import PROTOBUF
from forestflow.dataplane.link import Reply, ReplyWith
from forestflow.domain.errors import Code, Malformed, QueueFull
from forestflow.domain.ids import Contract, Fqrv
from tests.unit.api.grpc_world import World, until, world
from tests.unit.api.memory_registry import MemoryRegistry

CONTRACT = Contract("o", "p", 0)
RELEASE = Fqrv(CONTRACT, "v1")
REQUEST = InferenceRequest(configs={"a": "b"})
LIMIT = 100_000


@pytest.fixture
async def here(registry: MemoryRegistry) -> AsyncIterator[World]:
    async with world(registry, CONTRACT, max_body_bytes=LIMIT) as running:
        yield running


def item(name: str, contract: Contract = CONTRACT, **fields: object) -> ScoreStreamRequest:
    score = ScoreRequest(contract=contract_to(contract), request=REQUEST)
    return ScoreStreamRequest(id=name, score=score, **fields)


def prediction(name: str) -> Prediction:
    return Prediction(fqrv=fqrv_to(Fqrv(CONTRACT, name)))


def answer(here: World, number: int, name: str) -> None:
    here.dispatcher.sent[number].resolve(Reply(Code.OK, prediction(name).SerializeToString(), RELEASE))


async def all_of(call) -> dict[str, ScoreStreamResponse]:
    return {response.id: response async for response in call}


def raw(here: World) -> grpc.aio.StreamStreamMultiCallable:
    return here.channel.stream_stream("/forestflow.v1.ForestFlow/ScoreStream")


async def test_answers_come_as_they_are_ready_under_their_ids(here: World) -> None:
    call = ForestFlowStub(here.channel).ScoreStream(metadata=[("x-request-id", "mine")])
    for name in ("first", "second", "third"):
        await call.write(item(name, key=f"key of {name}"))
    await until(lambda: len(here.dispatcher.sent) == 3)
    for number, name in ((2, "third"), (0, "first"), (1, "second")):
        answer(here, number, name)
        assert await call.read() == ScoreStreamResponse(id=name, prediction=prediction(name))
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is StatusCode.OK
    assert dict(await call.trailing_metadata()) == {"x-request-id": "mine"}
    sent = here.dispatcher.sent[0]
    assert (sent.codec, sent.payload, sent.key) == (PROTOBUF, REQUEST.SerializeToString(), "key of first")
    assert [sent.request_id for sent in here.dispatcher.sent] == [b"mine-first", b"mine-second", b"mine-third"]


async def test_an_item_says_which_fields_its_model_does_not_have(here: World) -> None:
    call = ForestFlowStub(here.channel).ScoreStream()
    for name in ("more", "wrong"):
        await call.write(item(name))
    await call.done_writing()
    await until(lambda: len(here.dispatcher.sent) == 2)
    more, wrong = here.dispatcher.sent
    more.resolve(ReplyWith(Code.OK, prediction("v1").SerializeToString(), RELEASE, 1, 0.0, "Temp,Wind%20speed"))
    wrong.resolve(ReplyWith(Code.INVALID, b"there is no input", RELEASE, 0, 0.0, "Temp"))
    answers = {answer.id: answer async for answer in call}
    assert answers["more"] == ScoreStreamResponse(
        id="more", prediction=prediction("v1"), unknown_fields=["Temp", "Wind speed"]
    )
    assert list(answers["wrong"].unknown_fields) == ["Temp"]
    assert answers["wrong"].error.message == "there is no input"


async def test_what_fails_fails_alone_and_says_why(here: World) -> None:
    call = raw(here)()
    items = [
        item("good"),
        item("unknown", Contract("no", "such", 1)),
        ScoreStreamRequest(id="empty", score=ScoreRequest(contract=contract_to(CONTRACT))),
        item("late", timeout_seconds=-1),
        item("full"),
        item("bad"),
        item("broken"),
    ]
    for message in items:
        await call.write(message.SerializePartialToString())
    await call.write(b"\xff")
    await call.write(b"")
    await call.done_writing()
    await until(lambda: len(here.dispatcher.sent) == 4)
    _, full, bad, broken = here.dispatcher.sent
    full.resolve(QueueFull(0.25, "full"))
    bad.resolve(Reply(Code.INVALID, b"no such field", RELEASE))
    broken.resolve(Reply(Code.INTERNAL, b"the model failed", RELEASE))
    answer(here, 0, "v1")
    answers = [ScoreStreamResponse.FromString(message) async for message in call]
    assert await call.code() is StatusCode.OK
    assert len(answers) == len(items) + 2
    by_id = {answer.id: answer for answer in answers}
    assert by_id["good"].prediction == prediction("v1")
    codes = {name: found.error.code for name, found in by_id.items() if name != "good"}
    assert codes == {
        "unknown": StatusCode.NOT_FOUND.value[0],
        "empty": StatusCode.INVALID_ARGUMENT.value[0],
        "late": StatusCode.INVALID_ARGUMENT.value[0],
        "full": StatusCode.RESOURCE_EXHAUSTED.value[0],
        "bad": StatusCode.INVALID_ARGUMENT.value[0],
        "broken": StatusCode.INTERNAL.value[0],
        "": StatusCode.INVALID_ARGUMENT.value[0],
    }
    assert by_id["bad"].error.message == "no such field"
    info, retry = ErrorInfo(), RetryInfo()
    assert by_id["bad"].error.details[0].Unpack(info)
    assert (info.reason, info.metadata["release"]) == ("INVALID", "o.p.0.v1")
    assert by_id["full"].error.details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 250


async def test_a_fault_of_ours_is_told_in_the_log_alone(here: World, monkeypatch, caplog) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(here.dispatcher, "send", fail)
    call = ForestFlowStub(here.channel).ScoreStream(iter([item("a"), item("b")]))
    answers = await all_of(call)
    assert {found.error.code for found in answers.values()} == {StatusCode.INTERNAL.value[0]}
    assert "secret" not in str(answers)
    assert "secret" in caplog.text
    assert len(answers) == 2


async def test_no_more_is_read_than_there_is_room_for(here: World) -> None:
    many = 3 * MAX_UNDER_WAY
    call = ForestFlowStub(here.channel).ScoreStream(iter([item(str(i)) for i in range(many)]))
    sent = here.dispatcher.sent
    await until(lambda: len(sent) == MAX_UNDER_WAY)
    await asyncio.sleep(0.05)
    assert len(sent) == MAX_UNDER_WAY
    answer(here, 7, "v1")
    await until(lambda: len(sent) == MAX_UNDER_WAY + 1)
    await asyncio.sleep(0.05)
    assert len(sent) == MAX_UNDER_WAY + 1

    async def answer_all() -> None:
        done = {7}
        while len(done) < many:
            for number in set(range(len(sent))) - done:
                answer(here, number, "v1")
                done.add(number)
            await asyncio.sleep(0.001)

    answering = asyncio.create_task(answer_all())
    assert (await all_of(call)).keys() == {str(i) for i in range(many)}
    await answering


async def test_large_items_count_by_their_bytes(here: World) -> None:
    large = item("x")
    large.score.request.configs["large"] = "x" * (LIMIT // 2)
    call = ForestFlowStub(here.channel).ScoreStream(iter([large] * 6))
    sent = here.dispatcher.sent
    await until(lambda: len(sent) == 2)
    await asyncio.sleep(0.05)
    assert len(sent) == 2
    for number in range(6):
        await until(lambda number=number: len(sent) > number)
        answer(here, number, "v1")
    assert [response.id async for response in call] == ["x"] * 6


async def test_who_does_not_read_is_not_read_from(here: World, monkeypatch) -> None:
    """Else the answers to one client's requests could fill the memory."""
    large = Prediction(fqrv=fqrv_to(RELEASE), datum=[Datum(tensors=[Tensor(Byte=ByteData(data=[bytes(1 << 20)]))])])
    reply = Reply(Code.OK, large.SerializeToString(), RELEASE)
    asked = 0

    def send(_route, _codec, _payload, _request_id, _seconds, resolve, _key) -> None:
        nonlocal asked
        asked += 1
        resolve(reply)

    monkeypatch.setattr(here.dispatcher, "send", send)
    many = 4 * MAX_UNDER_WAY
    call = ForestFlowStub(here.channel).ScoreStream(iter([item(str(i)) for i in range(many)]))
    before = -1
    while before != asked:
        before = asked
        await asyncio.sleep(0.3)
    assert asked < 2 * MAX_UNDER_WAY, "some are in the buffers of the connection"
    assert len([response.id async for response in call]) == asked == many


async def test_the_deadline_is_the_items_or_the_streams(here: World) -> None:
    call = ForestFlowStub(here.channel).ScoreStream(timeout=30)
    for seconds in (2.5, 1000.0, None):
        await call.write(item("a", timeout_seconds=seconds))
    await until(lambda: len(here.dispatcher.sent) == 3)
    own, over, none = (sent.seconds for sent in here.dispatcher.sent)
    assert own == 2.5
    assert over == pytest.approx(30, abs=5)
    assert none == pytest.approx(30, abs=5)
    free = ForestFlowStub(here.channel).ScoreStream()
    await free.write(item("b"))
    await until(lambda: len(here.dispatcher.sent) == 4)
    assert here.dispatcher.sent[3].seconds is None


async def test_a_stream_ends_at_its_deadline(here: World, caplog) -> None:
    call = ForestFlowStub(here.channel).ScoreStream(timeout=0.3)
    await call.write(item("a"))
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()
    assert await call.code() is StatusCode.DEADLINE_EXCEEDED
    await until(lambda: bool(here.dispatcher.sent))
    answer(here, 0, "v1")  # too late: for nobody
    assert (await one_more(here)).id == "more"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_who_leaves_gets_no_more_sent_and_harms_nobody(here: World, caplog) -> None:
    call = ForestFlowStub(here.channel).ScoreStream(iter([item(str(i)) for i in range(3 * MAX_UNDER_WAY)]))
    sent = here.dispatcher.sent
    await until(lambda: len(sent) == MAX_UNDER_WAY)
    call.cancel()
    assert (await one_more(here)).id == "more"
    before = len(sent)
    for number in range(MAX_UNDER_WAY):
        answer(here, number, "v1")
    await asyncio.sleep(0.05)
    assert len(sent) == before
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def one_more(here: World) -> ScoreStreamResponse:
    """An item that is answered, by a stream of its own."""
    at = len(here.dispatcher.sent)
    call = ForestFlowStub(here.channel).ScoreStream()
    await call.write(item("more"))
    await until(lambda: len(here.dispatcher.sent) > at)
    answer(here, at, "v1")
    response = await call.read()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    return response


async def test_a_stop_answers_what_was_read_and_says_that_it_was_not_all(here: World, caplog) -> None:
    call = ForestFlowStub(here.channel).ScoreStream()
    await call.write(item("a"))
    await until(lambda: len(here.dispatcher.sent) == 1)
    stop = asyncio.create_task(here.server.stop(3600))
    await asyncio.sleep(0.05)
    assert not stop.done()
    answer(here, 0, "v1")
    assert (await call.read()).id == "a"
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()
    assert await call.code() is StatusCode.UNAVAILABLE
    async with asyncio.timeout(10):
        await stop
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_stop_leaves_a_stream_whose_items_were_all_read_whole(here: World) -> None:
    call = ForestFlowStub(here.channel).ScoreStream()
    await call.write(item("a"))
    await call.done_writing()
    await until(lambda: len(here.dispatcher.sent) == 1)
    await asyncio.sleep(0.05)  # the end of the client's stream is read as well
    stop = asyncio.create_task(here.server.stop(3600))
    await asyncio.sleep(0.05)
    answer(here, 0, "v1")
    assert (await call.read()).id == "a"
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is StatusCode.OK
    await stop


# --- items ---


@given(st.text(max_size=20), st.none() | st.text(max_size=9), st.none() | st.floats(allow_nan=False))
def test_items_are_what_protobuf_reads(name: str, key: str | None, seconds: float | None) -> None:
    request = item(name, key=key, timeout_seconds=seconds)
    opened = open_item(request.SerializeToString())
    assert (opened.id, opened.key, opened.seconds) == (name, key, seconds)
    assert ScoreRequest.FromString(opened.score) == request.score


@given(st.binary(max_size=60))
def test_any_bytes_are_an_item_or_none(message: bytes) -> None:
    try:
        opened = open_item(message)
    except Malformed:
        return
    assert ScoreStreamResponse.FromString(close_item(opened.id, prediction("v1").SerializeToString())).id == opened.id


def test_what_has_no_id_cannot_be_answered_under_one() -> None:
    with pytest.raises(Malformed, match="no id"):
        open_item(ScoreStreamRequest(key="a").SerializePartialToString())
    with pytest.raises(Malformed, match="UTF-8"):
        open_item(b"\x0a\x01\xff")
