"""What users see of scoring: shares, headers, deadlines, limits, errors in the original's form."""

from __future__ import annotations

import json
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving import golden, rows_body, values, wait_for

KEEP_TWO = {"expirationPolicy": {"KeepLatest": {"servablesToKeep": 2}}, "router": {"FairPhaseInPctBasedRouter": {}}}
ROWS, EXPECTED = golden()
BODY = rows_body(ROWS[:2])


def test_two_releases_share_exactly(server, contract):
    assert server.http.post(f"/contract/{contract}", json=KEEP_TWO).status_code == 200
    assert server.deploy(contract, "v1").status_code == 200
    assert server.deploy(contract, "v2", "energy_gbm_v2.zip").status_code == 200
    answers = Counter()
    for _ in range(100):
        reply = server.score(contract, BODY)
        release = reply.json()["Prediction"]["fqrv"]["releaseVersion"]
        answers[release] += 1
        assert values(reply) == pytest.approx(golden(f"energy_gbm_{release}")[1][:2], rel=1e-9)
    assert answers == {"v1": 50, "v2": 50}
    counts = {
        s["ServableMetrics"]["fqrv"]["releaseVersion"]: s["ServableMetrics"]["scoreCount"]
        for s in server.http.get(f"/{contract}/stats").json()
    }
    assert counts == {"v1": "50", "v2": "50"}


def test_latest_router_and_expiry(server, contract):
    latest = {"expirationPolicy": {"KeepLatest": {"servablesToKeep": 2}}, "router": {"LatestPhaseInPctBasedRouter": {}}}
    server.http.post(f"/contract/{contract}", json=latest)
    for release in ("v1", "v2", "v3"):
        assert server.deploy(contract, release).status_code == 200
        reply = server.score(contract, BODY)
        assert reply.json()["Prediction"]["fqrv"]["releaseVersion"] == release
    listed = server.http.get(f"/{contract}/list").json()
    assert [entry["FQRV"]["releaseVersion"] for entry in listed] == ["v2", "v3"]
    updated = server.http.put(f"/{contract}", json=KEEP_TWO)
    assert "ContractUpdatedSuccessfully" in updated.json()
    seen = {server.score(contract, BODY).json()["Prediction"]["fqrv"]["releaseVersion"] for _ in range(4)}
    assert seen == {"v2", "v3"}


