"""Reported metrics, explained, simulated and past plans, and the way back: paths, statuses and JSON."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.unit.api.memory_registry import NOW, MemoryRegistry
from tests.unit.api.test_control_routes import CONTRACT, CONTRACT_SETTINGS, FQRV, POLICY, C, R, check, deployed

UPDATED = {"ServableUpdatedSuccessfully": {"fqrv": FQRV}}
UNKNOWN = {"UnknownContract": {"contract": CONTRACT}}
LINEAR = {
    "validityPolicy": [{"ImmediatelyValid": {}}],
    "phaseInPolicy": {"LinearTimeBasedPhaseIn": {"phaseInOverSecs": 100}},
}
V2 = {"contract": CONTRACT, "releaseVersion": "v2"}


async def two_releases(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    await http.post("/contract" + C, json=CONTRACT_SETTINGS)
    await deployed(http)
    registry.now_ms += 1000
    reply = await http.post("/servable" + C + "/v2", json=QUICK_START_2)
    assert reply.status_code == 200, reply.text


QUICK_START_2: dict[str, Any] = {
    "path": "file:///models",
    "flavor": {"H2OMojo": {"mojoPath": "model.zip"}},
    "servableSettings": {"policySettings": LINEAR},
}


# --- metrics ---


async def test_metrics(http: httpx.AsyncClient) -> None:
    await deployed(http)
    body = {"metrics": [{"name": "auc", "value": 0.9}, {"name": "auc", "value": 0.5, "count": 3}]}
    check(await http.post(R + "/metrics", json=body), 200, UPDATED)
    [stats] = (await http.get(C + "/stats")).json()
    assert stats["ServableMetrics"]["performanceMetrics"] == {"rmse": 0.5, "auc": 0.6}
    body = {"metrics": [{"name": "auc", "value": "0.75", "time_ms": 5}], "replace": True}
    check(await http.post(R + "/metrics", json=body), 200, UPDATED)
    [stats] = (await http.get(C + "/stats")).json()
    assert stats["ServableMetrics"]["performanceMetrics"] == {"rmse": 0.5, "auc": 0.75}


async def test_a_metric_without_a_time_is_of_now(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    await deployed(http)
    before = time.time_ns() // 1_000_000
    await http.post(R + "/metrics", json={"metrics": [{"name": "auc", "value": 1}]})
    [sample] = registry.entries[-1].event.report.samples  # type: ignore[union-attr]
    assert before <= sample.time_ms <= time.time_ns() // 1_000_000


async def test_metrics_of_an_unknown_release(http: httpx.AsyncClient) -> None:
    body = {"metrics": [{"name": "auc", "value": 0.9}]}
    check(await http.post(R + "/metrics", json=body), 404, {"UnknownServable": {"fqrv": FQRV}})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"metrics": []}, 422),
        ({"metrics": [{"name": "", "value": 1}]}, 422),
        ({"metrics": [{"name": "a", "value": "NaN"}]}, 422),
        ({"metrics": [{"name": "a", "value": "Infinity"}]}, 422),
        ({"metrics": [{"name": "a", "value": 1e300}]}, 422),
        ({"metrics": [{"name": "a", "value": 1, "count": 0}]}, 422),
        ({"metrics": [{"name": "a"}]}, 400),
        ({"metrics": [{"name": "a", "value": True}]}, 400),
        ({"metrics": {"a": 1}}, 400),
        ({"metric": []}, 400),
    ],
)
async def test_metrics_that_make_no_sense(
    http: httpx.AsyncClient, registry: MemoryRegistry, body: Any, status: int
) -> None:
    reply = await http.post(R + "/metrics", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, "INVALID" if status == 422 else "MALFORMED")
    assert registry.commands == []


# --- plan ---


async def test_plan(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    check(await http.get(C + "/plan"), 404, UNKNOWN)
    await two_releases(http, registry)
    registry.now_ms += 30_000
    first = {
        "fqrv": FQRV,
        "weight": 100,
        "share": 100 / 130,
        "shadows": True,
        "valid": True,
        "becameValidAtMS": str(NOW),
        "phaseInPct": 100,
        "rules": [{"rule": "ImmediatelyValid", "holds": True, "detail": "always holds"}],
        "reason": "valid, 100 % phased in: 100 of 130 by the LatestPhaseInPctBasedRouter",
    }
    second = {
        "fqrv": V2,
        "weight": 30,
        "share": 30 / 130,
        "shadows": False,
        "valid": True,
        "becameValidAtMS": str(NOW + 1000),
        "phaseInPct": 30,
        "rules": [{"rule": "ImmediatelyValid", "holds": True, "detail": "always holds"}],
        "reason": "valid, 30 % phased in: 30 of 130 by the LatestPhaseInPctBasedRouter",
        "changesAtMS": str(NOW + 32_000),
    }
    plan = {"contract": CONTRACT, "atMS": str(NOW + 31_000), "releases": [first, second]}
    check(await http.get(C + "/plan"), 200, {"PlanExplanation": plan})


# --- simulation ---


async def test_simulation(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    check(await http.post(C + "/plan/simulate", json={}), 404, UNKNOWN)
    await two_releases(http, registry)
    at = NOW + 1000
    steps = {"steps": [{"afterSecs": 10, "percent": 100}]}
    proposal = {
        "policies": {"v2": {**POLICY, "phaseInPolicy": {"StepPhaseIn": steps}}},
        "contract_settings": {**CONTRACT_SETTINGS, "expirationPolicy": {"MaxAge": {"maxAgeSecs": 16}}},
        "horizonSecs": "20",
    }
    points = [
        {"atMS": str(at), "shares": [{"fqrv": FQRV, "share": 1.0}], "valid": [FQRV, V2]},
        {"atMS": str(at + 10_000), "shares": [{"fqrv": V2, "share": 1.0}], "valid": [FQRV, V2]},
        {"atMS": str(at + 15_000), "shares": [{"fqrv": V2, "share": 1.0}], "valid": [V2], "expired": [FQRV]},
    ]
    reply = await http.post(C + "/plan/simulate", json=proposal)
    check(reply, 200, {"Simulation": {"contract": CONTRACT, "points": points}})
    unknown = await http.post(C + "/plan/simulate", json={"policies": {"v3": POLICY}})
    check(unknown, 404, {"UnknownServable": {"fqrv": {"contract": CONTRACT, "releaseVersion": "v3"}}})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"horizonSecs": 0}, 422),
        ({"horizonSecs": -5}, 422),
        ({"stepSecs": 0}, 422),
        ({"horizonSecs": 20_000, "stepSecs": 1}, 422),
        ({"eventsPerSecond": -1}, 422),
        ({"eventsPerSecond": "NaN"}, 422),
        ({"eventsPerSecond": 1e300}, 422),
        ({"policies": {"v1": {**POLICY, "phaseInPolicy": {"ManualPhaseIn": {"percent": 101}}}}}, 422),
        ({"policies": {"v1": {}}}, 400),
        ({"policies": {"v1": None}}, 400),
        ({"policies": []}, 400),
        ({"horizonSecs": 1.5}, 400),
        ({"horizon": 1}, 400),
        ([], 400),
    ],
)
async def test_simulations_that_make_no_sense(
    http: httpx.AsyncClient, registry: MemoryRegistry, body: Any, status: int
) -> None:
    await two_releases(http, registry)
    reply = await http.post(C + "/plan/simulate", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, "INVALID" if status == 422 else "MALFORMED")


# --- history ---


async def test_history(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    check(await http.get(C + "/history"), 404, UNKNOWN)
    await two_releases(http, registry)
    await http.post(R + "/metrics", json={"metrics": [{"name": "auc", "value": 0.5, "timeMS": 7}]})
    history = (await http.get(C + "/history")).json()["History"]
    assert history["contract"] == CONTRACT
    told = [(e["seq"], e["atMS"], e["kind"], e.get("release")) for e in history["entries"]]
    assert told == [
        ("1", str(NOW), "ContractSet", None),
        ("2", str(NOW), "ServableDeployed", "v1"),
        ("3", str(NOW), "ServableBecameValid", "v1"),
        ("4", str(NOW + 1000), "ServableDeployed", "v2"),
        ("5", str(NOW + 1000), "ServableBecameValid", "v2"),
        ("6", str(NOW + 1000), "MetricReported", "v1"),
    ]
    details = [entry["detail"] for entry in history["entries"]]
    assert details[0] == {"contract": CONTRACT, "contractSettings": CONTRACT_SETTINGS}
    assert details[2] == {"fqrv": FQRV, "atMS": NOW}
    sample = {"value": 0.5, "timeMS": 7, "count": 1}
    assert details[5] == {"fqrv": FQRV, "name": "auc", "samples": [sample], "replace": False}


@pytest.mark.parametrize(
    "at", [str(NOW), "2019-10-02T22:18:00Z", "2019-10-02t22:18:00.000z", "2019-10-03T00:18:00+02:00"]
)
async def test_the_plan_at_a_moment(http: httpx.AsyncClient, registry: MemoryRegistry, at: str) -> None:
    await two_releases(http, registry)
    await http.delete(R)
    await http.delete(C + "/v2")
    reply = await http.get(C + "/history", params={"at": at})
    assert reply.status_code == 200, reply.text
    found = reply.json()["PlanAt"]
    assert found["plan"]["atMS"] == str(NOW)
    assert [(r["fqrv"], r["share"]) for r in found["plan"]["releases"]] == [(FQRV, 1.0)]
    cause = {"seq": "3", "atMS": str(NOW), "kind": "ServableBecameValid", "release": "v1"}
    assert found["cause"] == {**cause, "detail": {"fqrv": FQRV, "atMS": NOW}}
    gone = [str(NOW - 1), str(NOW + 1000)]
    for moment in gone:
        check(await http.get(C + "/history", params={"at": moment}), 404, UNKNOWN)


async def test_a_plus_that_was_not_escaped(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    await two_releases(http, registry)
    reply = await http.get(C + "/history?at=2019-10-03T00:18:00+02:00")
    assert reply.json()["PlanAt"]["plan"]["atMS"] == str(NOW)


@pytest.mark.parametrize("at", ["", "now", "-5", "1e3", "2019-10-02", "2019-02-30T00:00:00Z", "2019-10-02T22:18:00"])
async def test_no_such_moment(http: httpx.AsyncClient, registry: MemoryRegistry, at: str) -> None:
    reply = await http.get(C + "/history", params={"at": at})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "MALFORMED")
    assert registry.commands == []


# --- rollback ---


async def test_rollback(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    check(await http.post(C + "/rollback", json={"seq": 1}), 404, UNKNOWN)
    await two_releases(http, registry)
    await http.put(R + "/policy", json={**POLICY, "validityPolicy": [{"NeverValid": {}}]})
    await http.put(C, json={**CONTRACT_SETTINGS, "router": {"FairPhaseInPctBasedRouter": {}}})
    updated = {"ContractUpdatedSuccessfully": {"contract": CONTRACT}}
    check(await http.post(C + "/rollback", json={"seq": "5"}), 200, updated)
    assert (await http.get(C + "/contract-settings")).json() == {"ContractSettings": CONTRACT_SETTINGS}
    assert (await http.get(R + "/settings")).json()["ServableSettings"]["policySettings"] == POLICY
    refused = await http.post(C + "/rollback", json={"seq": 0})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "INVALID")
    for body in ({}, {"seq": "x"}, {"to": 1}):
        assert (await http.post(C + "/rollback", json=body)).status_code == 400
