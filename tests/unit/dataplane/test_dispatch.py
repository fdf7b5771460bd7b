"""The dispatcher and its links against real sockets and real replicas, in one process."""

from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import replace

import pytest
from google.protobuf import json_format

from forestflow._gen.inference_pb2 import InferenceRequest
from forestflow.codecs.table import BASIC, PROTOBUF
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.dataplane.host import ReplicaProtocol
from forestflow.dataplane.lane import SHADOWS_ON_THE_WAY
from forestflow.dataplane.pulse import MEMORY, Pulse, pulse_path
from forestflow.dataplane.replica import Replica
from forestflow.dataplane.watchdog import REASON_AT
from forestflow.domain.errors import Code, DeadlineExceeded, OutOfMemory, Quarantined, QueueFull, Unavailable
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.plan import ContractPlan, PlanUpdate, ReleasePlan, ReplicaAddress
from forestflow.domain.refusals import NoActiveServables, UnknownContract, UnknownServable
from forestflow.domain.reports import Counts
from forestflow.domain.settings import Merging, Routing
from forestflow.settings.sections import DispatchSettings
from tests.unit.dataplane.models import SumModel
from tests.unit.dataplane.test_replica import body

CONTRACT = Contract("o", "p", 0)
A, B, C = Fqrv(CONTRACT, "a"), Fqrv(CONTRACT, "b"), Fqrv(CONTRACT, "c")
SECRET = b"s" * 32
BODY = body([1, 2])


class Node:
    """One replica on a Unix socket and on TCP; its connections can be cut, its model stopped."""

    def __init__(self, directory, fqrv, name, secret=SECRET):
        self.fqrv, self.name, self.secret = fqrv, name, secret
        self.path = str(directory / f"{name}.sock")
        self.model = SumModel()
        self.connections = []
        self.swallow = False  # take requests and never answer
        self.merging = None

    async def start(self):
        loop = asyncio.get_running_loop()
        self.replica = Replica(self.model, self.fqrv, max_queued=100, merging=self.merging)
        if self.swallow:
            self.replica.submit = lambda job, priority: None
        self.servers = [
            await loop.create_unix_server(self._protocol, self.path),
            await loop.create_server(self._protocol, "127.0.0.1", 0),
        ]
        port = self.servers[1].sockets[0].getsockname()[1]
        self.address = ReplicaAddress(self.name, "here", self.path, f"127.0.0.1:{port}")
        return self

    def _protocol(self):
        protocol = ReplicaProtocol(self.replica, self.secret, 1 << 20)
        self.connections.append(protocol)
        return protocol

    async def die(self):
        for server in self.servers:
            server.close()
        for connection in self.connections:
            if hasattr(connection, "_transport"):  # else it is only about to be made
                connection._transport.abort()
        self.connections.clear()
        await asyncio.sleep(0.02)  # for the other ends to notice


@pytest.fixture
async def world(tmp_path):
    """``await world(name, fqrv)`` starts a replica; ``world.dispatcher(...)`` a dispatcher. All end with the test."""
    started, dispatchers = [], []

    class World:
        async def replica(self, name, fqrv=A, **options):
            node = Node(tmp_path, fqrv, name, options.pop("secret", SECRET))
            node.swallow = options.pop("swallow", False)
            node.merging = options.pop("merging", None)
            started.append(await node.start())
            return node

        def dispatcher(self, **options):
            dispatcher = Dispatcher(DispatchSettings("here", SECRET, **options))
            dispatchers.append(dispatcher)
            return dispatcher

    yield World()
    for dispatcher in dispatchers:
        dispatcher.close()
    for node in started:
        await node.die()
    await asyncio.sleep(0.02)


def plan(*releases, version=1, full=False):
    return PlanUpdate(version, {CONTRACT: ContractPlan(CONTRACT, releases)}, full)


def release(fqrv, *nodes, weight=100, **options):
    return ReleasePlan(fqrv, weight, replicas=tuple(n.address for n in nodes), **options)


async def score(dispatcher, payload=BODY, timeout=5.0):
    return await dispatcher.score(dispatcher.route(CONTRACT), BASIC, payload, b"id", timeout)


