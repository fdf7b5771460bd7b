"""Every route of the control API: paths, methods, statuses and the original's JSON."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from forestflow.domain.commands import UpdateServable
from tests.unit.api.memory_registry import MemoryRegistry

CONTRACT = {"organization": "samples", "project": "energy_output", "contractNumber": 0}
FQRV = {"contract": CONTRACT, "releaseVersion": "v1"}
C = "/samples/energy_output/0"
R = C + "/v1"

POLICY: dict[str, Any] = {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
LOGGING = {"logLevel": "FULL", "keyFeatures": ["reqid"]}
CONTRACT_SETTINGS: dict[str, Any] = {
    "expirationPolicy": {"KeepLatest": {"servablesToKeep": 2}},
    "router": {"LatestPhaseInPctBasedRouter": {}},
}
DEFAULT_CONTRACT_SETTINGS: dict[str, Any] = {
    "expirationPolicy": {"KeepLatest": {"servablesToKeep": 1}},
    "router": {"FairPhaseInPctBasedRouter": {}},
}
# The quick start's deploy, with the casing it uses.
QUICK_START: dict[str, Any] = {
    "path": "file:///models",
    "fqrv": {
        "contract": {"organization": "samples", "project": "energy_output", "contract_number": 0},
        "release_version": "v1",
    },
    "flavor": {"H2OMojo": {"mojoPath": "model.zip", "version": "3.22.0.2"}},
    "servableSettings": {"policySettings": POLICY, "loggingSettings": LOGGING},
}


async def deployed(http: httpx.AsyncClient) -> None:
    reply = await http.post("/servable", json=QUICK_START)
    assert reply.status_code == 200, reply.text


def check(reply: httpx.Response, status: int, body: Any) -> None:
    assert (reply.status_code, reply.json()) == (status, body)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"]


async def test_quick_start(http: httpx.AsyncClient) -> None:
    check(await http.get("/contracts/list"), 200, {"Contracts": {"contracts": []}})
    check(await http.post("/servable", json=QUICK_START), 200, {"ServableCreatedSuccessfully": {"fqrv": FQRV}})
    again = await http.post("/servable", json=QUICK_START)
    assert again.status_code == 409
    assert again.json()["ServableAlreadyExistsError"]["fqrv"] == FQRV
    check(await http.get("/contracts/list"), 200, {"Contracts": {"contracts": [CONTRACT]}})
    check(await http.delete(R), 200, {"ServablesDeletedSuccessfully": {"fqrv": [FQRV]}})
    check(await http.get("/contracts/list"), 200, {"Contracts": {"contracts": []}})


async def test_address_in_the_path_counts_before_the_body(http: httpx.AsyncClient) -> None:
    reply = await http.post("/servable/samples/other/7/v%202", json=QUICK_START)
    fqrv = {"contract": {"organization": "samples", "project": "other", "contractNumber": 7}, "releaseVersion": "v 2"}
    check(reply, 200, {"ServableCreatedSuccessfully": {"fqrv": fqrv}})


@pytest.mark.parametrize("put", ["/contract" + C, C])
async def test_contracts(http: httpx.AsyncClient, put: str) -> None:
    check(await http.put(put, json=CONTRACT_SETTINGS), 404, {"UnknownContract": {"contract": CONTRACT}})
    created = {"ContractCreatedSuccessfully": {"contract": CONTRACT}}
    check(await http.post("/contract" + C, json=DEFAULT_CONTRACT_SETTINGS), 200, created)
    again = await http.post("/contract" + C, json=DEFAULT_CONTRACT_SETTINGS)
    refusal = {"ContractValidationError": {"contract": CONTRACT, "msg": "contract already exists"}}
    check(again, 422, refusal)
    check(await http.get(C + "/c-settings"), 200, {"ContractSettings": DEFAULT_CONTRACT_SETTINGS})
    check(await http.put(put, json=CONTRACT_SETTINGS), 200, {"ContractUpdatedSuccessfully": {"contract": CONTRACT}})
    check(await http.get(C + "/contract-settings"), 200, {"ContractSettings": CONTRACT_SETTINGS})


@pytest.mark.parametrize("name", ["list", "releases"])
async def test_releases(http: httpx.AsyncClient, name: str) -> None:
    await deployed(http)
    check(await http.get(f"{C}/{name}"), 200, [{"FQRV": FQRV}])


@pytest.mark.parametrize("name", ["list", "releases", "stats", "s-settings", "servable-settings"])
async def test_422_where_a_contract_has_no_release(http: httpx.AsyncClient, name: str) -> None:
    check(await http.get(f"{C}/{name}"), 404, {"UnknownContract": {"contract": CONTRACT}})
    await http.post("/contract" + C, json=CONTRACT_SETTINGS)
    check(await http.get(f"{C}/{name}"), 422, {"NoActiveServablesForContract": {"contract": CONTRACT}})


@pytest.mark.parametrize("name", ["metadata", "status"])
async def test_metadata_and_status_of_an_empty_contract(http: httpx.AsyncClient, name: str) -> None:
    check(await http.get(f"{C}/{name}"), 404, {"UnknownContract": {"contract": CONTRACT}})
    await http.post("/contract" + C, json=CONTRACT_SETTINGS)
    check(await http.get(f"{C}/{name}"), 200, [])


async def test_stats(http: httpx.AsyncClient) -> None:
    await deployed(http)
    metrics = {
        "fqrv": FQRV,
        "scoreCount": "3",
        "shadeCount": "1",
        "createdAtMS": "1570054677899",
        "performanceMetrics": {"rmse": 0.5},
        "becameValidAtMS": "1570054677902",
        "currentPhaseInPct": 100,
        "shadowDropCount": "2",
    }
    check(await http.get(C + "/stats"), 200, [{"ServableMetrics": metrics}])


@pytest.mark.parametrize("name", ["s-settings", "servable-settings"])
async def test_servable_settings(http: httpx.AsyncClient, name: str) -> None:
    await deployed(http)
    [listed] = (await http.get(f"{C}/{name}")).json()
    one = (await http.get(R + "/settings")).json()
    assert listed == one
    assert one["ServableSettings"]["policySettings"] == POLICY


async def test_metadata(http: httpx.AsyncClient) -> None:
    await deployed(http)
    one = (await http.get(R + "/metadata")).json()
    assert one["BasicMetaData"]["fqrv"] == FQRV
    assert one["BasicMetaData"]["inputs"][0]["shape"] == ["4"]
    check(await http.get(C + "/metadata"), 200, [one])


async def test_status(http: httpx.AsyncClient) -> None:
    await deployed(http)
    status = {"ServableStatus": {"fqrv": FQRV, "state": "AVAILABLE", "desiredReplicas": 1, "replicas": ["READY"]}}
    check(await http.get(R + "/status"), 200, status)
    check(await http.get(C + "/status"), 200, [status])


@pytest.mark.parametrize("name", ["policy", "policy-settings"])
async def test_update_policy(http: httpx.AsyncClient, name: str) -> None:
    await deployed(http)
    policy = {
        "validityPolicy": [{"NeverValid": {}}],
        "phaseInPolicy": {"LinearTimeBasedPhaseIn": {"phaseInOverSecs": 9}},
    }
    check(await http.put(f"{R}/{name}", json=policy), 200, {"ServableUpdatedSuccessfully": {"fqrv": FQRV}})
    assert (await http.get(R + "/settings")).json()["ServableSettings"]["policySettings"] == policy


@pytest.mark.parametrize("name", ["logging", "logging-settings"])
async def test_update_logging(http: httpx.AsyncClient, name: str) -> None:
    await deployed(http)
    logging = {"logLevel": "SAMPLE", "keyFeatures": ["a", "b"]}
    check(await http.put(f"{R}/{name}", json=logging), 200, {"ServableUpdatedSuccessfully": {"fqrv": FQRV}})
    settings = (await http.get(R + "/settings")).json()["ServableSettings"]
    assert settings["loggingSettings"].items() >= logging.items()
    assert settings["policySettings"] == POLICY


@pytest.mark.parametrize("name", ["shadow", "shadow-settings"])
async def test_update_shadow(http: httpx.AsyncClient, name: str) -> None:
    await deployed(http)
    before = (await http.get(R + "/settings")).json()["ServableSettings"]
    shadow = {"enabled": True, "samplePercent": 10, "maxBacklog": 5}
    check(await http.put(f"{R}/{name}", json=shadow), 200, {"ServableUpdatedSuccessfully": {"fqrv": FQRV}})
    assert (await http.get(R + "/settings")).json()["ServableSettings"] == {**before, "shadow": shadow}
    check(await http.put(f"{R}/{name}", json={}), 200, {"ServableUpdatedSuccessfully": {"fqrv": FQRV}})
    assert (await http.get(R + "/settings")).json()["ServableSettings"] == before


@pytest.mark.parametrize(
    ("shadow", "status", "reason"),
    [
        ({"samplePercent": 101}, 422, "samplePercent must be in 0..100, got 101"),
        ({"maxBacklog": -1}, 422, "maxBacklog must be in 0..1000000, got -1"),
        ({"percent": 10}, 400, "percent"),
        ({"enabled": "perhaps"}, 400, "enabled"),
    ],
)
async def test_shadow_settings_that_make_no_sense(
    http: httpx.AsyncClient, registry: MemoryRegistry, shadow: Any, status: int, reason: str
) -> None:
    await deployed(http)
    reply = await http.put(f"{R}/shadow", json=shadow)
    assert reply.status_code == status
    assert reason in reply.json()["error"]["message"]
    assert not any(isinstance(command, UpdateServable) for command in registry.commands)


@pytest.mark.parametrize("name", ["metadata", "settings", "status"])
async def test_unknown_release(http: httpx.AsyncClient, name: str) -> None:
    check(await http.get(f"{R}/{name}"), 404, {"UnknownServable": {"fqrv": FQRV}})


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("policy", POLICY),
        ("policy-settings", POLICY),
        ("logging", LOGGING),
        ("logging-settings", LOGGING),
        ("shadow", {}),
        ("shadow-settings", {}),
    ],
)
async def test_update_of_an_unknown_release(http: httpx.AsyncClient, name: str, body: Any) -> None:
    check(await http.put(f"{R}/{name}", json=body), 404, {"UnknownServable": {"fqrv": FQRV}})


async def test_deleting_an_unknown_release_succeeds(http: httpx.AsyncClient) -> None:
    check(await http.delete(R), 200, {"ServablesDeletedSuccessfully": {"fqrv": [FQRV]}})


async def test_failed_deploy_says_why(http: httpx.AsyncClient) -> None:
    reply = await http.post("/servable", json={**QUICK_START, "path": "file:///missing"})
    assert reply.status_code == 422
    error = reply.json()["CreateServableRequestInvalidError"]
    assert error["errorMessage"] == "file:///missing does not exist"
    assert error["serveRequest"]["Basic"]["path"] == "file:///missing"


async def test_settings_for_an_existing_contract(http: httpx.AsyncClient) -> None:
    await deployed(http)
    reply = await http.post("/servable" + C + "/v2", json={**QUICK_START, "contractSettings": CONTRACT_SETTINGS})
    assert reply.status_code == 422
    assert reply.json()["ContractValidationError"]["contract"] == CONTRACT


async def test_health(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    check(await http.get("/alive"), 200, {"status": "alive"})
    check(await http.get("/ready"), 200, {"status": "ready"})
    registry.is_ready = False
    check(await http.get("/ready"), 503, {"status": "not ready"})
    check(await http.get("/alive"), 200, {"status": "alive"})
    assert (await http.head("/ready")).status_code == 503


async def test_malformed_and_senseless_bodies(http: httpx.AsyncClient, registry: MemoryRegistry) -> None:
    for body, status, code in [
        (b"{", 400, "MALFORMED"),
        (b"", 400, "MALFORMED"),
        (b"[]", 400, "MALFORMED"),
        (b'{"nonsense": 1}', 400, "MALFORMED"),
        (b'{"keyFeatures": [], "logLevel": "\xff"}', 400, "MALFORMED"),
        (
            json.dumps({"expirationPolicy": {"KeepLatest": {"servablesToKeep": 0}}, "router": {}}).encode(),
            422,
            "INVALID",
        ),
    ]:
        reply = await http.post("/contract" + C, content=body, headers={"Content-Type": "application/json"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), body
    assert registry.commands == []
