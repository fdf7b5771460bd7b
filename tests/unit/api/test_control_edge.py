"""What every request passes: limits, encodings, request ids, foreign pages, and faults that must not leak."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from forestflow.api.answers import HTTP_STATUS, retry_after
from forestflow.api.http import edge
from forestflow.api.http.admission import Admission
from forestflow.api.http.control import create_control_app
from forestflow.api.http.errors import HttpRefusal, error_answer, wants_text
from forestflow.api.http.hosts import HostGuard
from forestflow.controlplane.control import ControlPlane
from forestflow.domain.errors import (
    Code,
    DeadlineExceeded,
    Malformed,
    QueueFull,
    StorageFailed,
    TooLarge,
    Unavailable,
)
from tests.unit.api.memory_registry import MemoryRegistry
from tests.unit.api.test_control_routes import CONTRACT_SETTINGS, C

JSON = {"Content-Type": "application/json"}


def code_of(reply: httpx.Response) -> str:
    error = reply.json()["error"]
    assert error.keys() == {"code", "message", "requestId"}
    assert error["requestId"] == reply.headers["x-request-id"]
    return str(error["code"])


# --- paths and methods ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/nothing", C, C + "/nothing", "/contracts/list/", "/samples//0/list", "/docs/x"]
)
async def test_unknown_paths_and_methods_are_json(http: httpx.AsyncClient, path: str) -> None:
    reply = await http.get(path)
    assert reply.status_code in (404, 405)
    assert code_of(reply) in ("NOT_FOUND", "UNIMPLEMENTED")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/contracts/list", "GET"),
        ("GET", "/contract" + C, "DELETE, POST, PUT"),  # a release, were there an organization named contract
        ("GET", C + "/score", "DELETE, POST"),
        ("PATCH", C + "/v1/settings", "GET"),
        ("GET", "/servable", "POST"),
    ],
)
async def test_405_names_every_method_of_the_path(http: httpx.AsyncClient, method: str, path: str, allow: str) -> None:
    reply = await http.request(method, path)
    assert (reply.status_code, reply.headers["allow"]) == (405, allow)
    assert code_of(reply) == "UNIMPLEMENTED"


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "2147483648", "9" * 5000, "%D9%A3", "%20"])
async def test_a_contract_number_is_a_small_integer(http: httpx.AsyncClient, number: str) -> None:
    reply = await http.get(f"/samples/energy_output/{number}/list")
    assert (reply.status_code, code_of(reply)) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/a%2fb/p/0/list", "/a/p/0/x%2F..%2Fy/settings", "/%ff/p/0/list"])
async def test_slashes_and_broken_utf8_in_names_are_refused(
    http: httpx.AsyncClient, registry: MemoryRegistry, path: str
) -> None:
    reply = await http.get(path)
    assert (reply.status_code, code_of(reply)) == (400, "MALFORMED")
    assert registry.commands == []


@pytest.mark.parametrize("name", ["%00", "%0a", "a" * 256, "contracts"])
async def test_names_that_cannot_be_are_invalid(http: httpx.AsyncClient, name: str) -> None:
    reply = await http.get(f"/{name}/p/0/list")
    assert (reply.status_code, code_of(reply)) == (422, "INVALID")


async def test_names_are_decoded_once(http: httpx.AsyncClient) -> None:
    path = "/%C3%A9%2520t%25C3/p/0"
    assert (await http.post("/contract" + path, json=CONTRACT_SETTINGS)).status_code == 200
    [contract] = (await http.get("/contracts/list")).json()["Contracts"]["contracts"]
    assert contract["organization"] == "é%20t%C3"


# --- bodies -----------------------------------------------------------------------------------------------------------


async def test_declared_length_over_the_limit_is_refused_unread(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> bytes:
        raise AssertionError("read")

    monkeypatch.setattr(edge, "collect_body", never)
    reply = await http.post("/servable", content=b"x" * 10_001, headers=JSON)
    assert (reply.status_code, code_of(reply), reply.headers["connection"]) == (413, "TOO_LARGE", "close")


async def test_undeclared_length_is_read_to_the_limit_and_no_further(http: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1000
            yield b" " * 1000

    reply = await http.post("/servable", content=endless(), headers=JSON)
    assert (reply.status_code, code_of(reply)) == (413, "TOO_LARGE")
    assert sent <= 12_000


async def test_a_body_of_exactly_the_limit_is_read(http: httpx.AsyncClient) -> None:
    reply = await http.post("/servable", content=b" " * 10_000, headers=JSON)
    assert (reply.status_code, code_of(reply)) == (400, "MALFORMED")


async def test_a_body_that_does_not_come(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(30)

    monkeypatch.setattr(edge, "BODY_SECONDS", 0.01)
    reply = await http.post("/servable", content=slow(), headers=JSON)
    assert (reply.status_code, code_of(reply)) == (408, "DEADLINE")


async def test_a_client_that_goes_away_is_malformed() -> None:
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(Malformed, match="closed"):
        await edge.read_body({"headers": []}, gone, 10)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
async def test_415(http: httpx.AsyncClient, content_type: str) -> None:
    reply = await http.post("/servable", content=b"{}", headers={"Content-Type": content_type})
    assert (reply.status_code, code_of(reply)) == (415, "MALFORMED")


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "Application/JSON; charset=utf-8"}])
async def test_json_or_no_content_type_is_read(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await http.post("/servable", content=b"{", headers=headers)).status_code == 400


# --- request ids ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "returned"),
    [("abc-123", "abc-123"), ("a b\tc\xe9", "abc"), ("x" * 200, "x" * 128), ('"<>\\', '"<>\\')],
)
async def test_request_id_is_taken_and_cleaned(http: httpx.AsyncClient, given: str, returned: str) -> None:
    for path in ("/alive", "/nothing"):
        reply = await http.get(path, headers={b"x-request-id": given.encode("latin-1")})
        assert reply.headers["x-request-id"] == returned


async def test_request_id_is_made(http: httpx.AsyncClient) -> None:
    ids = {(await http.get("/alive", headers=h)).headers["x-request-id"] for h in ({}, {}, {"x-request-id": " "})}
    assert len(ids) == 3
    assert all(len(made) == 32 for made in ids)


# --- foreign pages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("LOCALHOST.:8090", True),
        ("127.0.0.1:8090", True),
        ("127.9.9.9", True),
        ("[::1]:8090", True),
        ("models.example", True),
        ("a.b.corp.example:1", True),
        ("corp.example", False),
        ("evilcorp.example", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.1", False),
        ("user@localhost", False),
        ("localhost/x", False),
        ("localhost:x", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_hosts_on_loopback(host: str, allowed: bool) -> None:
    guard = HostGuard(allowed=["models.example", "*.corp.example"])
    assert (guard.refusal(host.encode(), None) is None) is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:8090", True),
        ("http://localhost:3000", True),
        ("https://models.example", True),
        ("http://evil.example", False),
        ("null", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_origins(origin: str, allowed: bool) -> None:
    guard = HostGuard(allowed=["models.example"])
    assert (guard.refusal(b"localhost:8090", origin.encode()) is None) is allowed


def test_public_bind_checks_hosts_only_when_told_some() -> None:
    assert HostGuard(loopback=False).refusal(b"anything.example", None) is None
    assert HostGuard(loopback=False).refusal(b"anything.example", b"http://anything.example") is None
    assert HostGuard(loopback=False).refusal(b"anything.example", b"http://evil.example")
    assert HostGuard(loopback=False, allowed=["a.example"]).refusal(b"anything.example", None)
    assert HostGuard(loopback=False, allowed=["a.example"]).refusal(b"127.0.0.1", None) is None
    assert HostGuard(allowed=["*"]).refusal(b"anything.example", b"null") is None


async def test_foreign_pages_reach_nothing(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        reply = await http.post("/contract" + C, json=CONTRACT_SETTINGS, headers=headers)
        assert (reply.status_code, code_of(reply)) == (403, "INVALID")
        assert "access-control-allow-origin" not in reply.headers
    assert registry.commands == []
    assert (await http.get("/alive", headers={"Host": "10.1.2.3:8090"})).status_code == 200
    # the control: the same request from nowhere in particular
    assert (await http.post("/contract" + C, json=CONTRACT_SETTINGS)).status_code == 200


# --- errors -----------------------------------------------------------------------------------------------------------


def test_every_code_has_a_status() -> None:
    assert set(HTTP_STATUS) == set(Code)


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (Unavailable("the registry is down"), 503, "1"),
        (QueueFull(2.2, "too many"), 429, "3"),
        (StorageFailed("disk full"), 507, None),
        (DeadlineExceeded("late"), 504, None),
    ],
)
async def test_errors_of_the_facade(
    http: httpx.AsyncClient, registry: MemoryRegistry, error: Exception, status: int, retry: str | None
) -> None:
    registry.fails_with = error
    reply = await http.get("/contracts/list")
    assert (reply.status_code, reply.headers.get("retry-after")) == (status, retry)
    assert reply.json()["error"]["message"] == str(error)


async def test_ready_when_nobody_can_tell(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    registry.fails_with = Unavailable("the registry is down")
    assert (await http.get("/ready")).status_code == 503
    assert (await http.get("/alive")).status_code == 200


async def test_faults_of_ours_do_not_leak(
    http: httpx.AsyncClient, registry: MemoryRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.fails_with = RuntimeError("/secret/path")
    reply = await http.get("/contracts/list", headers={"X-Request-Id": "find-me"})
    assert (reply.status_code, code_of(reply)) == (500, "INTERNAL")
    assert "secret" not in reply.text
    [record] = [r for r in caplog.records if r.name == "forestflow.http"]
    assert record.exc_info
    assert record.request_id == "find-me"  # type: ignore[attr-defined]
    assert (record.method, record.path) == ("GET", "/contracts/list")  # type: ignore[attr-defined]


async def test_requests_are_logged_at_info(http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    await http.get("/alive")
    assert not caplog.records
    with caplog.at_level(logging.INFO, "forestflow.http"):
        await http.get("/%0alive")
    [record] = caplog.records
    assert (record.path, record.status) == ("/%0alive", 404)  # type: ignore[attr-defined]


async def test_errors_as_text(http: httpx.AsyncClient) -> None:
    reply = await http.get(C + "/list", headers={"Accept": "text/plain"})
    assert (reply.status_code, reply.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert reply.text == "unknown contract samples.energy_output.0\n"


@pytest.mark.parametrize(
    ("accept", "text"),
    [(None, False), ("*/*", False), ("text/plain;q=0.9, */*", True), ("text/plain, application/json", False)],
)
def test_wants_text(accept: str | None, text: bool) -> None:
    assert wants_text(accept) is text


def test_error_answers() -> None:
    refusal = error_answer(HttpRefusal(405, Code.UNIMPLEMENTED, ((b"allow", b"GET"),), "no"), "id")
    assert refusal.status == 405
    assert (b"allow", b"GET") in refusal.headers
    assert (b"content-length", str(len(refusal.body)).encode()) in refusal.headers
    assert (b"connection", b"close") in error_answer(TooLarge("big"), "id").headers
    assert retry_after(QueueFull(0.01, "full")) == 1


# --- scoring behind FastAPI -------------------------------------------------------------------------------------------


async def test_score_is_passed_on(registry: MemoryRegistry) -> None:
    async def score(request: Any) -> Response:
        return Response(await request.body(), headers={"x-fqrv": "r"})

    app = create_control_app(ControlPlane(registry), score=score)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as http:
        reply = await http.post(C + "/score", content=b"anything")
    assert (reply.content, reply.headers["x-fqrv"]) == (b"anything", "r")


async def test_without_a_scorer_score_is_unavailable(http: httpx.AsyncClient) -> None:
    assert (await http.post(C + "/score", content=b"{}")).status_code == 503


async def test_a_fault_after_the_answer_began_closes_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("late")

    async def nothing(*_: Any) -> Any:
        return None

    scope = {"type": "http", "method": "GET", "path": "/x", "raw_path": b"/x", "headers": []}
    with pytest.raises(RuntimeError, match="late"):
        await edge.Edge(half, Admission(HostGuard()))(scope, nothing, nothing)
    assert "request failed" in caplog.text


@pytest.mark.parametrize("size", [1, 2, 5_000])
async def test_a_body_in_pieces_takes_little_more_memory_than_its_bytes(size: int) -> None:
    length, left = 400_000, [400_000]

    async def receive() -> dict[str, Any]:
        piece = min(size, left[0])
        left[0] -= piece
        return {"type": "http.request", "body": bytes(piece), "more_body": left[0] > 0}

    tracemalloc.start()
    try:
        body = await edge.collect_body(receive, length)
        assert tracemalloc.get_traced_memory()[1] < 3 * length
    finally:
        tracemalloc.stop()
    assert body == bytes(length)