def total(reply):
    assert reply.code == Code.OK, reply.payload
    return json.loads(reply.payload)["Prediction"]["datum"][0]["tensors"][0]["Float64"]["data"][0]


async def test_scores_and_counts(world):
    node = await world.replica("1")
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, node)))
    assert total(await score(dispatcher)) == 3.0
    reply = await score(dispatcher, b"{")
    assert (reply.code, reply.fqrv) == (Code.MALFORMED, A)
    assert dispatcher.take_counts() == {A: Counts(1, 0)}
    assert dispatcher.take_counts() == {}
    dispatcher.return_counts({A: Counts(1, 2)})
    assert dispatcher.take_counts() == {A: Counts(1, 2)}


async def test_a_replica_on_another_node_is_reached_over_tcp(world):
    node = await world.replica("1")
    node.address = ReplicaAddress("1", "elsewhere", "/does/not/exist", node.address.tcp)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, node)))
    assert total(await score(dispatcher)) == 3.0


async def test_requests_split_by_weight_exactly(world):
    one, two = await world.replica("1", A), await world.replica("2", B)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, one, weight=75), release(B, two, weight=25)))
    replies = await asyncio.gather(*(score(dispatcher) for _ in range(40)))
    assert [r.fqrv for r in replies].count(A) == 30


async def test_two_replicas_share_by_queue_length(world):
    nodes = [await world.replica("1"), await world.replica("2")]
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, *nodes)))
    await score(dispatcher)
    await asyncio.sleep(0.05)  # both links are up
    await asyncio.gather(*(score(dispatcher) for _ in range(20)))
    assert all(sum(n.model.calls) >= 9 for n in nodes)


async def test_unknown_contract_and_no_active_release(world):
    dispatcher = world.dispatcher()
    with pytest.raises(UnknownContract):
        dispatcher.route(CONTRACT)
    dispatcher.apply(plan())
    with pytest.raises(NoActiveServables):
        await score(dispatcher)
    dispatcher.apply(PlanUpdate(2, {CONTRACT: None}))
    with pytest.raises(UnknownContract):
        dispatcher.route(CONTRACT)


async def test_a_full_plan_forgets_what_it_does_not_name(world):
    dispatcher = world.dispatcher()
    dispatcher.apply(plan())
    route = dispatcher.route(CONTRACT)
    dispatcher.apply(PlanUpdate(2, {}, full=True))
    assert route.gone
    with pytest.raises(UnknownContract):
        dispatcher.route(CONTRACT)


async def test_requests_lost_with_a_replica_are_sent_to_another(world):
    stuck, good = await world.replica("1", swallow=True), await world.replica("2")
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, stuck)))
    waiting = [asyncio.ensure_future(score(dispatcher)) for _ in range(5)]
    await asyncio.sleep(0.05)
    dispatcher.apply(plan(release(A, stuck, good), version=2))
    await asyncio.sleep(0.05)
    await stuck.die()
    assert [total(await w) for w in waiting] == [3.0] * 5


async def test_requests_wait_for_the_only_replica_to_come_back(world):
    node = await world.replica("1")
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, node)))
    await score(dispatcher)
    await node.die()
    waiting = asyncio.ensure_future(score(dispatcher))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await node.start()
    assert total(await waiting) == 3.0


async def test_a_request_that_lost_two_replicas_is_given_up(world):
    stuck = await world.replica("1", swallow=True)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, stuck)))
    waiting = asyncio.ensure_future(score(dispatcher))
    for _ in range(2):
        await asyncio.sleep(0.05)
        await stuck.die()
        await stuck.start()
    with pytest.raises(Unavailable, match="2 replicas"):
        await waiting


async def test_deadlines_hold_whatever_the_replica_does(world):
    stuck = await world.replica("1", swallow=True)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, stuck)))
    with pytest.raises(DeadlineExceeded, match="model answered"):
        await score(dispatcher, timeout=0.1)
    await stuck.die()
    with pytest.raises(DeadlineExceeded, match="no replica"):
        await score(dispatcher, timeout=0.1)