def test_a_release_that_only_shadows_counts_and_never_answers(server, contract):
    server.http.post(f"/contract/{contract}", json=KEEP_TWO)
    server.deploy(contract, "v1")
    policy = {"validityPolicy": [{"NeverValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
    logging = {"logLevel": "FULL", "keyFeatures": ["id"]}
    server.deploy(contract, "dark", policySettings=policy, loggingSettings=logging)
    for _ in range(20):
        assert server.score(contract, BODY).json()["Prediction"]["fqrv"]["releaseVersion"] == "v1"

    def shaded():
        stats = server.http.get(f"/{contract}/stats").json()
        return {s["ServableMetrics"]["fqrv"]["releaseVersion"]: s["ServableMetrics"]["shadeCount"] for s in stats}

    for _ in range(50):
        if shaded()["dark"] == "20":
            break
    assert shaded() == {"v1": "0", "dark": "20"}


def test_request_id_is_taken_or_made(server, contract):
    server.deploy(contract, "v1")
    assert server.score(contract, BODY, **{"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = {server.score(contract, BODY).headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    forged = server.score(contract, BODY, **{"X-Request-Id": "a b" + "c" * 200}).headers["x-request-id"]
    assert len(forged) <= 128
    assert " " not in forged


def test_deadlines(server, contract):
    server.deploy(contract, "v1")
    late = server.score(contract, rows_body(ROWS * 10_000), **{"X-Request-Timeout": "0.001"})
    assert late.status_code == 504
    assert late.json()["error"]["requestId"] == late.headers["x-request-id"]
    for nonsense in ("0", "-1", "nan", "soon", "1e9"):
        assert server.score(contract, BODY, **{"X-Request-Timeout": nonsense}).status_code == 400
    assert server.score(contract, BODY, **{"X-Request-Timeout": "10"}).status_code == 200


def test_a_full_queue_answers_429_with_a_time_to_come_back(server, contract):
    server.deploy(contract, "v1", deploymentSettings={"maxQueued": 1})
    heavy = json.dumps(rows_body(ROWS * 2000)).encode()

    def one(_):
        with httpx.Client(base_url=server.url, timeout=60) as client:
            return client.post(f"/{contract}/score", content=heavy, headers={"Content-Type": "application/json"})

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(one, range(16)))
    statuses = Counter(r.status_code for r in replies)
    assert set(statuses) == {200, 429}, statuses
    refused = next(r for r in replies if r.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["code"] == "EXHAUSTED"
    assert server.score(contract, BODY).status_code == 200


def test_two_replicas_share_the_load(server, contract):
    assert server.deploy(contract, "v1", deploymentSettings={"replicas": 2}).status_code == 200
    status = f"/{contract}/v1/status"
    wait_for(lambda: server.http.get(status).json()["ServableStatus"]["replicas"] == ["READY", "READY"])
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: server.score(contract, BODY), range(200)))
    assert all(values(r) == pytest.approx(EXPECTED[:2], rel=1e-9) for r in replies)


BAD = {
    "no datum": ({"schema": BODY["schema"], "datum": []}, 422, "No input data provided"),
    "empty datum": ({"schema": BODY["schema"], "datum": [{}]}, 422, "No input data provided"),
    "two tensors": (
        {"schema": BODY["schema"], "datum": [{"tensors": [{"Float64": {"data": [1] * 4}}] * 2}]},
        422,
        "does not match expected number for a request 1",
    ),
    "ragged tensors": (
        {"schema": BODY["schema"], "datum": [BODY["datum"][0], {"tensors": [{"Float64": {"data": [1] * 4}}] * 2}]},
        422,
        "Number of inputs (Found min: 1 max: 2) does not match expected number for a request 1",
    ),
    "ragged rows": (
        {"schema": BODY["schema"], "datum": [BODY["datum"][0], {"tensors": [{"Float64": {"data": [1, 2]}}]}]},
        422,
        "datum 1",
    ),
    "wrong type": ({"schema": BODY["schema"], "datum": [{"tensors": [{"Float64": {"data": ["hot"]}}]}]}, 400, ""),
    "unknown field": ({**BODY, "surprise": 1}, 400, "surprise"),
    "NaN": (json.dumps(BODY).replace("33.2", "NaN").encode(), 400, ""),
    "not JSON": (b"hello", 400, ""),
    "empty": (b"", 400, ""),
    "a list": (b"[]", 400, ""),
    "invalid UTF-8": (json.dumps(BODY).encode().replace(b"33.2", b"\xff\xfe"), 400, ""),
    "deep": (b"[" * 100_000, 400, ""),
    "deep datum": (b'{"datum":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, ""),
}


@pytest.fixture(scope="module")
def bad_contract(server):
    server.deploy("tests/bad-requests/0", "v1").raise_for_status()
    yield "tests/bad-requests/0"
    server.http.delete("/tests/bad-requests/0/v1").raise_for_status()


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_get_the_originals_errors(server, bad_contract, name):
    body, status, message = BAD[name]
    reply = server.score(bad_contract, body)
    assert reply.status_code == status, reply.text
    answer = reply.json()
    if status == 422:
        assert answer["UnknownServableError"]["fqrv"]["releaseVersion"] == "v1"
        assert message in answer["UnknownServableError"]["errorMessage"]
    else:
        assert answer["error"]["code"] == "MALFORMED"
        assert answer["error"]["requestId"] == reply.headers["x-request-id"]
        assert message in answer["error"]["message"]
    assert "Traceback" not in reply.text
    assert values(server.score(bad_contract, BODY)) == pytest.approx(EXPECTED[:2], rel=1e-9)


def test_unknown_contract_and_no_active_release(server, contract):
    unknown = server.score("no/such/7", BODY)
    assert unknown.status_code == 404
    assert unknown.json() == {
        "UnknownContract": {"contract": {"organization": "no", "project": "such", "contractNumber": 7}}
    }
    server.http.post(f"/contract/{contract}", json=KEEP_TWO).raise_for_status()
    empty = server.score(contract, BODY)
    assert empty.status_code == 422
    assert list(empty.json()) == ["NoActiveServablesForContract"]
    assert server.http.get(f"/{contract}/list").status_code == 422


def test_a_body_over_the_limit_is_refused_before_it_is_read(server, bad_contract):
    path = f"/{bad_contract}/score"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {100 << 20}\r\n\r\n"
        raw.sendall(head.encode())  # and not one byte of the body
        assert raw.recv(1000).startswith(b"HTTP/1.1 413")
    chunks = (b"x" * (1 << 20) for _ in range(100))
    try:
        reply = server.http.post(path, content=chunks, headers={"Content-Type": "application/json"})
        assert reply.status_code == 413
    except httpx.WriteError:
        pass  # the server hung up on the rest, which it did not want
    assert server.score(bad_contract, BODY).status_code == 200


def test_methods_types_and_sites(server, bad_contract):
    assert server.http.get(f"/{bad_contract}/score").status_code == 405
    assert "POST" in server.http.get(f"/{bad_contract}/score").headers["allow"].split(", ")
    text = server.http.post(f"/{bad_contract}/score", content=b"{}", headers={"Content-Type": "text/csv"})
    assert text.status_code == 415
    stranger = server.score(bad_contract, BODY, Host="evil.example")
    assert stranger.status_code == 403
    assert server.score(bad_contract, BODY, Origin="http://evil.example").status_code == 403
    asks_for_text = server.http.post(
        f"/{bad_contract}/score", content=b"{", headers={"Accept": "text/plain", "Content-Type": "application/json"}
    )
    assert asks_for_text.status_code == 400


def mutations():
    text = json.dumps(BODY)
    cut = st.builds(lambda a, b: (text[:a] + text[b:]).encode(), st.integers(0, len(text)), st.integers(0, len(text)))
    poke = st.builds(
        lambda at, junk: text[:at].encode() + junk + text[at + 1 :].encode(),
        st.integers(0, len(text)),
        st.binary(max_size=4),
    )
    return st.one_of(cut, poke, st.binary(max_size=200), st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["schema", "datum", "tensors", "Float64", "data", "type", "x"]), inner),
    ).map(lambda value: json.dumps(value).encode()))  # fmt: skip


@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutations())
def test_thousands_of_strange_bodies_never_yield_a_5xx(server, bad_contract, body):
    reply = server.score(bad_contract, body)
    assert reply.status_code in (200, 400, 422), (reply.status_code, reply.text)
    reply.json()
