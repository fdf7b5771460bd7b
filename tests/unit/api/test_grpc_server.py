"""The gRPC server in this process, over a dispatcher and a registry that are played: deadlines, limits, health."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from grpc_status import rpc_status

from forestflow._gen.inference_pb2 import InferenceRequest
from forestflow._gen.service_pb2 import ScoreRequest
from forestflow.api.grpc.server import CONTROL, SERVICE, serve_grpc
from forestflow.codecs.messages.values import contract_to
from forestflow.codecs.table import PROTOBUF
from forestflow.controlplane.control import ControlPlane
from forestflow.dataplane.link import Reply, ReplyWith
from forestflow.domain.commands import Command, IsReady
from forestflow.domain.errors import Code, QueueFull, Unavailable
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.refusals import UnknownContract
from forestflow.settings.sections import DispatchSettings, RouterSettings
from tests.serving import free_port

CONTRACT = Contract("o", "p", 0)
RELEASE = Fqrv(CONTRACT, "v 1")
REQUEST = InferenceRequest(configs={"a": "b"})
MESSAGE = ScoreRequest(contract=contract_to(CONTRACT), request=REQUEST).SerializeToString()
LIMIT = 100_000


class Dispatcher:
    """Answers ``outcome``, or raises it; remembers what it was asked."""

    def __init__(self) -> None:
        self.outcome: Reply | Exception = Reply(Code.OK, b"a prediction", RELEASE)
        self.asked: list[tuple[int, bytes, bytes, float | None]] = []
        self.keys: list[str | None] = []
        self.hold: asyncio.Event | None = None

    def route(self, contract: Contract) -> Contract:
        if contract != CONTRACT:
            raise UnknownContract(contract)
        return contract

    async def score(self, route, codec, payload, request_id, seconds=None, key=None, only=None) -> Reply:
        self.keys.append(key)
        self.asked.append((codec, payload, request_id, seconds))
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class World:
    """One server and one client of it."""

    def __init__(self, **settings: Any) -> None:
        self.dispatcher = Dispatcher()
        self.ready: bool | Exception = True
        self.settings = {"max_body_bytes": LIMIT} | settings

    async def __aenter__(self) -> World:
        async def command(command: Command[Any]) -> bool:
            assert command == IsReady()
            if isinstance(self.ready, Exception):
                raise self.ready
            return self.ready

        settings = RouterSettings("", 0, DispatchSettings("", b""), **self.settings)
        self.endpoint = ("127.0.0.1", free_port())
        self.server = await serve_grpc(ControlPlane(command), self.dispatcher, settings, self.endpoint)
        self.channel = grpc.aio.insecure_channel("{}:{}".format(*self.endpoint))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()
        await self.server.stop(0)

    def call(self, message: bytes = MESSAGE, **options: Any) -> grpc.aio.UnaryUnaryCall:
        return self.channel.unary_unary(f"/{SERVICE}/Score")(message, **options)

    async def refused(self, message: bytes = MESSAGE, **options: Any) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(message, **options)
        return caught.value

    def health(self, method: str) -> Any:
        kind = self.channel.unary_unary if method == "Check" else self.channel.unary_stream
        return kind(
            f"/grpc.health.v1.Health/{method}", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
        )


@pytest.fixture
async def world():
    async with World() as world:
        yield world


async def test_fields_that_the_model_does_not_have_are_in_the_trailing_metadata(world):
    world.dispatcher.outcome = ReplyWith(Code.OK, b"a prediction", RELEASE, 1, 0.0, "Temp,Wind%20speed")
    call = world.call()
    assert await call == b"a prediction"
    assert dict(await call.trailing_metadata())["x-forestflow-unknown-fields"] == "Temp,Wind%20speed"
    world.dispatcher.outcome = ReplyWith(Code.INVALID, b"there is no input 'Temp'", RELEASE, 0, 0.0, "Temp")
    error = await world.refused()
    assert error.details() == "there is no input 'Temp'"
    assert dict(error.trailing_metadata())["x-forestflow-unknown-fields"] == "Temp"


async def test_the_request_goes_on_as_it_is_and_the_answer_comes_back_so(world):
    call = world.call(metadata=[("x-request-id", "mine")])
    assert await call == b"a prediction"
    assert dict(await call.trailing_metadata()) == {"x-request-id": "mine", "x-forestflow-fqrv": "o/p/0/v%201"}
    assert world.dispatcher.asked == [(PROTOBUF, REQUEST.SerializeToString(), b"mine", None)]


async def test_a_key_to_route_by_comes_in_the_metadata(world):
    await world.call(metadata=[("x-forestflow-key", "user 7")])
    await world.call()
    assert world.dispatcher.keys == ["user 7", None]


async def test_request_ids_are_made_where_there_is_none_and_cleaned(world):
    made = [dict(await call.trailing_metadata())["x-request-id"] for call in (world.call(), world.call())]
    assert len(set(made)) == 2
    forged = world.call(metadata=[("x-request-id", "a b" + "c" * 200)])
    cleaned = dict(await forged.trailing_metadata())["x-request-id"]
    assert cleaned == "ab" + "c" * 126


async def test_the_deadline_is_the_calls(world):
    await world.call(timeout=5)
    await world.call(timeout=10_000_000)
    seconds = [asked[3] for asked in world.dispatcher.asked]
    assert seconds[0] == pytest.approx(5, abs=0.5)
    assert seconds[1] == 86_400
    world.dispatcher.hold = asyncio.Event()
    assert (await world.refused(timeout=0.1)).code() is StatusCode.DEADLINE_EXCEEDED


async def test_errors_have_a_code_a_message_and_the_request_id(world):
    stranger = ScoreRequest(contract=contract_to(Contract("no", "such", 1)), request=REQUEST).SerializeToString()
    unknown = await world.refused(stranger, metadata=[("x-request-id", "mine")])
    assert (unknown.code(), unknown.details()) == (StatusCode.NOT_FOUND, "unknown contract no.such.1")
    trailers = dict(unknown.trailing_metadata())
    assert trailers.pop("x-request-id") == "mine"
    assert trailers.keys() == {"grpc-status-details-bin"}
    garbage = await world.refused(b"\xff")
    assert garbage.code() is StatusCode.INVALID_ARGUMENT
    assert garbage.details().startswith("not a ScoreRequest")


async def test_errors_have_details_that_grpcs_own_reader_takes(world):
    """``from_call`` refuses details whose code or message is not that of the call."""

    async def told(message: bytes = MESSAGE) -> list[Message]:
        call = world.call(message, metadata=[("x-request-id", "mine")])
        assert await call.code() is not StatusCode.OK
        status = await rpc_status.aio.from_call(call)
        return [unpacked(detail) for detail in status.details]

    (info,) = await told(
        ScoreRequest(contract=contract_to(Contract("no", "such", 1)), request=REQUEST).SerializeToString()
    )
    assert (info.reason, info.domain, dict(info.metadata)) == ("NOT_FOUND", "forestflow", {"requestId": "mine"})
    world.dispatcher.outcome = Reply(Code.INVALID, "größer als 9".encode(), RELEASE)
    (info,) = await told()
    assert (info.reason, dict(info.metadata)) == ("INVALID", {"requestId": "mine", "release": "o.p.0.v 1"})
    world.dispatcher.outcome = Reply(Code.EXHAUSTED, b"full", RELEASE, retry_after_seconds=0.25)
    info, retry = await told()
    assert (info.reason, retry.retry_delay.ToMilliseconds()) == ("EXHAUSTED", 250)
    world.dispatcher.outcome = Unavailable("lost")
    info, retry = await told()
    assert (info.reason, retry.retry_delay.ToMilliseconds()) == ("UNAVAILABLE", 1000)


def unpacked(detail: Any) -> Message:
    kinds = [kind for kind in (ErrorInfo, BadRequest, RetryInfo) if detail.Is(kind.DESCRIPTOR)]
    message = kinds[0]()
    assert detail.Unpack(message)
    return message


async def test_errors_of_a_replica(world):
    world.dispatcher.outcome = Reply(Code.INVALID, "größer als 9".encode(), RELEASE)
    error = await world.refused()
    assert (error.code(), error.details()) == (StatusCode.INVALID_ARGUMENT, "größer als 9")
    assert dict(error.trailing_metadata())["x-forestflow-fqrv"] == "o/p/0/v%201"
    world.dispatcher.outcome = Reply(Code.INTERNAL, ("ü" * 100_000).encode(), RELEASE)
    error = await world.refused()
    assert error.code() is StatusCode.INTERNAL, "a long message would be lost with the whole answer"
    assert error.details().startswith("ü" * 500)


async def test_who_is_told_to_come_back_is_told_when(world):
    world.dispatcher.outcome = Reply(Code.EXHAUSTED, b"full", RELEASE, retry_after_seconds=0.25)
    error = await world.refused()
    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == "250"
    world.dispatcher.outcome = QueueFull(1.5, "full")
    assert dict((await world.refused()).trailing_metadata())["grpc-retry-pushback-ms"] == "1500"
    world.dispatcher.outcome = Unavailable("lost")
    assert (await world.refused()).code() is StatusCode.UNAVAILABLE


async def test_a_fault_of_ours_tells_nothing_but_the_request_id(world, caplog):
    world.dispatcher.outcome = RuntimeError("secret")
    error = await world.refused(metadata=[("x-request-id", "mine")])
    assert error.code() is StatusCode.INTERNAL
    assert "secret" not in error.details()
    assert [record.request_id for record in caplog.records] == ["mine"]
    assert "secret" in caplog.text


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_messages_over_the_limit(world, compression):
    room = LIMIT - len(MESSAGE) - 4  # tag and length of an unknown field that fills it
    padding = bytes([15 << 3 | 2, room & 0x7F | 0x80, room >> 7 & 0x7F | 0x80, room >> 14]) + bytes(room)
    assert await world.call(MESSAGE + padding, compression=compression) == b"a prediction"
    error = await world.refused(bytes(LIMIT + 1), compression=compression)
    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    assert len(world.dispatcher.asked) == 1
    assert await world.call() == b"a prediction"


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # and SETTINGS (RFC 9113, 3.4)


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(20):
        while await reader.read(1000):
            pass
    return True


async def test_connections_over_the_cap_are_closed_and_the_others_served():
    async with World(max_connections=3) as world:
        assert await world.call() == b"a prediction"
        others = [await asyncio.open_connection(*world.endpoint) for _ in range(2)]
        for reader, writer in others:
            writer.write(PREFACE)
            assert await reader.readexactly(9)
        over = [await asyncio.open_connection(*world.endpoint) for _ in range(5)]
        for reader, writer in over:
            writer.write(PREFACE)
            assert await reader.read(1000) == b""
        assert await world.call() == b"a prediction"
        for _, writer in [*others, *over]:
            writer.close()
        async with asyncio.timeout(10):
            while True:  # there is room again as soon as gRPC has seen that they are gone
                reader, writer = await asyncio.open_connection(*world.endpoint)
                writer.write(PREFACE)
                found = await reader.read(1000)
                writer.close()
                if found:
                    break
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(("begin", "setting"), [(b"", "HANDSHAKE_SECONDS"), (PREFACE, "IDLE_SECONDS")])
async def test_connections_that_are_idle_are_closed_and_calls_go_on(monkeypatch, begin, setting):
    monkeypatch.setattr(f"forestflow.api.grpc.server.{setting}", 1.0)
    async with World() as world:
        world.dispatcher.hold = asyncio.Event()
        call = world.call()
        while not world.dispatcher.asked:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(*world.endpoint)
        writer.write(begin)
        assert await ended(reader)
        writer.close()
        world.dispatcher.hold.set()
        assert await call == b"a prediction"
        assert await world.call() == b"a prediction"


async def test_health_is_readiness(world):
    check = world.health("Check")
    for service in ("", SERVICE, CONTROL):
        assert (await check(HealthCheckRequest(service=service))).status == HealthCheckResponse.SERVING
    world.ready = False
    assert (await check(HealthCheckRequest())).status == HealthCheckResponse.NOT_SERVING
    world.ready = Unavailable("the registry is down")
    assert (await check(HealthCheckRequest())).status == HealthCheckResponse.NOT_SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(HealthCheckRequest(service="other"))
    assert caught.value.code() is StatusCode.NOT_FOUND


async def test_watchers_are_told_of_changes_and_of_the_end(world, monkeypatch):
    monkeypatch.setattr("forestflow.api.grpc.health.POLL_SECONDS", 0.01)
    world.ready = False
    watch = world.health("Watch")(HealthCheckRequest(service=SERVICE))
    stranger = world.health("Watch")(HealthCheckRequest(service="other"))
    assert (await watch.read()).status == HealthCheckResponse.NOT_SERVING
    assert (await stranger.read()).status == HealthCheckResponse.SERVICE_UNKNOWN
    world.ready = True
    assert (await watch.read()).status == HealthCheckResponse.SERVING
    async with asyncio.timeout(5):  # and not as long as a drain may take
        await world.server.stop(30)
    assert (await watch.read()).status == HealthCheckResponse.NOT_SERVING
    assert await watch.read() is grpc.aio.EOF
    assert await stranger.read() is grpc.aio.EOF


async def test_a_stop_waits_for_the_calls_under_way(world):
    world.dispatcher.hold = asyncio.Event()
    call = asyncio.ensure_future(world.call())
    while not world.dispatcher.asked:
        await asyncio.sleep(0.01)
    stop = asyncio.ensure_future(world.server.stop(30))
    await asyncio.sleep(0.05)
    assert not stop.done()
    world.dispatcher.hold.set()
    assert await call == b"a prediction"
    await stop


async def test_a_call_that_its_client_gave_up_harms_nothing(world):
    world.dispatcher.hold = asyncio.Event()
    call = world.call()
    while not world.dispatcher.asked:
        await asyncio.sleep(0.01)
    call.cancel()
    world.dispatcher.hold.set()
    assert await world.call() == b"a prediction"


async def test_reflection_names_and_describes_the_service(world):
    ask = world.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ServerReflectionRequest.SerializeToString,
        ServerReflectionResponse.FromString,
    )

    async def answers(*requests: ServerReflectionRequest) -> list[ServerReflectionResponse]:
        return [answer async for answer in ask(iter(requests))]

    listed, described = await answers(
        ServerReflectionRequest(list_services=""), ServerReflectionRequest(file_containing_symbol=SERVICE)
    )
    names = {service.name for service in listed.list_services_response.service}
    assert {SERVICE, CONTROL, "grpc.health.v1.Health"} <= names
    assert any(b"ScoreRequest" in file for file in described.file_descriptor_response.file_descriptor_proto)


async def test_a_port_that_is_taken(world):
    settings = RouterSettings("", 0, DispatchSettings("", b""))
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    try:
        endpoint = server.sockets[0].getsockname()
        with pytest.raises(OSError, match="cannot listen"):
            await serve_grpc(ControlPlane(world), world.dispatcher, settings, endpoint)
    finally:
        server.close()