async def test_the_release_s_own_deadline_applies_when_the_request_gives_none(world):
    stuck = await world.replica("1", swallow=True)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, stuck, timeout_seconds=0.1)))
    with pytest.raises(DeadlineExceeded):
        await score(dispatcher, timeout=None)


async def test_queues_are_bounded(world):
    stuck = await world.replica("1", swallow=True)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, stuck, max_queued=2)))
    await asyncio.sleep(0.05)
    waiting = [asyncio.ensure_future(score(dispatcher)) for _ in range(3)]
    with pytest.raises(QueueFull) as full:
        await waiting[2]
    assert full.value.retry_after_seconds == 1.0
    await stuck.die()  # now nobody is there: at most max_queued may wait for its return
    with pytest.raises(QueueFull, match="no replica"):
        await score(dispatcher)
    for task in waiting[:2]:
        task.cancel()


async def test_shadows_get_the_same_bytes_and_nobody_waits_for_them(world):
    user, shadow = await world.replica("1", A), await world.replica("2", B)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, user), release(B, shadow, weight=0, shadow=True)))
    await asyncio.sleep(0.05)
    assert total(await score(dispatcher)) == 3.0
    await asyncio.sleep(0.05)
    assert shadow.model.calls == [1]
    assert dispatcher.take_counts() == {A: Counts(1, 0), B: Counts(0, 1)}


def sticky_plan(*releases, version=1):
    return PlanUpdate(version, {CONTRACT: ContractPlan(CONTRACT, releases, sticky_key="user")})


async def test_keys_stick_and_only_the_necessary_share_of_them_moves(world):
    one, two = await world.replica("1", A), await world.replica("2", B)
    dispatcher = world.dispatcher()

    async def ask(key, codec):
        payload = body([1, 2], configs={"user": key})
        if codec == PROTOBUF:
            payload = json_format.ParseDict(json.loads(payload), InferenceRequest()).SerializeToString()
        return (await dispatcher.score(dispatcher.route(CONTRACT), codec, payload, b"id", 5.0)).fqrv

    seen = []
    for version, weight in enumerate((100, 50), 1):
        dispatcher.apply(sticky_plan(release(A, one, weight=weight), release(B, two, weight=100), version=version))
        seen.append([await ask(f"user {n}", BASIC) for n in range(300)])
        assert [await ask(f"user {n}", PROTOBUF) for n in range(300)] == seen[-1]
    before, after = seen
    assert all(new is B or old is A for old, new in zip(before, after, strict=True)), "nobody moved to A"
    moved = sum(old is not new for old, new in zip(before, after, strict=True))
    assert moved == pytest.approx(300 * (1 / 2 - 1 / 3), abs=25)


async def test_a_sticky_contract_refuses_what_is_malformed_like_any_other(world):
    node = await world.replica("1")
    dispatcher = world.dispatcher()
    dispatcher.apply(sticky_plan(release(A, node)))
    for codec in (BASIC, PROTOBUF):
        reply = await dispatcher.score(dispatcher.route(CONTRACT), codec, b"\xff{", b"id", 5.0)
        assert (reply.code, reply.fqrv) == (Code.MALFORMED, A)
    dispatcher.apply(sticky_plan(release(A, node, weight=0), version=2))
    with pytest.raises(NoActiveServables):
        await score(dispatcher)


def release_of(dispatcher, fqrv):
    return dispatcher.route(CONTRACT).releases[fqrv]


async def shaded(dispatcher, fqrv, wanted):
    """Wait until so many shadows of the release came back."""
    async with asyncio.timeout(5):
        while release_of(dispatcher, fqrv).lane.shaded < wanted:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("percent", [0, 1, 10, 33, 50, 99, 100])
