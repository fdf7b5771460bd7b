"""Each request is reported once, by every protocol and whatever became of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

import grpc.aio
import pytest
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest

from forestflow._gen.inference_pb2 import InferenceRequest
from forestflow._gen.service_pb2 import ScoreRequest, ScoreStreamRequest
from forestflow.api.http import edge, shortcut
from forestflow.api.http.exchange import ProtocolRoute
from forestflow.api.http.score import ScoreRoute
from forestflow.api.observer import Finished, Observers
from forestflow.codecs.messages.values import contract_to
from forestflow.dataplane.link import Reply
from forestflow.domain.errors import Code
from forestflow.domain.ids import Contract, Fqrv
from tests.unit.api.grpc_world import until, world
from tests.unit.api.test_graphpipe import message
from tests.unit.cluster.routers import get, site
from tests.unit.dataplane.test_dispatch import CONTRACT
from tests.unit.dataplane.test_replica import body

ROW = {"inputs": [{"name": "numeric", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}
PROTOCOLS = {
    "basic": ("/o/p/0/score", body([1, 2])),
    "tfserving": ("/v1/models/o.p.0:predict", b'{"instances": [[1, 2]]}'),
    "openinference": ("/v2/models/o.p.0/infer", json.dumps(ROW).encode()),
    "graphpipe": ("/o/p/0/gp", message([1, 2])),
}
FAILING = {
    "basic": body([13, 2]),
    "tfserving": b'{"instances": [[13, 2]]}',
    "openinference": json.dumps(ROW).replace("[1, 2]}", "[13, 2]}").encode(),
    "graphpipe": message([13, 2]),
}
GENERAL = "X-Anything: past the shortcut"
SHORTCUT = "Accept: */*"


@dataclass
class Recorder:
    """An observer that keeps what it is given."""

    seen: list[Finished] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def finished(self, request: Finished) -> None:
        self.seen.append(request)

    def close(self) -> None:
        self.ends.append(len(self.seen))

    def site(self, directory, **settings):
        observer = (f"{__name__}:Recorder", {"seen": self.seen, "ends": self.ends})
        return site(directory, observers=(observer,), **settings)

    async def next(self) -> Finished:
        """The only request that was reported since the last one."""
        await until(lambda: bool(self.seen))
        await asyncio.sleep(0.02)  # a second report would be a fault, and come at once
        assert len(self.seen) == 1, self.seen
        return self.seen.pop()


def post(path, payload, *headers, length=None):
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    lines.append(f"Content-Length: {len(payload) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + payload


def chunked(path, chunk):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + chunk


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.mark.parametrize("way", [SHORTCUT, GENERAL])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_is_answered(recorder, tmp_path, protocol, way, taken):
    path, payload = PROTOCOLS[protocol]
    async with recorder.site(tmp_path) as here:
        answer = await here.ask(post(path, payload, way, "X-Request-Id: mine"))
        assert answer.status == 200
        assert taken() == (way == SHORTCUT)
        seen = await recorder.next()
        assert (seen.method, seen.path, seen.protocol, seen.contract) == ("POST", path, protocol, CONTRACT)
        assert (seen.release, seen.status, seen.code, seen.request_id) == ("a", 200, "OK", "mine")
        assert (seen.request_bytes, seen.answer_bytes) == (len(payload), len(answer.body))
        assert 0 < seen.milliseconds < 60_000
        failed = await here.ask(post(path, FAILING[protocol], way))
        seen = await recorder.next()
        assert (seen.status, seen.code) == (200 if protocol == "graphpipe" else 500, "INTERNAL")
        assert (seen.protocol, seen.release) == (protocol, "a")
        assert seen.answer_bytes == len(failed.body)
        assert seen.request_id == failed.headers["x-request-id"]
        # In two pieces, and one after the other in one.
        client = await here.connect()
        client.write(post(path, payload, way)[:-3])
        await asyncio.sleep(0.02)
        client.write(payload[-3:])
        assert (await client.answer()).status == 200
        assert (await recorder.next()).request_bytes == len(payload)
        client.write(post(path, payload, way) * 3)
        for _ in range(3):
            await client.answer()
        await until(lambda: len(recorder.seen) == 3)
    assert recorder.ends == [3], "the observer is closed once the router has stopped"
    assert len(recorder.seen) == 3


@pytest.mark.parametrize("way", [SHORTCUT, GENERAL])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_is_refused(recorder, tmp_path, protocol, way, monkeypatch):
    path, payload = PROTOCOLS[protocol]
    monkeypatch.setattr(shortcut, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(edge, "BODY_SECONDS", 0.1)
    nowhere = path.replace("o/p/0", "o/p/1").replace("o.p.0", "o.p.1")
    asked = [
        (post(path, payload, way, "X-Request-Timeout: never"), 400, "MALFORMED"),
        (post(path, payload, way, "Origin: http://elsewhere.example"), 403, "INVALID"),
        (post(nowhere, payload, way), 404, "NOT_FOUND"),
        (post(path, b"x" * 2000, way), 413, "TOO_LARGE"),
        (post(path, payload, way, length=len(payload) + 1), 408, "DEADLINE"),
        (chunked(path, b"5\r\nhellobad\r\n"), 400, "MALFORMED"),
        (chunked(path, b""), 408, "DEADLINE"),
    ]
    async with recorder.site(tmp_path, max_body_bytes=1000) as here:
        for data, status, code in asked:
            answer = await here.ask(data)
            seen = await recorder.next()
            assert seen.status == answer.status
            assert seen.status == (200 if protocol == "graphpipe" and answer.status == 200 else status), data
            assert (seen.code, seen.method) == (code, "POST"), data
            unread = b"hellobad" in data  # refused before the application has looked at it
            assert seen.protocol == ("" if unread else protocol), data
            assert seen.request_id == answer.headers["x-request-id"]
            assert seen.answer_bytes == len(answer.body)
    assert not recorder.seen


@pytest.mark.parametrize("way", [SHORTCUT, GENERAL])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_waits_in_vain(recorder, tmp_path, protocol, way):
    path, payload = PROTOCOLS[protocol]
    async with recorder.site(tmp_path, swallow=True, dispatch={"max_queued": 1}) as here:
        waiting = await here.connect()
        waiting.write(post(path, payload, way))
        codes = []
        async with asyncio.timeout(10):
            while codes[-1:] != ["EXHAUSTED"]:
                answer = await here.ask(post(path, payload, way, "X-Request-Timeout: 0.05"))
                seen = await recorder.next()
                assert seen.status == answer.status
                codes.append(seen.code)
        waiting.writer.close()
        seen = await recorder.next()
        assert (seen.status, seen.code, seen.protocol, seen.contract) == (499, "CANCELLED", protocol, CONTRACT)
        half = await here.connect()
        half.write(post(path, payload, way)[:-3])
        await asyncio.sleep(0.05)
        half.writer.close()
        seen = await recorder.next()
        assert (seen.status, seen.code, seen.request_bytes) == (499, "CANCELLED", len(payload) - 3)
    async with recorder.site(tmp_path, swallow=True) as here:
        late = await here.ask(post(path, payload, way, "X-Request-Timeout: 0.05"))
        seen = await recorder.next()
        assert (seen.status, seen.code) == (late.status, "DEADLINE")
        assert seen.milliseconds >= 50
    assert not recorder.seen


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_fails_in_the_server(recorder, tmp_path, protocol, monkeypatch):
    path, payload = PROTOCOLS[protocol]

    async def fail(*_):
        raise RuntimeError("a fault of ours")

    for route in (ScoreRoute, ProtocolRoute):
        monkeypatch.setattr(route, "__call__", fail)
    async with recorder.site(tmp_path) as here:
        assert (await here.ask(post(path, payload, GENERAL))).status == 500
        seen = await recorder.next()
        assert (seen.status, seen.code) == (500, "INTERNAL")


async def test_the_control_api(recorder, tmp_path):
    async with recorder.site(tmp_path) as here:
        for path, status, code, contract, release in (
            ("/alive", 200, "OK", None, None),
            ("/ready?secret=s", 200, "OK", None, None),
            ("/nowhere", 404, "NOT_FOUND", None, None),
            ("/o/p/x/v1/status", 404, "NOT_FOUND", None, None),
            ("/o/p/0/v1/status", 500, "INTERNAL", CONTRACT, "v1"),  # the registry that the test plays knows no answer
            ("/o/p%2f/0/v1/status", 400, "MALFORMED", None, None),
        ):
            answer = await here.ask(get(path))
            seen = await recorder.next()
            assert (answer.status, seen.status, seen.code) == (status, status, code), path
            assert (seen.method, seen.path, seen.protocol) == ("GET", path.partition("?")[0], "control")
            assert (seen.contract, seen.release) == (contract, release)
            assert seen.answer_bytes == len(answer.body)
            assert seen.request_id == answer.headers["x-request-id"]


async def test_what_cannot_be_read(recorder, tmp_path):
    async with recorder.site(tmp_path) as here:
        for data, status, method, path in (
            (b"GET /a HTTP/1.1\r\n\r\n", 400, "GET", "/a"),
            (b"GET /a?token=secret HTTP/2.0\r\nHost: localhost\r\n\r\n", 505, "GET", "/a"),
            (b"not HTTP", 400, "not", "HTTP"),
            (b"POST /a HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000, 431, "POST", "/a"),
            (chunked("/a", b"")[:-2] + b"Content-Length: 3\r\n\r\n", 400, "POST", "/a"),
        ):
            answer = await here.ask(data)
            seen = await recorder.next()
            assert (answer.status, seen.status, seen.method, seen.path) == (status, status, method, path)
            assert seen.request_id == answer.headers["x-request-id"]


async def test_connections_that_find_no_room(recorder, tmp_path):
    path, payload = PROTOCOLS["basic"]
    async with recorder.site(tmp_path, swallow=True, max_connections=1) as here:
        arrived = []
        here.node.replica.submit = lambda job, _: arrived.append(job)
        busy = await here.connect()
        busy.write(post(path, payload))
        await until(lambda: bool(arrived))
        assert (await here.ask(get("/alive"))).status == 503
        seen = await recorder.next()
        assert (seen.status, seen.code, seen.path) == (503, "UNAVAILABLE", "/alive")


async def test_calls_and_items_of_streams(recorder, registry):
    request = ScoreRequest(contract=contract_to(CONTRACT), request=InferenceRequest()).SerializeToString()
    nowhere = ScoreRequest(contract=contract_to(Contract("o", "p", 1)), request=InferenceRequest()).SerializeToString()
    reply = Reply(Code.OK, b"\n\x00", Fqrv(CONTRACT, "a"))

    def of(seen):
        return seen.method, seen.status, seen.code, seen.protocol

    async with world(registry, CONTRACT, observer=Observers([recorder])) as here:

        async def score(*_):
            return reply

        here.dispatcher.score = score
        scoring = here.channel.unary_unary("/forestflow.v1.ForestFlow/Score")
        answer = await scoring(request, metadata=[("x-request-id", "mine")])
        seen = await recorder.next()
        assert of(seen) == ("gRPC", 0, "OK", "basic")
        assert (seen.path, seen.request_id) == ("/forestflow.v1.ForestFlow/Score", "mine")
        assert (seen.request_bytes, seen.answer_bytes) == (len(request), len(answer))
        assert (seen.contract, seen.release) == (CONTRACT, "a")

        for message_, metadata, status, code in (
            (b"\xff", (), StatusCode.INVALID_ARGUMENT, "MALFORMED"),
            (nowhere, (), StatusCode.NOT_FOUND, "NOT_FOUND"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await scoring(message_, metadata=metadata)
            assert refused.value.code() is status
            assert of(await recorder.next()) == ("gRPC", status.value[0], code, "basic")

        waiting = []

        async def wait(*_):
            waiting.append(True)
            await asyncio.Event().wait()

        here.dispatcher.score = wait
        with pytest.raises(grpc.aio.AioRpcError):
            await scoring(request, timeout=1.0)
        assert of(await recorder.next())[1:3] in ((4, "DEADLINE"), (1, "CANCELLED"))
        call = scoring(request)
        await until(lambda: len(waiting) == 2)
        call.cancel()
        assert of(await recorder.next()) == ("gRPC", 1, "CANCELLED", "basic")

        async def fail(*_):
            raise RuntimeError("a fault of ours")

        here.dispatcher.score = fail
        with pytest.raises(grpc.aio.AioRpcError):
            await scoring(request)
        assert of(await recorder.next()) == ("gRPC", StatusCode.INTERNAL.value[0], "INTERNAL", "basic")

        with pytest.raises(grpc.aio.AioRpcError):
            await here.channel.unary_unary("/forestflow.v1.ForestFlow/None")(b"")
        assert of(await recorder.next()) == ("gRPC", StatusCode.UNIMPLEMENTED.value[0], "UNIMPLEMENTED", "basic")
        check = HealthCheckRequest(service="nothing").SerializeToString()
        with pytest.raises(grpc.aio.AioRpcError):
            await here.channel.unary_unary("/grpc.health.v1.Health/Check")(check)
        seen = await recorder.next()
        assert of(seen) == ("gRPC", StatusCode.NOT_FOUND.value[0], "NOT_FOUND", "grpc.health.v1.Health")
        assert seen.request_bytes == len(check)

        stream = here.channel.stream_stream("/forestflow.v1.ForestFlow/ScoreStream")()
        item = ScoreStreamRequest(id="1", score=ScoreRequest.FromString(request)).SerializeToString()
        await stream.write(item)
        await until(lambda: bool(here.dispatcher.sent))
        here.dispatcher.sent[0].resolve(reply)
        answer = await stream.read()
        seen = await recorder.next()
        assert of(seen) == ("item", 0, "OK", "basic")
        assert (seen.request_bytes, seen.answer_bytes, seen.release) == (len(item), len(answer), "a")
        assert seen.request_id.endswith("-1")
        await stream.write(b"\xff")
        await stream.read()
        assert of(await recorder.next()) == ("item", 3, "MALFORMED", "basic")
        await stream.write(item)
        await until(lambda: len(here.dispatcher.sent) == 2)
        stream.cancel()
        await until(lambda: len(recorder.seen) == 2)
        assert sorted(map(of, recorder.seen)) == [("gRPC", 1, "CANCELLED", "basic"), ("item", 1, "CANCELLED", "basic")]
        recorder.seen.clear()
    assert not recorder.seen


def test_an_observer_that_fails_is_nobody_elses_concern(recorder, caplog):
    class Failing:
        def finished(self, request):
            raise RuntimeError("no")

        def close(self):
            raise RuntimeError("no")

    request = Finished("GET", "/", "control", None, None, 200, "OK", 0, 0, 1.0, "id")
    both = Observers([Failing(), recorder])
    both.finished(request)
    both.close()
    assert (recorder.seen, recorder.ends) == ([request], [1])
    assert [record.message for record in caplog.records] == ["an observer failed", "an observer did not close"]
