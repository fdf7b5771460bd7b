"""Bodies that come in pieces: kept until they are whole, then answered by the shortcut; or late, or not for it."""

from __future__ import annotations

import asyncio
import json
import tracemalloc

import pytest
from graphpipe import convert

from forestflow.api.http import shortcut
from forestflow.domain.commands import ListMetadata
from tests.unit.api.test_exchange import post
from tests.unit.api.test_graphpipe import message
from tests.unit.api.test_graphpipe import sums as graphpipe_sums
from tests.unit.api.test_shortcut import BODY, request, sums
from tests.unit.cluster.routers import site
from tests.unit.dataplane.test_replica import body

ROWS = 1_800
LONG = body(*[[n + 0.5, 1] for n in range(ROWS)])
SUMS = [n + 1.5 for n in range(ROWS)]


async def in_pieces(client, data, size):
    for start in range(0, len(data), size):
        client.write(data[start : start + size])
        await asyncio.sleep(0.002)


async def test_are_put_together(here, taken):
    client = await here.connect()
    for size in (400, 5_000, 50_000):
        await in_pieces(client, request(LONG), size)
        assert sums(await client.answer()) == SUMS
        assert sums(await client.ask(request())) == [3.0]
    assert taken() == 6


async def test_what_comes_right_behind_waits_for_its_turn(here, taken):
    client = await here.connect()
    stream = request(LONG) + request() + request(LONG) + request(body([5, 6]))
    await in_pieces(client, stream, 30_011)
    assert [sums(await client.answer()) for _ in range(4)] == [SUMS, [3.0], SUMS, [11.0]]
    assert taken() == 4


async def test_of_another_protocol_are_its_own_matter(here, taken):
    client = await here.connect()
    rows = message(*[[n + 0.5, 1] for n in range(500)])
    await in_pieces(client, post("/o/p/0/gp", rows), 3_000)
    assert graphpipe_sums(await client.answer()) == [[[n + 1.5] for n in range(500)]]
    assert taken() == 1
    metadata = post("/o/p/0/gp", bytes(convert.serialize_metadata_request()))
    here.registry.answers[ListMetadata] = None
    await in_pieces(client, metadata, len(metadata) - 4)  # known for what it is when it is whole
    assert (await client.answer()).status
    assert taken() == 1
    assert sums(await client.ask(request())) == [3.0]


async def test_a_late_one_is_told_so_in_its_protocol_s_form(here, monkeypatch):
    monkeypatch.setattr(shortcut, "BODY_SECONDS", 0.1)
    client = await here.connect()
    client.write(request(LONG)[:-10])
    answer = await client.answer()
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (408, "DEADLINE")
    assert answer.headers["connection"] == "close"
    assert await client.closed()
    client = await here.connect()
    client.write(post("/o/p/0/gp", message([1, 2]))[:-4])
    answer = await client.answer()
    assert answer.status == 408
    assert b"did not arrive" in graphpipe_sums(answer)[0]["message"]
    assert await client.closed()


async def test_who_leaves_meanwhile_harms_nobody(here, taken, monkeypatch):
    late = []
    monkeypatch.setattr(shortcut, "BODY_SECONDS", 0.05)
    monkeypatch.setattr(shortcut.ShortcutProtocol, "_late", lambda self: late.append(self))
    client = await here.connect()
    client.write(request(LONG)[:-10])
    await asyncio.sleep(0.02)
    client.writer.close()
    await asyncio.sleep(0.1)
    assert sums(await here.ask(request())) == [3.0]
    assert not late
    assert taken() == 1


async def test_a_contract_that_goes_meanwhile_is_unknown(here):
    client = await here.connect()
    client.write(request(LONG)[:-10])
    await asyncio.sleep(0.05)
    here.registry.update = type(here.registry.update)(2, {}, full=True)
    await asyncio.sleep(0.1)
    client.write(request(LONG)[-10:])
    assert (await client.answer()).status == 404


async def test_a_stop_answers_what_is_arriving_then_closes(tmp_path, taken):
    async with site(tmp_path) as here:
        busy, idle = await here.connect(), await here.connect()
        busy.write(request(LONG)[:-10])
        assert sums(await idle.ask(request())) == [3.0]
        stopping = asyncio.ensure_future(asyncio.to_thread(here.router.stop))
        assert await idle.closed()
        busy.write(request(LONG)[-10:])
        assert sums(await busy.answer()) == SUMS
        assert await busy.closed()
        await stopping
        assert taken() == 2


async def test_a_connection_whose_body_arrives_is_not_idle(tmp_path, monkeypatch):
    monkeypatch.setattr("forestflow.cluster.router.IDLE_SECONDS", 0.1)
    monkeypatch.setattr("forestflow.cluster.router.SWEEP_SECONDS", 0.05)
    async with site(tmp_path) as here:
        client = await here.connect()
        client.write(request(LONG)[:-10])
        await asyncio.sleep(0.4)
        client.write(request(LONG)[-10:])
        assert sums(await client.answer()) == SUMS


@pytest.mark.parametrize("size", [1, 5_000])
async def test_pieces_take_little_more_memory_than_their_bytes(size):
    timer = asyncio.get_running_loop().call_later(60, print)
    length = 200_000
    tracemalloc.start()
    try:
        arriving = shortcut._Arriving(b"head", b"", length, timer)
        for start in range(0, length + 3, size):
            whole = arriving.add(bytes(min(size, length + 3 - start)))
            assert whole == (start + size >= length)
            if whole:
                break
        assert tracemalloc.get_traced_memory()[1] < 2 * length
    finally:
        tracemalloc.stop()
        timer.cancel()
    assert b"".join(arriving.pieces) == bytes(length)


async def test_what_is_behind_a_body_is_not_of_it():
    timer = asyncio.get_running_loop().call_later(60, print)
    arriving = shortcut._Arriving(b"head", b"ab", 5, timer)
    assert not arriving.add(b"c")
    assert arriving.add(b"deXY")
    assert (b"".join(arriving.pieces), arriving.further) == (b"abcde", b"XY")
    timer.cancel()


async def test_a_whole_request_is_not_kept(here, monkeypatch):
    monkeypatch.setattr(shortcut, "_Arriving", None)
    assert sums(await here.ask(request(BODY))) == [3.0]