async def test_a_sample_of_the_requests_is_shadowed_exactly(world, percent):
    user, shadow = await world.replica("1", A), await world.replica("2", B)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, user), release(B, shadow, weight=0, shadow=True, sample_percent=percent)))
    await asyncio.sleep(0.05)
    for n in range(1, 201):
        await score(dispatcher)
        assert sum(shadow.model.calls) in (n * percent // 100 - 1, n * percent // 100)  # one may be on its way
    await shaded(dispatcher, B, 2 * percent)
    assert dispatcher.take_counts() == {A: Counts(200, 0), **({B: Counts(0, 2 * percent)} if percent else {})}
    assert release_of(dispatcher, B).lane.dropped == 0


async def test_a_release_does_not_shadow_what_it_answers(world):
    nodes = [await world.replica("1", A), await world.replica("2", B)]
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, nodes[0], weight=50, shadow=True), release(B, nodes[1], weight=50, shadow=True)))
    await asyncio.sleep(0.05)
    for _ in range(20):
        await score(dispatcher)
    await shaded(dispatcher, A, 10)
    await shaded(dispatcher, B, 10)
    assert dispatcher.take_counts() == {A: Counts(10, 10), B: Counts(10, 10)}


async def test_shadows_without_room_are_dropped_and_counted_and_users_never_notice(world):
    """The release shadows and answers; its replica hangs. The place in its queue is for users alone."""
    user, stuck = await world.replica("1", A), await world.replica("2", B, swallow=True)
    dispatcher = world.dispatcher()
    shadowing = release(B, stuck, weight=0, shadow=True, max_backlog=3, max_queued=2)
    dispatcher.apply(plan(release(A, user), shadowing))
    await asyncio.sleep(0.05)
    room = 3 + SHADOWS_ON_THE_WAY
    for _ in range(room + 5):
        assert total(await score(dispatcher)) == 3.0
    release_b = release_of(dispatcher, B)
    assert release_b.lane.dropped == 5
    dispatcher.apply(plan(replace(shadowing, weight=100, shadow=False), version=2))
    waiting = asyncio.ensure_future(score(dispatcher))
    await asyncio.sleep(0.02)
    assert not waiting.done(), "shadows filled the queue of users"
    waiting.cancel()
    await stuck.die()
    assert release_b.lane.dropped == 5 + room, "none is sent again"


async def test_a_big_shadow_half_way_through_is_in_the_way_of_no_user(world):
    user, shadow = await world.replica("1", A), await world.replica("2", B)
    came_by = []
    submit = shadow.replica.submit
    shadow.replica.submit = lambda job, priority: (came_by.append(job.send.__self__), submit(job, priority))
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, user), release(B, shadow, weight=0, shadow=True)))
    await asyncio.sleep(0.05)
    await score(dispatcher)
    await shaded(dispatcher, B, 1)
    came_by[0]._transport.pause_reading()
    await score(dispatcher, body(*[[1, 2]] * 15_000))
    assert release_of(dispatcher, B).lane.ready[0].unsent > 0, "the shadow is on its way"
    dispatcher.apply(plan(release(A, user, weight=0), release(B, shadow, shadow=True), version=2))
    assert total(await score(dispatcher, timeout=1)) == 3.0
    came_by[0]._transport.resume_reading()
    await shaded(dispatcher, B, 2)


async def test_shadows_sent_before_their_connection_is_up_wait_for_it(world):
    user, shadow = await world.replica("1", A), await world.replica("2", B)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, user)))
    await asyncio.sleep(0.05)
    dispatcher.apply(plan(release(A, user), release(B, shadow, weight=0, shadow=True), version=2))
    sent = [asyncio.ensure_future(score(dispatcher)) for _ in range(SHADOWS_ON_THE_WAY + 2)]
    await asyncio.sleep(0)  # they are on their way; nobody had time to connect
    assert not release_of(dispatcher, B).lane.ready
    assert release_of(dispatcher, B).lane.dropped == 2, "only so many wait"
    await asyncio.gather(*sent)
    await shaded(dispatcher, B, SHADOWS_ON_THE_WAY)


