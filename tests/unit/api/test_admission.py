"""A head that is known is no verdict: who judges requests is asked again for each of them, by every protocol."""

from __future__ import annotations

import pytest

from forestflow.api.http import app
from forestflow.domain.errors import Malformed
from tests.unit.api.grpc_world import until
from tests.unit.api.test_observer import GENERAL, PROTOCOLS, SHORTCUT, post
from tests.unit.cluster.routers import get, site


class Tenant:
    """A judge that changes its mind."""

    def __init__(self) -> None:
        self.refuses = False
        self.asked: list[tuple[str, bytes]] = []

    def __call__(self, method, raw_path, headers):
        self.asked.append((method, raw_path))
        assert dict(headers)[b"host"] == b"localhost"
        if self.refuses:
            raise Malformed("not any more")


@pytest.fixture
def tenant(monkeypatch):
    tenant = Tenant()
    monkeypatch.setattr(app, "judges_of", lambda _: (tenant,))
    return tenant


@pytest.mark.parametrize("way", [SHORTCUT, GENERAL])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_very_next_request_with_the_same_head_is_refused(tmp_path, tenant, taken, protocol, way):
    path, body = PROTOCOLS[protocol]
    request = post(path, body, way)
    async with site(tmp_path) as here:
        client = await here.connect()
        for _ in range(3):
            assert (await client.ask(request)).status == 200
        assert taken() == (3 if way == SHORTCUT else 0)
        assert tenant.asked == [("POST", path.encode())] * 3, "once for each request"
        tenant.refuses = True
        refused = await client.ask(request)
        assert b"not any more" in refused.body
        assert refused.status == (200 if protocol == "graphpipe" else 400)  # GraphPipe's clients read their own errors
        tenant.refuses = False
        assert (await client.ask(request)).status == 200
        assert taken() == (4 if way == SHORTCUT else 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_body_in_pieces_is_judged_once(tmp_path, tenant, taken, protocol):
    path, body = PROTOCOLS[protocol]
    async with site(tmp_path) as here:
        client = await here.connect()
        client.write(post(path, body, SHORTCUT)[:-3])
        await until(lambda: bool(tenant.asked))
        client.write(body[-3:])
        assert (await client.answer()).status == 200
        assert taken() == 1
        assert len(tenant.asked) == 1


async def test_the_control_api_is_judged_and_probes_are_not(tmp_path, tenant):
    async with site(tmp_path) as here:
        tenant.refuses = True
        assert (await here.ask(get("/list"))).status == 400
        assert (await here.ask(get("/alive"))).status == 200
        assert (await here.ask(get("/ready"))).status == 200
        assert tenant.asked == [("GET", b"/list")]


async def test_who_is_refused_does_not_learn_what_there_is(tmp_path, tenant):
    tenant.refuses = True
    async with site(tmp_path) as here:
        for path, body in PROTOCOLS.values():
            known = await here.ask(post(path, body, "X-Request-Id: mine"))
            nowhere = path.replace("o/p/0", "o/p/1").replace("o.p.0", "o.p.1")
            assert await here.ask(post(nowhere, body, "X-Request-Id: mine")) == known
