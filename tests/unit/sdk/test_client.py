"""The client against a real server: every method, and errors with what the server said."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest

from forestflow.domain.errors import StorageFailed
from forestflow.domain.ids import Contract
from forestflow.sdk import Client, RequestRefused, ServerUnreachable
from forestflow.sdk.client import path_of
from tests.unit.api.memory_registry import MemoryRegistry
from tests.unit.api.test_control_routes import CONTRACT, CONTRACT_SETTINGS, FQRV, LOGGING, POLICY, QUICK_START

C = "samples/energy_output/0"


def test_contracts(client: Client) -> None:
    assert client.contracts() == []
    client.create_contract(C)
    assert client.contracts() == [CONTRACT]
    assert client.contract_settings(C)["expirationPolicy"] == {"KeepLatest": {"servablesToKeep": 1}}
    client.update_contract(Contract("samples", "energy_output", 0), CONTRACT_SETTINGS)
    assert client.contract_settings(C) == CONTRACT_SETTINGS


def test_releases(client: Client) -> None:
    assert client.deploy(QUICK_START) == FQRV
    assert client.deploy_as(C, "v 2/".rstrip("/"), QUICK_START)["releaseVersion"] == "v 2"
    assert [fqrv["releaseVersion"] for fqrv in client.releases(C)] == ["v 2", "v1"]
    assert (client.stats(C)[0]["scoreCount"], client.stats(C)[0]["shadowDropCount"]) == ("3", "2")
    assert client.settings_of(C, "v1") in client.servable_settings(C)
    assert client.metadata_of(C, "v1") in client.metadata(C)
    assert client.status_of(C, "v1") in client.status(C)
    assert client.status_of(C, "v1")["state"] == "AVAILABLE"
    client.update_policy(C, "v1", {**POLICY, "validityPolicy": [{"NeverValid": {}}]})
    client.update_logging(C, "v1", {**LOGGING, "logLevel": "SAMPLE"})
    client.update_shadow(C, "v1", {"enabled": True, "samplePercent": 10, "maxBacklog": 64})
    settings = client.settings_of(C, "v1")
    assert settings["shadow"] == {"enabled": True, "samplePercent": 10, "maxBacklog": 64}
    assert settings["policySettings"]["validityPolicy"] == [{"NeverValid": {}}]
    assert settings["loggingSettings"]["logLevel"] == "SAMPLE"
    assert client.delete(C, "v1") == [FQRV]


def test_health(client: Client, registry: MemoryRegistry) -> None:
    assert client.alive()
    assert client.ready()
    registry.is_ready = False
    assert not client.ready()


def test_scores(client: Client) -> None:
    answer = client.score(C, [{"a": 1.5, "b": "x"}, {"a": 2, "b": "y"}], request_id="mine", timeout=5)
    assert answer.rows == [{"Regression": 42.5, "rank": 1, "of": 9}] * 2
    assert (answer.release, answer.request_id) == (f"{C}/v1", "mine")
    columns = client.score(C, columns={"a": (1, 2, 3)}, configs={"answer-as": "v9"})
    assert (len(columns.rows), columns.release) == (3, f"{C}/v9")
    with pytest.raises(ValueError, match="either rows or columns"):
        client.score(C)


@pytest.mark.parametrize(
    ("call", "status", "code", "message"),
    [
        (lambda c: c.contract_settings(C), 404, "UnknownContract", f"there is no contract {C}"),
        (lambda c: c.settings_of(C, "v1"), 404, "UnknownServable", f"there is no release {C}/v1"),
        (
            lambda c: c.deploy({**QUICK_START, "path": "file:///missing"}),
            422,
            "CreateServableRequestInvalidError",
            "file:///missing does not exist",
        ),
        (lambda c: c.deploy({}), 400, "MALFORMED", ""),
        (lambda c: c.score_request(C, {}), 422, "INVALID", "no datum"),
    ],
)
def test_refusals(client: Client, call, status: int, code: str, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RequestRefused) as caught:
        call(client)
    refused = caught.value
    assert (refused.status, refused.code) == (status, code)
    assert message in refused.message
    assert refused.request_id
    assert str(status) in str(refused)


def test_server_errors(client: Client, registry: MemoryRegistry) -> None:
    registry.fails_with = StorageFailed("disk full")
    with pytest.raises(RequestRefused, match="507 STORAGE: disk full"):
        client.contracts()


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [(b"<html>", "502", "<html>"), (b"", "502", "no reason given"), (b'{"error": "text"}', "502", "text")],
)
def test_answers_of_something_else(body: bytes, code: str, message: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(502, content=body))
    with Client("http://x", transport=transport) as client, pytest.raises(RequestRefused) as caught:
        client.contracts()
    assert (caught.value.code, caught.value.message, caught.value.request_id) == (code, message, None)


def test_nobody_there() -> None:
    with Client("http://127.0.0.1:1") as client:
        assert not client.alive()
        with pytest.raises(ServerUnreachable, match=r"no answer from http://127\.0\.0\.1:1"):
            client.contracts()


def test_paths() -> None:
    assert path_of("a b/c%/07", "é?") == "/a%20b/c%25/07/%C3%A9%3F"
    for wrong in ("a/b", "a/b/c", "a//0", "a/b/-1", "a/b/0/v"):
        with pytest.raises(ValueError, match="organization/project/number"):
            path_of(wrong)
    for release in ("", "a/b"):
        with pytest.raises(ValueError, match="no release version"):
            path_of("a/b/0", release)


def test_the_client_is_thin() -> None:
    code = "import sys, forestflow.sdk; print([m for m in ('ray', 'numpy', 'fastapi', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