async def test_shadows_that_the_replica_drops_or_has_no_time_for_are_counted(world):
    user, shadow = await world.replica("1", A), await world.replica("2", B)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, user), release(B, shadow, weight=0, shadow=True, max_backlog=0)))
    await asyncio.sleep(0.05)
    assert total(await score(dispatcher)) == 3.0
    await asyncio.sleep(0.05)
    assert release_of(dispatcher, B).lane.dropped == 1
    await shadow.die()
    assert total(await score(dispatcher)) == 3.0
    assert release_of(dispatcher, B).lane.dropped == 2
    assert dispatcher.take_counts() == {A: Counts(2), B: Counts(shadows_dropped=2)}
    assert dispatcher.take_counts() == {}


async def test_a_changed_backlog_holds_in_replicas_that_run_and_in_those_that_reconnect(world):
    """The pump of the shadow is stopped, so that what it was sent waits."""
    user, shadow = await world.replica("1", A), await world.replica("2", B)
    pumps = []
    shadow.replica._call_soon = pumps.append
    dispatcher = world.dispatcher()
    shadowing = release(B, shadow, weight=0, shadow=True, max_backlog=4)
    dispatcher.apply(plan(release(A, user), shadowing))
    await asyncio.sleep(0.05)

    async def send(requests):
        for _ in range(requests):
            await score(dispatcher)
        await asyncio.sleep(0.05)

    await send(5)
    assert dispatcher.take_counts() == {A: Counts(5), B: Counts(shadows_dropped=1)}
    dispatcher.apply(plan(release(A, user), replace(shadowing, max_backlog=1), version=2))
    await asyncio.sleep(0.05)
    assert dispatcher.take_counts() == {B: Counts(shadows_dropped=3)}, "those that wait over it go at once"
    dispatcher.apply(plan(release(A, user), replace(shadowing, max_backlog=3), version=3))
    await send(4)
    assert dispatcher.take_counts() == {A: Counts(4), B: Counts(shadows_dropped=2)}
    shadow.replica.limit_backlog(0)  # as one that was started anew knows nothing of it, and has nothing
    for connection in shadow.connections:
        connection._transport.abort()
    await asyncio.sleep(0.1)
    assert dispatcher.take_counts() == {B: Counts(shadows_dropped=3)}
    await send(3)
    assert dispatcher.take_counts() == {A: Counts(3)}


async def test_a_shadow_that_cannot_be_sent_fails_no_user(world, monkeypatch):
    user, shadow = await world.replica("1", A), await world.replica("2", B)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, user), release(B, shadow, weight=0, shadow=True)))
    await asyncio.sleep(0.05)
    monkeypatch.setattr(release_of(dispatcher, B), "shade", lambda *_: 1 / 0)
    assert total(await score(dispatcher)) == 3.0


async def test_a_release_that_leaves_the_plan_finishes_what_it_has(world):
    node = await world.replica("1")
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, node)))
    await score(dispatcher)
    waiting = asyncio.ensure_future(score(dispatcher))
    await asyncio.sleep(0)  # it is sent
    dispatcher.apply(PlanUpdate(2, {CONTRACT: None}))
    assert total(await waiting) == 3.0
    await asyncio.sleep(0.1)
    assert not dispatcher.busy


async def test_what_waits_for_a_release_that_leaves_goes_to_one_that_stays(world):
    coming, stays = await world.replica("1", A), await world.replica("2", B)
    await coming.die()
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, coming), release(B, stays, weight=0)))
    waiting = [asyncio.ensure_future(score(dispatcher)) for _ in range(3)]
    only = asyncio.ensure_future(dispatcher.score(dispatcher.route(CONTRACT), BASIC, BODY, b"id", 5, only=A))
    await asyncio.sleep(0.02)
    assert not any(each.done() for each in [*waiting, only])
    dispatcher.apply(PlanUpdate(2, {CONTRACT: ContractPlan(CONTRACT, (release(B, stays),))}))
    assert [total(reply) for reply in await asyncio.gather(*waiting)] == [3.0] * 3
    assert {reply.fqrv for reply in await asyncio.gather(*waiting)} == {B}
    with pytest.raises(Unavailable, match="is gone"):
        await only


