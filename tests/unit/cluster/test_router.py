"""A router without Ray: a real port, a registry that the test plays, one replica."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from forestflow.cluster import router as module
from forestflow.cluster.router import Router
from forestflow.domain.commands import IsReady
from forestflow.domain.errors import Code, StorageFailed, Unavailable
from forestflow.domain.reports import Counts
from forestflow.settings.sections import DispatchSettings, RouterSettings
from tests.unit.api.test_shortcut import request, sums
from tests.unit.cluster.routers import PlayedRegistry, get, site
from tests.unit.dataplane.test_dispatch import SECRET, A


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "REPORT_SECONDS", 0.05)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    for name in ("freeze", "set_threshold"):
        monkeypatch.setattr(module.gc, name, lambda *_: None)


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_alive_and_ready(tmp_path):
    async with site(tmp_path) as here:
        assert (await here.ask(get("/alive"))).status == 200
        assert (await here.ask(get("/ready"))).status == 200
        here.registry.answers[IsReady] = False
        assert (await here.ask(get("/ready"))).status == 503


@pytest.mark.parametrize("fault", [Unavailable("the registry is down"), StorageFailed("full"), RuntimeError("bug")])
async def test_scoring_goes_on_whatever_the_registry_does_and_the_plan_is_followed_again(tmp_path, fault):
    async with site(tmp_path) as here:
        here.registry.down = fault
        await asyncio.sleep(0.1)
        assert sums(await here.ask(request())) == [3.0]
        refused = await here.ask(get("/contracts/list"))
        assert refused.status == {Code.UNAVAILABLE: 503, Code.STORAGE: 507}.get(getattr(fault, "code", None), 500)
        assert (await here.ask(get("/ready"))).status >= 500
        assert (await here.ask(get("/alive"))).status == 200
        here.registry.down = None
        update = here.registry.update
        here.registry.update = type(update)(2, dict.fromkeys(update.contracts))
        await asyncio.sleep(0.2)
        assert (await here.ask(request())).status == 404


@pytest.mark.parametrize("fault", [Unavailable("down"), StorageFailed("full"), RuntimeError("bug")])
async def test_a_report_that_was_not_acknowledged_is_sent_again_the_same(tmp_path, fault):
    async with site(tmp_path) as here:
        here.registry.down = fault
        assert sums(await here.ask(request())) == [3.0]
        await until(lambda: len(here.registry.reports) >= 2)
        assert sums(await here.ask(request())) == [3.0]
        here.registry.down = None
        await until(lambda: here.registry.reports[-1][1] == 2)
    reporter = here.registry.reports[0][0]
    assert {r[0] for r in here.registry.reports} == {reporter}
    by_number = {number: counts for _, number, counts in here.registry.reports}
    assert by_number == {1: {A: Counts(1, 0)}, 2: {A: Counts(1, 0)}}
    assert all(counts == by_number[number] for _, number, counts in here.registry.reports)


async def test_a_stop_answers_what_is_under_way_and_reports_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "REPORT_SECONDS", 60)
    async with site(tmp_path) as here:
        held = []
        submit = here.node.replica.submit
        here.node.replica.submit = lambda *job: held.append(job)
        chunks = request(b"", length=False, Transfer_Encoding="chunked") + b"%x\r\n%b\r\n0\r\n\r\n"
        payload = request().partition(b"\r\n\r\n")[2]
        short, general = await here.connect(), await here.connect()
        short.write(request())
        general.write(chunks % (len(payload), payload))
        await until(lambda: len(held) == 2)
        stopping = asyncio.ensure_future(asyncio.to_thread(here.router.stop))
        await asyncio.sleep(0.3)
        with pytest.raises(OSError):  # noqa: PT011  refused, or reset
            await (await here.connect()).ask(get("/alive"))
        for job in held:
            submit(*job)
        assert sums(await short.answer()) == sums(await general.answer()) == [3.0]
        await stopping
    assert [counts for _, _, counts in here.registry.reports] == [{A: Counts(2, 0)}]


async def test_a_replica_that_hangs_does_not_hold_up_a_stop(tmp_path):
    async with site(tmp_path, swallow=True, drain_seconds=1) as here:
        client = await here.connect()
        assert (await client.ask(request(X_Request_Timeout="0.1"))).status == 504
        async with asyncio.timeout(5):
            await asyncio.to_thread(here.router.stop)


async def test_a_port_that_is_taken_is_said_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = RouterSettings("127.0.0.1", taken.getsockname()[1], DispatchSettings("here", SECRET))
        router = Router(settings, PlayedRegistry().client())
        with pytest.raises(OSError, match="in use"):
            await asyncio.to_thread(router.start)


async def test_whoever_started_it_can_connect_at_once_and_several_share_a_port(tmp_path):
    async with site(tmp_path) as here:
        settings = RouterSettings("127.0.0.1", here.port, DispatchSettings("here", SECRET))
        second = Router(settings, here.registry.client())
        assert await asyncio.to_thread(second.start) == (here.host, here.port)
        for _ in range(10):
            assert json.loads((await here.ask(get("/alive"))).body) == {"status": "alive"}
        await asyncio.to_thread(second.stop)
