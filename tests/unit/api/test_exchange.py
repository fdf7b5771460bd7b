"""The way in of further protocols, through a real router and TensorFlow Serving's REST: everything in its own form."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace

import pytest

from forestflow.api.http import further_docs
from forestflow.api.http.exchange import ProtocolRoute
from forestflow.dataplane import dispatch
from forestflow.dataplane.records import split
from forestflow.domain.commands import ListMetadata, ListStatus
from forestflow.domain.errors import Unavailable
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.lifecycle import ServableState
from forestflow.domain.plan import ContractPlan, PlanUpdate
from forestflow.domain.reports import ServableMetadata, ServableStatus
from forestflow.domain.routing import StickyChooser
from forestflow.domain.settings import Routing, ServableSettings
from tests.unit.cluster.routers import PlayedRegistry, get, site
from tests.unit.dataplane.test_dispatch import CONTRACT, A, plan, release

SUMS = json.dumps({"instances": [[1, 2], [3, 4.5]]}).encode()
OURS = ("/v1/", "/hopsworks-api/")
PATH = "/v1/models/o.p.0:predict"


def post(path=PATH, body=SUMS, *headers, host="localhost"):
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def told(answer):
    assert answer.headers["content-type"] == "application/json"
    return json.loads(answer.body)


async def test_an_answer_and_what_its_headers_say(tmp_path):
    async with site(tmp_path) as here:
        for path in (PATH, "/V1/Models/o.p.0:PREDICT", "/v1/models/p:predict", "/v1/models/p%3Apredict"):
            answer = await here.ask(post(path, SUMS, "Content-Type: text/plain", "X-Request-Id: mine"))
            assert (answer.status, told(answer)) == (200, {"predictions": [[3.0], [7.5]]})
            assert answer.headers["x-request-id"] == "mine"
            assert answer.headers["x-forestflow-fqrv"] == "o/p/0/a"


async def test_a_body_in_chunks(tmp_path):
    async with site(tmp_path) as here:
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (SUMS[:7], SUMS[7:])) + b"0\r\n\r\n"
        assert told(await here.ask(head + chunks)) == {"predictions": [[3.0], [7.5]]}


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        (post(host="evil.example"), 403, "the Host header names another server"),
        (post(PATH, SUMS, "Origin: http://evil.example"), 403, "web pages of another site"),
        (post(PATH, b" " * 2000), 413, "at most 1024 are allowed"),
        (post(PATH, SUMS, "X-Request-Timeout: soon"), 400, "X-Request-Timeout must be seconds"),
        (post("/v1/models/a%2Fb:predict"), 400, "an encoded slash"),
        (post("/v1/models/a%ffb:predict"), 400, "not UTF-8"),
        (post(PATH, b"nonsense"), 400, "JSON Parse error"),
        (post(PATH, b'{"instances": [-1]}'), 400, "a negative number"),
        (post(PATH, b'{"instances": [[13]]}'), 500, "the model failed"),
        (post("/v1/models/o.p.1:predict"), 404, "Servable not found for request: Latest(o.p.1)"),
        (post("/v1/models/o.p.0/versions/b:predict"), 404, "Servable not found for request: Specific(o.p.0, b)"),
        (post("/v1/models/o.p.0"), 400, "Malformed request: POST /v1/models/o.p.0"),
        (get("/v1/models"), 400, "Missing model name in request."),
        (get("/v1/nothing"), 400, "Malformed request: GET /v1/nothing"),
    ],
)
async def test_every_refusal_is_in_the_protocols_form(tmp_path, asked, status, message):
    async with site(tmp_path, max_body_bytes=1024) as here:
        answer = await here.ask(asked)
        assert answer.status == status
        document = told(answer)
        assert document.keys() == {"error"}
        assert message in document["error"]
        assert answer.headers["x-request-id"]
        assert ("connection" in answer.headers) == (status == 413)


async def test_a_full_queue_and_a_deadline(tmp_path):
    async with site(tmp_path, swallow=True, dispatch={"max_queued": 1}) as here:
        waiting = await here.connect()
        waiting.write(post(PATH, SUMS, "X-Request-Timeout: 5"))
        async with asyncio.timeout(5):
            while (full := await here.ask(post(PATH, SUMS, "X-Request-Timeout: 0.05"))).status != 429:
                assert full.status == 504  # it was there first
        assert "full" in told(full)["error"]
        assert full.headers["retry-after"] == "1"
    async with site(tmp_path, swallow=True) as here:
        late = await here.ask(post(PATH, SUMS, "X-Request-Timeout: 0.05"))
        assert (late.status, "deadline" in told(late)["error"]) == (504, True)


async def test_a_contract_without_a_valid_release(tmp_path):
    async with site(tmp_path) as here:
        dormant = replace(release(A, here.node), weight=0)
        here.registry.update = PlanUpdate(2, {CONTRACT: ContractPlan(CONTRACT, (dormant,))})
        async with asyncio.timeout(5):
            while (answer := await here.ask(post())).status == 200:
                await asyncio.sleep(0.01)
        assert (answer.status, told(answer)["error"]) == (404, "Servable not found for request: Latest(o.p.0)")
        stable = await here.ask(post("/v1/models/o.p.0/labels/stable:predict"))
        assert (stable.status, told(stable)["error"]) == (404, "Servable not found for request: Latest(o.p.0)")
        # who names it is past the policies
        assert told(await here.ask(post("/v1/models/o.p.0/versions/a:predict"))) == {"predictions": [[3.0], [7.5]]}


async def test_an_alias(tmp_path):
    aliases = {"sums": CONTRACT, "gone": Contract("o", "gone", 0), "\ufffd": CONTRACT}
    async with site(tmp_path, model_aliases=aliases) as here:
        assert (await here.ask(post("/v1/models/sums:predict"))).status == 200
        assert (await here.ask(post("/v1/models/gone:predict"))).status == 404
        assert (await here.ask(post("/v1/models/%EF%BF%BD:predict"))).status == 200
        assert (await here.ask(post("/v1/models/%FF:predict"))).status == 400  # decoded, it would look the same


async def test_what_the_registry_knows_is_asked_again_when_there_are_other_replicas(tmp_path):
    registry = PlayedRegistry()
    asked = []

    def metadata(command):
        asked.append(command.contract)
        return [ServableMetadata(A, ServableSettings(), here.node.model.metadata)]

    registry.answers[ListMetadata] = metadata
    registry.answers[ListStatus] = lambda _: [ServableStatus(A, ServableState.FAILED, 1, (), "no such file")]
    async with site(tmp_path, registry=registry) as here:
        for _ in range(3):
            document = told(await here.ask(get("/v1/models/o.p.0/metadata")))
            assert list(document["metadata"]["signature_def"]["signature_def"]) == ["serving_default"]
        assert asked == [CONTRACT]
        (version,) = told(await here.ask(get("/v1/models/o.p.0")))["model_version_status"]
        assert version["state"] == "END"
        assert version["status"] == {"error_code": "UNKNOWN", "error_message": "no such file"}
        plan = registry.update.contracts[CONTRACT]
        (release,) = plan.releases
        replicas = (*release.replicas, replace(release.replicas[0], replica_id="another"))
        plan = replace(plan, releases=(replace(release, replicas=replicas),))
        registry.update = replace(registry.update, version=2, contracts={CONTRACT: plan})
        async with asyncio.timeout(5):
            while len(asked) == 1:
                await here.ask(get("/v1/models/o.p.0/metadata"))
        registry.down = Unavailable("the registry is down")
        answer = await here.ask(get("/v1/models/o.p.0"))
        assert (answer.status, told(answer)) == (503, {"error": "the registry is down"})
        assert answer.headers["retry-after"] == "1"


async def test_a_model_that_is_not_loaded_tells_nothing(tmp_path):
    registry = PlayedRegistry()
    registry.answers[ListMetadata] = lambda _: []
    async with site(tmp_path, registry=registry) as here:
        answer = await here.ask(get("/v1/models/o.p.0/metadata"))
        assert (answer.status, told(answer)) == (503, {"error": "no release of o.p.0 is loaded"})


async def test_a_fault_of_ours_is_told_by_its_id_alone(tmp_path):
    registry = PlayedRegistry()
    registry.answers[ListStatus] = lambda _: [None]
    async with site(tmp_path, registry=registry) as here:
        answer = await here.ask(get("/v1/models/o.p.0"))
        assert answer.status == 500
        assert "request id" in told(answer)["error"]


async def test_every_path_of_the_api_page_is_answered(tmp_path):
    values = {"model": "o.p.0", "version": "a", "label": "stable", "project_id": "119"}
    registry = PlayedRegistry()
    registry.answers[ListMetadata] = lambda _: [ServableMetadata(A, ServableSettings(), here.node.model.metadata)]
    registry.answers[ListStatus] = lambda _: [ServableStatus(Fqrv(CONTRACT, "a"), ServableState.AVAILABLE, 1)]
    async with site(tmp_path, registry=registry) as here:
        here.registry.update = plan(release(A, here.node))
        ours = {path: methods for path, methods in further_docs.paths().items() if path.startswith(OURS)}
        assert len(ours) == 16
        for path, methods in ours.items():
            for method in methods:
                address = re.sub(r"\{(\w+)\}", lambda name: values[name[1]], path)
                answer = await here.ask(post(address) if method == "post" else get(address))
                needs_signature = "Expected" in answer.body.decode()  # the model has none for this verb
                assert answer.status == (400 if needs_signature else 200), (path, answer.body)
                assert needs_signature == path.endswith((":classify", ":regress"))


async def test_nobody_can_tell_the_shortcut_from_the_general_case(tmp_path, monkeypatch):
    general = []
    call = ProtocolRoute.__call__

    async def counted(self, *asgi):
        general.append(asgi)
        await call(self, *asgi)

    monkeypatch.setattr(ProtocolRoute, "__call__", counted)
    bodies = [SUMS, b"", b"nonsense", b'{"instances": [[-1]]}', b'{"instances": [[13]]}', b"[]", b'{"inputs": [[1]]}']
    async with site(tmp_path) as here:
        for body in bodies:
            direct = await here.ask(post(PATH, body, "X-Request-Id: mine"))
            assert not general
            other = await here.ask(post(PATH, body, "X-Request-Id: mine", "X-Anything: else"))
            assert general.pop()
            assert direct == other
        client = await here.connect()  # heads that were seen before, pipelined, in pieces
        client.write(post() * 3 + post()[:50])
        answers = [await client.answer() for _ in range(3)]
        assert not general
        client.write(post()[50:])
        answers.append(await client.answer())
        assert not general
        assert [told(answer) for answer in answers] == [{"predictions": [[3.0], [7.5]]}] * 4
        # a head is judged again when the Plan changes
        gone = replace(release(A, here.node), weight=0)
        here.registry.update = PlanUpdate(2, {CONTRACT: ContractPlan(CONTRACT, (gone,))})
        async with asyncio.timeout(5):
            while (answer := await here.ask(post())).status == 200:
                await asyncio.sleep(0.01)
        assert told(answer) == {"error": "Servable not found for request: Latest(o.p.0)"}
        here.registry.update = PlanUpdate(3, {CONTRACT: None})
        general.clear()
        async with asyncio.timeout(5):
            while not general:
                answer = await here.ask(post())
        assert told(answer) == {"error": "Servable not found for request: Latest(o.p.0)"}


async def test_a_name_that_comes_to_mean_another_contract(tmp_path):
    async with site(tmp_path) as here:
        client = await here.connect()
        assert (await client.ask(post("/v1/models/p:predict"))).status == 200
        other = Contract("other", "p", 0)
        here.registry.update = PlanUpdate(2, {other: ContractPlan(other, ())})
        async with asyncio.timeout(5):
            while (answer := await client.ask(post("/v1/models/p:predict"))).status == 200:
                await asyncio.sleep(0.01)
        assert told(answer) == {"error": "Servable not found for request: Latest(p)"}


async def test_records_of_one_request_may_go_different_ways(tmp_path, monkeypatch):
    """A contract that routes by record: the router reads the body, and answers it in the form in which it came."""
    divided = []

    def noted(*given):
        divided.append(split(*given))
        return divided[-1]

    monkeypatch.setattr(dispatch, "split", noted)
    async with site(tmp_path) as here:
        by_record = ContractPlan(CONTRACT, (release(A, here.node),), routing=Routing.RECORD)
        here.registry.update = PlanUpdate(2, {CONTRACT: by_record})
        async with asyncio.timeout(5):
            while not divided:
                answer = await here.ask(post(PATH, json.dumps({"inputs": [[1, 2], [3, 4]]}).encode()))
        assert told(answer) == {"outputs": [[3.0], [7.0]]}
        refused = await here.ask(post(PATH, b'{"instances": [[-1]]}'))
        assert (refused.status, told(refused)) == (400, {"error": "a negative number"})


async def test_the_key_of_the_header_counts(tmp_path, monkeypatch):
    keys = []
    choose = StickyChooser.choose

    def noted(self, key):
        keys.append(key)
        return choose(self, key)

    monkeypatch.setattr(StickyChooser, "choose", noted)
    async with site(tmp_path) as here:
        sticky = ContractPlan(CONTRACT, (release(A, here.node),), sticky_key="user")
        here.registry.update = PlanUpdate(2, {CONTRACT: sticky})
        async with asyncio.timeout(5):
            while not keys:
                assert (await here.ask(post(PATH, SUMS, "X-ForestFlow-Key: ann"))).status == 200
        for path in (PATH, "/V1/models/o.p.0:predict"):  # the second goes the general way
            assert (await here.ask(post(path, SUMS, "X-ForestFlow-Key: bob"))).status == 200
            assert (await here.ask(post(path, SUMS))).status == 200
        assert keys == ["ann", "bob", "bob"]