async def test_what_a_leaving_release_loses_goes_to_one_that_stays(world):
    stuck, stays = await world.replica("1", A, swallow=True), await world.replica("2", B)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, stuck), release(B, stays, weight=0)))
    await asyncio.sleep(0.05)
    waiting = asyncio.ensure_future(score(dispatcher))
    await asyncio.sleep(0.02)
    dispatcher.apply(PlanUpdate(2, {CONTRACT: ContractPlan(CONTRACT, (release(B, stays),))}))
    await asyncio.sleep(0.02)
    assert not waiting.done(), "it may finish where it is"
    await stuck.die()
    assert (await waiting).fqrv == B


async def test_a_replica_of_another_cluster_is_not_believed(world):
    stranger = await world.replica("1", secret=b"x" * 32)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, stranger)))
    with pytest.raises(DeadlineExceeded):
        await score(dispatcher, timeout=0.2)
    assert stranger.model.calls == []


async def test_a_replica_drops_peers_that_do_not_prove_themselves(world):
    node = await world.replica("1")
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n" * 10, b"\x05\x00\x00\x00hello", b"\x31\x00\x00\x00\x02" + b"0" * 48):
        reader, writer = await asyncio.open_unix_connection(node.path)
        hello = await reader.readexactly(4 + 1 + 16)
        assert hello[4] == 1
        writer.write(nonsense)
        with pytest.raises((ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
    assert node.model.calls == []


async def test_reached_waits_for_a_version(world):
    dispatcher = world.dispatcher()
    waiting = asyncio.ensure_future(dispatcher.reached(5))
    dispatcher.apply(plan(version=4))
    await asyncio.sleep(0)
    assert not waiting.done()
    dispatcher.apply(plan(version=5))
    await asyncio.wait_for(waiting, 1)


async def test_one_release_answers_whatever_its_weight(world):
    valid, coming, shadow = await world.replica("1", A), await world.replica("2", B), await world.replica("3", C)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, valid), release(B, coming, weight=0), release(C, shadow, weight=0, shadow=True)))
    route = dispatcher.route(CONTRACT)
    for _ in range(3):
        reply = await dispatcher.score(route, BASIC, BODY, b"id", 5.0, only=B)
        assert (total(reply), reply.fqrv) == (3.0, B)
    assert dispatcher.take_counts() == {B: Counts(3, 0)}
    assert shadow.model.calls == []  # what is past the policies is past the shadows, too


async def test_one_release_that_cannot_answer(world):
    node = await world.replica("1", A)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, node), release(B, weight=0)))
    route = dispatcher.route(CONTRACT)
    for only, error in ((C, UnknownServable), (B, Unavailable), (Fqrv(Contract("o", "x", 0), "a"), UnknownContract)):
        with pytest.raises(error):
            await dispatcher.score(route, BASIC, BODY, b"id", 5.0, only=only)
    assert set(dispatcher.contracts) == {CONTRACT}


async def test_who_answers_changes_when_the_new_replica_is_connected(world):
    """Before, the old one answers; and the first request after need not wait."""
    old, new = await world.replica("1"), await world.replica("2", B)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, old)))
    coming = plan(release(B, new), version=2)
    meeting = asyncio.ensure_future(dispatcher.meet(coming, 5.0))
    assert (await score(dispatcher)).fqrv == A
    await meeting
    assert (await score(dispatcher)).fqrv == A
    links = dict(dispatcher.route(CONTRACT).releases[B].links)
    dispatcher.apply(coming)
    made = dispatcher.route(CONTRACT).releases[B]
    assert made.links == links, "not once more"
    assert made.ready
    assert (await score(dispatcher)).fqrv == B


async def test_a_replica_that_is_not_there_is_waited_for_once_and_not_for_long(world):
    old, dead = await world.replica("1"), await world.replica("2", B)
    await dead.die()
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, old)))
    coming = plan(release(A, old), release(B, dead), version=2)
    await asyncio.wait_for(dispatcher.meet(coming, 0.01), 5)
    await asyncio.wait_for(dispatcher.meet(coming, 60), 5)
    dispatcher.apply(coming)
    assert (await score(dispatcher)).fqrv in (A, B)


