"""tf-infer's transport around a model that is not there: paths, CORS, static files, sizes, forms of errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from forestflow.api.http.admission import Admission
from forestflow.api.http.exchange import ProtocolRoute
from forestflow.api.http.hosts import HostGuard
from forestflow.api.http.tfinfer import TfInferHttp, mounted
from forestflow.codecs.envelope import unpack
from forestflow.codecs.table import TFINFER
from forestflow.dataplane.link import Reply
from forestflow.domain.errors import Code
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.refusals import UnknownContract
from forestflow.domain.tensors import IOMetadata, ModelMetadata, Signature, TensorType
from forestflow.settings.sections import TfInferSettings

CONTRACT = Contract("o", "p", 0)
FQRV = Fqrv(CONTRACT, "v1")
X = (IOMetadata("x", TensorType.Float32),)
MODEL = ModelMetadata((), (), {"run": Signature(X, X), "one/two": Signature(X, X, batched=False)}, "run")


class Model:
    """Stands for the facades: knows one contract, remembers what would be scored, answers ``reply``."""

    def __init__(self) -> None:
        self.scored: list[tuple[int, bytes]] = []
        self.reply = Reply(Code.OK, b"[1]", FQRV)

    async def model(self, contract: Contract) -> tuple[Fqrv, ModelMetadata]:
        self.route(contract)
        return FQRV, MODEL

    def route(self, contract: Contract) -> Contract:
        if contract != CONTRACT:
            raise UnknownContract(contract)
        return contract

    async def score(self, route: Any, codec: int, payload: bytes, *_: Any) -> Reply:
        self.scored.append((codec, payload))
        return self.reply


@pytest.fixture
def model() -> Model:
    return Model()


def client(model: Any, **settings: Any) -> httpx.AsyncClient:
    protocol = TfInferHttp(model, TfInferSettings(**settings))
    route = ProtocolRoute(protocol, model, Admission(HostGuard(loopback=True)), 1 << 20)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=route), base_url="http://localhost/o/p/0/infer")


@pytest.fixture
async def http(model: Model, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    web = tmp_path / "web"
    (web / "sub").mkdir(parents=True)
    (web / "index.html").write_text("<h1>ForestFlow")
    (web / "sub" / "app.js").write_text("let a")
    (tmp_path / "secret.txt").write_text("secret")
    (web / "link.txt").symlink_to(tmp_path / "secret.txt")
    async with client(model, max_body_bytes=2000, web=web) as http:
        yield http


def test_which_paths_are_its_own() -> None:
    protocol = TfInferHttp(SimpleNamespace(), TfInferSettings())
    for path in (b"/o/p/0/infer", b"/o/p/0/infer/", b"/o/p/0/infer/run", b"/o/p/12/infer/web/a/b"):
        assert protocol.claims(path)
    for path in (b"/o/p/0", b"/o/p/0/inference", b"/o/p/x/infer", b"/v2/models/7/infer", b"/o/p/0/v1/infer"):
        assert not protocol.claims(path)


async def test_lists(http: httpx.AsyncClient) -> None:
    for path in ("", "/", "/stats"):
        listed = await http.get(path)
        assert [signature["name"] for signature in listed.json()] == ["run", "one/two"]
        assert listed.headers["access-control-allow-origin"] == "*"


async def test_a_call(http: httpx.AsyncClient, model: Model) -> None:
    answer = await http.post("/run", content=b'[{"x":1}]', headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.content) == (200, b"[1]")
    assert answer.headers["x-forestflow-fqrv"] == "o/p/0/v1"
    ((codec, payload),) = model.scored
    head, body = unpack(payload)
    assert codec == TFINFER
    assert head == {"method": "run", "batched": True, "transpose": True, "inputs": {"x": [2, [-1]]}}
    assert body == b'[{"x":1}]'
    await http.post("", content=b"[{}]")
    assert unpack(model.scored[1][1])[0]["method"] == "run"


async def test_no_examples_ask_no_model(http: httpx.AsyncClient, model: Model) -> None:
    assert (await http.post("/run", content=b" [ ] ")).json() == []
    assert model.scored == []


async def test_errors(http: httpx.AsyncClient, model: Model) -> None:
    async def error(method: str, path: str, body: bytes = b"{}", status: int = 400) -> str:
        answer = await http.request(method, path, content=body)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "*"
        return answer.json()["error"]

    assert await error("POST", "/walk") == "Method walk not found"
    assert await error("POST", "/walk/on", status=404) == "no such path"
    assert await error("GET", "/run", status=404) == "no such path"
    assert await error("PUT", "/run", status=405) == "PUT is not allowed here"
    assert await error("POST", "/run", b"x" * 2001, 413) == "the body has 2001 bytes; at most 2000 are allowed"
    assert await error("POST", "http://localhost/o/p/1/infer/run", status=404) == "unknown contract o.p.1"
    assert "url_hosts" in await error("POST", "/run", b'[{"x":{"url":"http://a.example"}}]', 403)
    assert "url_hosts" in await error("POST", "/run", b'[{"x":{"\\u0075rl":"http://a.example"}}]', 403)
    assert model.scored == []
    model.reply = Reply(Code.INVALID, b"Request missing required key x for method run", FQRV)
    assert await error("POST", "/run") == "Request missing required key x for method run"
    model.reply = Reply(Code.EXHAUSTED, b"full", FQRV, retry_after_seconds=2)
    assert await error("POST", "/run", status=429) == "full"
    model.reply = Reply(Code.INTERNAL, b"the model failed", FQRV)
    assert await error("POST", "/run", status=500) == "the model failed"


async def test_pages_of_other_sites(http: httpx.AsyncClient, model: Model) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-a"}
    preflight = await http.options("/run", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert preflight.headers["access-control-allow-headers"] == "content-type,x-a"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert (await http.post("/run", content=b"[{}]", headers=origin)).status_code == 200
    async with client(model, cors=False) as closed:
        assert (await closed.post("/run", content=b"[{}]", headers=origin)).status_code == 403
        assert (await closed.options("/run")).status_code == 405
        answer = await closed.post("/run", content=b"[{}]")
        assert "access-control-allow-origin" not in answer.headers


async def test_another_host_is_refused_all_the_same(http: httpx.AsyncClient) -> None:
    assert (await http.get("", headers={"Host": "rebound.example"})).status_code == 403


async def test_static_files(http: httpx.AsyncClient, model: Model) -> None:
    for path in ("/web/", "/web/index.html"):
        page = await http.get(path)
        assert (page.text, page.headers["content-type"]) == ("<h1>ForestFlow", "text/html")
    script = await http.get("/web/sub/app.js")
    assert (script.text, script.headers["x-content-type-options"]) == ("let a", "nosniff")
    async with client(model) as without:
        assert "tf_infer_web" in (await without.get("/web/index.html")).json()["error"]


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "%2e%2e/secret.txt", "sub/../../secret.txt", "link.txt", "sub", "none", "a\x00b", "//etc/passwd"],
)
async def test_nothing_else_is_a_static_file(http: httpx.AsyncClient, path: str) -> None:
    url = httpx.URL("http://localhost/").copy_with(raw_path=b"/o/p/0/infer/web/" + path.replace("\x00", "%00").encode())
    answer = await http.get(url)
    assert answer.status_code in (400, 404)
    assert "secret" not in answer.text.replace("secret.txt", "")


async def test_objects_of_batches(model: Model) -> None:
    async with client(model, batch_transpose=False) as http:
        await http.post("/run", content=b"[]")
    assert unpack(model.scored[0][1])[0]["transpose"] is False


async def test_a_contract_at_the_root_of_a_port(model: Model) -> None:
    protocol = TfInferHttp(model, TfInferSettings())
    route = mounted(ProtocolRoute(protocol, model, Admission(HostGuard(loopback=True)), 1 << 20), CONTRACT)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=route), base_url="http://localhost") as http:
        assert len((await http.get("/")).json()) == len((await http.get("/stats")).json()) == 2
        assert (await http.post("/run", content=b"[{}]")).content == b"[1]"
        assert (await http.post("/o/p/0/score", content=b"{}")).status_code == 404
