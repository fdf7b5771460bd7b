"""The cap on connections, to a real router: who has to go for a new one, and how one is turned away."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass, field

import pytest

from forestflow.api.http import connection_limit as module
from forestflow.api.http.connection_limit import ConnectionLimit
from forestflow.settings.sections import TfInferSettings
from tests.unit.api.test_shortcut import BODY, request, sums
from tests.unit.cluster.routers import Client, get, site
from tests.unit.dataplane.test_dispatch import CONTRACT

TICK = 0.003  # the loop's clock goes by milliseconds


def hold_answers(here):
    """Requests stay unanswered until the function that this returns is called."""
    held, submit = [], here.node.replica.submit
    here.node.replica.submit = lambda job, priority: held.append((job, priority))

    def release():
        here.node.replica.submit = submit
        for job, priority in held:
            submit(job, priority)

    return held, release


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_longest_idle_one_goes_for_a_new_one(tmp_path):
    async with site(tmp_path, max_connections=3) as here:
        first, second, third = [await here.connect() for _ in range(3)]
        for client in (second, third, first):
            await asyncio.sleep(TICK)
            assert sums(await client.ask(request())) == [3.0]
        fourth = await here.connect()
        assert sums(await fourth.ask(request())) == [3.0]
        assert await second.closed()
        for client in (first, third, fourth):
            assert sums(await client.ask(request())) == [3.0]


@pytest.mark.parametrize("begin", [b"", request()[:30], b"\r\n"])
async def test_who_has_not_finished_a_head_is_idle(tmp_path, begin):
    async with site(tmp_path, max_connections=2) as here:
        slow, other = await here.connect(), await here.connect()
        slow.write(begin)
        await asyncio.sleep(0.05)
        assert sums(await other.ask(request())) == [3.0]
        assert sums(await here.ask(request())) == [3.0]
        assert await slow.closed()
        assert sums(await other.ask(request())) == [3.0]


@pytest.mark.parametrize("path", ["/o/p/0/score", "/o/p/0/score?x=1"])
async def test_when_all_are_busy_the_new_one_is_turned_away_and_the_others_are_served(tmp_path, path):
    async with site(tmp_path, max_connections=2) as here:
        held, release = hold_answers(here)
        clients = [await here.connect() for _ in range(2)]
        for client in clients:
            client.write(request(path=path))
        await until(lambda: len(held) == 2)
        for asked in (request(), get("/alive"), get("/v1/models/p")):
            refused = await here.connect()
            answer = await refused.ask(asked)
            assert answer.status == 503
            error = json.loads(answer.body)["error"]
            assert (error["code"], error["requestId"]) == ("UNAVAILABLE", answer.headers["x-request-id"])
            assert int(answer.headers["retry-after"]) >= 1
            assert (answer.headers["connection"], answer.headers["content-type"]) == ("close", "application/json")
            assert await refused.closed()
        release()
        for client in clients:
            assert sums(await client.answer()) == [3.0]
            assert sums(await client.ask(request(path=path))) == [3.0]
        await asyncio.sleep(0.2)  # the server looks for idle ones again
        assert sums(await here.ask(request())) == [3.0]


async def test_who_is_turned_away_and_says_nothing_is_answered_too(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEAR_SECONDS", 0.1)
    async with site(tmp_path, max_connections=1) as here:
        held, release = hold_answers(here)
        busy = await here.connect()
        busy.write(request())
        await until(lambda: held)
        silent = await here.connect()
        assert (await silent.answer()).status == 503
        assert await silent.closed()
        release()
        assert sums(await busy.answer()) == [3.0]


async def test_only_so_many_are_heard_before_they_are_turned_away(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_REFUSED", 2)
    async with site(tmp_path, max_connections=1) as here:
        held, release = hold_answers(here)
        busy = await here.connect()
        busy.write(request())
        await until(lambda: held)
        heard = [await here.connect() for _ in range(2)]
        await asyncio.sleep(0.05)
        more = [await here.connect() for _ in range(5)]
        for client in more:
            assert await client.closed()
        for client in heard:
            assert (await client.ask(request())).status == 503
        release()
        assert sums(await busy.answer()) == [3.0]


async def test_a_body_that_is_on_its_way_is_busy(tmp_path):
    async with site(tmp_path, max_connections=2) as here:
        clients = [await here.connect() for _ in range(2)]
        for client, path in zip(clients, ("/o/p/0/score", "/o/p/0/score?x=1"), strict=True):
            client.write(request(path=path)[:-5])
        await asyncio.sleep(0.05)
        assert (await here.ask(request())).status == 503
        for client in clients:
            client.write(BODY[-5:])
            assert sums(await client.answer()) == [3.0]


async def test_the_cap_is_that_of_all_ports_together(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    infer = TfInferSettings(root=CONTRACT, endpoint=("127.0.0.1", port))
    async with site(tmp_path, max_connections=2, tf_infer=infer) as here:
        first, second = await here.connect(), await here.connect()
        assert sums(await first.ask(request())) == [3.0]
        await asyncio.sleep(TICK)
        assert sums(await second.ask(request())) == [3.0]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = Client(reader, writer)
        assert (await client.ask(get("/nothing/here"))).status == 404
        assert await first.closed()
        assert sums(await second.ask(request())) == [3.0]
        writer.close()


async def test_hundreds_of_connections_leave_as_many_as_there_is_room_for(tmp_path):
    async with site(tmp_path, max_connections=20) as here:
        good = await here.connect()
        crowd = []
        for _ in range(300):
            await asyncio.sleep(TICK)
            crowd.append(await here.connect())
            if len(crowd) % 15 == 0:
                assert sums(await good.ask(request())) == [3.0]
        closed = await asyncio.gather(*[client.closed(0.5) for client in crowd])
        assert closed.count(False) == 19
        assert sums(await good.ask(request())) == [3.0]


@dataclass(eq=False)
class Played:
    """A connection that the test plays; it looks as if nothing unread were there."""

    idle_since: float | None
    closed: int = 0
    looks: list[int] = field(default_factory=list)

    @property
    def transport(self):
        return self

    def close(self):
        self.closed += 1


@pytest.fixture
def unread(monkeypatch):
    found = set()
    monkeypatch.setattr(module, "_has_unread", lambda transport: transport in found)
    return found


def test_who_has_asked_already_stays(unread):
    limit = ConnectionLimit(2)
    asked, silent = Played(1.0), Played(2.0)
    assert limit.enter(asked)
    assert limit.enter(silent)
    unread.add(asked)
    assert limit.enter(Played(3.0))
    assert (asked.closed, silent.closed, len(limit)) == (0, 1, 2)


def test_an_old_look_is_not_believed(unread):
    limit = ConnectionLimit(3)
    first, second, third = members = [Played(1.0), Played(2.0), Played(3.0)]
    for member in members:
        assert limit.enter(member)
    assert limit.enter(Played(4.0))
    assert first.closed == 1
    second.idle_since = None  # busy since the look
    limit.leave(third)
    assert limit.enter(Played(5.0))
    assert limit.enter(Played(6.0))
    assert (second.closed, third.closed, len(limit)) == (0, 0, 3)


def test_looking_for_idle_ones_takes_a_small_part_of_the_time(unread):
    """With all busy, a look at every connection for every new one would be the way to keep the server from its work."""
    now, looks = [0.0], [0]

    class Busy(Played):
        @property
        def idle_since(self):
            looks[0] += 1
            now[0] += 1e-6
            return None

        @idle_since.setter
        def idle_since(self, value):
            pass

    limit = ConnectionLimit(1000, clock=lambda: now[0])
    for _ in range(1000):
        assert limit.enter(Busy(None))
    for _ in range(10_000):
        now[0] += 1e-5
        assert not limit.enter(Busy(None))
    assert looks[0] * 1e-6 < now[0] / 10


def test_a_flood_of_idle_ones_costs_one_look_for_many(unread):
    looks = [0]

    class Counting(Played):
        @property
        def idle_since(self):
            looks[0] += 1
            return self.since

        @idle_since.setter
        def idle_since(self, value):
            self.since = value

    limit = ConnectionLimit(1000)
    for n in range(20_000):
        assert limit.enter(Counting(float(n)))
    assert len(limit) == 1000
    assert looks[0] < 20_000 * 4