async def test_a_release_keeps_its_replicas_until_the_plan_that_takes_them_is_applied(world):
    old, new = await world.replica("1"), await world.replica("2", B)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, old)))
    assert (await score(dispatcher)).fqrv == A
    await dispatcher.meet(plan(release(A, weight=0), release(B, new), version=2), 5.0)
    assert (await score(dispatcher)).fqrv == A


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


SLOW = Merging(max_wait_ms=10_000)  # a replica with it leaves its requests in the queue


async def test_a_request_that_is_given_up_leaves_the_replicas_queue(world):
    node = await world.replica("1", merging=SLOW)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, node)))
    asking = [asyncio.ensure_future(score(dispatcher)) for _ in range(3)]
    await until(lambda: node.replica.waiting == (3, 0))
    asking[1].cancel()
    await until(lambda: node.replica.waiting == (2, 0))
    await until(lambda: release_of(dispatcher, A).unscored == 1)
    asking[0].cancel()
    asking[2].cancel()
    await until(lambda: not release_of(dispatcher, A).busy)
    assert node.model.calls == []
    assert dispatcher.take_counts() == {A: Counts(unscored=3)}


async def test_what_is_answered_with_504_leaves_the_replicas_queue(world):
    """Its clock at the replica may have begun late, when the frame was read."""
    node = await world.replica("1", merging=SLOW)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, node)))
    patient = asyncio.ensure_future(score(dispatcher))
    hasty = asyncio.ensure_future(score(dispatcher, timeout=0.2))
    await until(lambda: node.replica.waiting == (2, 0))
    with pytest.raises(DeadlineExceeded):
        await hasty
    await until(lambda: node.replica.waiting == (1, 0))
    patient.cancel()


async def test_all_parts_of_a_request_are_given_up(world):
    nodes = [await world.replica("1", A, merging=SLOW), await world.replica("2", B, merging=SLOW)]
    dispatcher = world.dispatcher()
    releases = (release(A, nodes[0], weight=50), release(B, nodes[1], weight=50))
    dispatcher.apply(PlanUpdate(1, {CONTRACT: ContractPlan(CONTRACT, releases, routing=Routing.RECORD)}))
    asking = asyncio.ensure_future(score(dispatcher, body([1, 2], [3, 4])))
    await until(lambda: [node.replica.waiting for node in nodes] == [(1, 0)] * 2)
    asking.cancel()
    await until(lambda: [node.replica.waiting for node in nodes] == [(0, 0)] * 2)
    failing = asyncio.ensure_future(score(dispatcher, body([1, 2], [3, 4])))
    await until(lambda: [node.replica.waiting for node in nodes] == [(1, 0)] * 2)
    nodes[0].replica.cancel(nodes[0].connections[0]._reply)  # an error for one part
    assert (await failing).code == Code.DEADLINE
    await until(lambda: nodes[1].replica.waiting == (0, 0))


async def test_parked_requests_that_are_given_up_or_late_make_room(world):
    node = await world.replica("1")
    dispatcher = world.dispatcher(max_queued=2)
    await node.die()
    dispatcher.apply(plan(release(A, node)))
    first, second = asyncio.ensure_future(score(dispatcher)), asyncio.ensure_future(score(dispatcher, timeout=0.1))
    with pytest.raises(DeadlineExceeded, match="no replica"):
        await second  # though the one before it has more time
    await until(lambda: len(release_of(dispatcher, A).parked) == 1)
    first.cancel()
    await until(lambda: not release_of(dispatcher, A).parked)
    await node.start()
    assert total(await score(dispatcher)) == 3.0
    assert node.model.calls == [1]
    assert dispatcher.take_counts() == {A: Counts(1, unscored=2)}


async def test_a_replica_that_let_a_deadline_pass_is_avoided_until_it_answers(world):
    stuck, good = await world.replica("1", merging=Merging(max_wait_ms=400)), await world.replica("2")
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, stuck)))
    await until(lambda: release_of(dispatcher, A).ready)
    stuck.replica.cancel = lambda send, numbers=None: None
    with pytest.raises(DeadlineExceeded):
        await score(dispatcher, timeout=0.05)
    dispatcher.apply(plan(release(A, stuck, good), version=2))
    found = release_of(dispatcher, A)
    await until(lambda: [link.address.replica_id for link in found.ready] == ["2"])
    await until(lambda: {link.address.replica_id for link in found.ready} == {"1", "2"})


async def test_without_another_the_replica_that_lets_deadlines_pass_is_still_asked(world):
    stuck = await world.replica("1", swallow=True)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, stuck)))
    for _ in range(2):
        with pytest.raises(DeadlineExceeded, match="model answered"):
            await score(dispatcher, timeout=0.1)


class Victim:
    """A replica that takes requests, and dies over the one that a test names."""

    def __init__(self, node, dispatcher):
        self.node, self.dispatcher = node, dispatcher

    async def die(self, *payloads, reason=None):
        found = release_of(self.dispatcher, A)
        await until(lambda: found.ready)
        (link,) = found.ready
        running = [number for number, out in link.outstanding.items() if out.payload in payloads]
        assert len(running) == len(payloads)
        pulse = Pulse(pulse_path(self.node.path), 30.0)
        pulse.run(running, 1.0)
        if reason is not None:
            struct.pack_into("<Qd", pulse._page, REASON_AT, reason, float(64 << 20))
        await self.node.die()
        await self.node.start()
        await until(lambda: found.ready)


@pytest.fixture
async def victim(world):
    node = await world.replica("1", swallow=True)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, node)))
    return Victim(node, dispatcher)


async def test_who_only_waited_is_sent_as_often_as_it_takes_and_who_ran_is_refused(victim):
    poison, innocent = body([6, 6]), BODY
    asking = [asyncio.ensure_future(score(victim.dispatcher, payload)) for payload in (poison, innocent)]
    await asyncio.sleep(0.05)
    await victim.die(poison)
    await victim.die(poison)
    with pytest.raises(Unavailable, match="2 replicas"):
        await asking[0]
    with pytest.raises(Quarantined, match="two replicas"):
        await score(victim.dispatcher, poison)
    await victim.die()
    victim.node.swallow = False
    await victim.die()
    assert total(await asking[1]) == 3.0
    assert victim.dispatcher.take_counts() == {A: Counts(1, refused=1)}


async def test_a_request_that_hung_and_was_answered_with_504_is_suspected_all_the_same(victim):
    poison = body([6, 6])
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            await score(victim.dispatcher, poison, timeout=0.1)
        await victim.die(poison)
    with pytest.raises(Quarantined):
        await score(victim.dispatcher, poison)


async def test_who_was_merged_with_the_culprit_runs_alone_the_next_time(victim):
    asking = [asyncio.ensure_future(score(victim.dispatcher, body([n, n]))) for n in range(3)]
    await asyncio.sleep(0.05)
    victim.node.swallow = False
    await victim.die(body([0, 0]), body([1, 1]))
    assert [total(await one) for one in asking] == [0.0, 2.0, 4.0]
    assert victim.node.model.calls == [1, 1, 1]
    assert not release_of(victim.dispatcher, A).quarantine.suspects, "their answers clear them"


async def test_out_of_memory_is_answered_at_once_and_others_are_sent_again(victim):
    bomb = body([6, 6])
    asking = [asyncio.ensure_future(score(victim.dispatcher, payload)) for payload in (bomb, BODY)]
    await asyncio.sleep(0.05)
    victim.node.swallow = False
    await victim.die(bomb, reason=MEMORY)
    with pytest.raises(OutOfMemory, match="64 MiB"):
        await asking[0]
    assert total(await asking[1]) == 3.0
    assert victim.node.model.calls == [1]


async def test_what_a_router_left_behind_does_not_run_when_the_router_is_gone(world):
    node = await world.replica("1", merging=SLOW)
    dispatcher = world.dispatcher()
    dispatcher.apply(plan(release(A, node)))
    asking = asyncio.ensure_future(score(dispatcher))
    await until(lambda: node.replica.waiting == (1, 0))
    dispatcher.close()
    await until(lambda: node.replica.waiting == (0, 0))
    asking.cancel()
    assert node.model.calls == []
