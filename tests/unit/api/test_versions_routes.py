"""The routes of version directories."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.unit.api.test_control_routes import CONTRACT, CONTRACT_SETTINGS, POLICY, C, check

UNKNOWN = {"UnknownContract": {"contract": CONTRACT}}
PAYLOAD: dict[str, Any] = {
    "path": "file:///Models/mnist",
    "fqrv": {"contract": CONTRACT},
    "flavor": {"TensorFlow": {"modelPath": "."}},
    "servableSettings": {"policySettings": POLICY},
    "versions": {"latest": {}},
}
STATUS = {
    "contract": CONTRACT,
    "path": "file:///Models/mnist",
    "policy": {"latest": {"count": 1}},
    "pollSeconds": 2.0,
    "versions": [{"version": "7", "state": "AVAILABLE"}],
    "lookedAtMS": "1570054680000",
}


async def test_watch_look_change_and_end(http: httpx.AsyncClient) -> None:
    check(await http.get(C + "/versions"), 404, UNKNOWN)
    check(await http.post("/servable", json=PAYLOAD), 200, {"VersionsStatus": STATUS})
    check(await http.get(C + "/versions"), 200, {"VersionsStatus": STATUS})
    policy = {"specific": {"versions": ["1", "3"]}}
    changed = {**STATUS, "policy": policy, "pollSeconds": 9.5}
    update = {"versions": policy, "pollSeconds": 9.5}
    check(await http.put(C + "/versions", json=update), 200, {"VersionsStatus": changed})
    everything = {**changed, "policy": {"all": {}}}
    check(await http.put(C + "/versions", json={"versions": {"all": {}}}), 200, {"VersionsStatus": everything})
    check(await http.delete(C + "/versions"), 200, {"ContractUpdatedSuccessfully": {"contract": CONTRACT}})
    gone = await http.get(C + "/versions")
    assert gone.status_code == 404
    assert "no version directories" in gone.json()["error"]["message"]
    kinds = [entry["kind"] for entry in (await http.get(C + "/history")).json()["History"]["entries"]]
    assert kinds == ["ContractSet", *["VersionsWatched"] * 3, "VersionsUnwatched"]


@pytest.mark.parametrize("fqrv", [None, {"contract": CONTRACT, "release_version": "whatever"}])
async def test_the_release_version_is_ignored_and_the_path_may_name_the_contract(
    http: httpx.AsyncClient, fqrv: Any
) -> None:
    payload = {**PAYLOAD, "fqrv": fqrv} if fqrv else {k: v for k, v in PAYLOAD.items() if k != "fqrv"}
    check(await http.post(f"/servable{C}/v1", json=payload), 200, {"VersionsStatus": STATUS})


async def test_contract_settings_come_along(http: httpx.AsyncClient) -> None:
    await http.post("/servable", json={**PAYLOAD, "contractSettings": CONTRACT_SETTINGS})
    check(await http.get(C + "/contract-settings"), 200, {"ContractSettings": CONTRACT_SETTINGS})


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"versions": {}}, 422, "versions names no policy: latest, all or specific"),
        ({"versions": {"latest": {"count": 0}}}, 422, "latest.count must be at least 1, got 0"),
        ({"versions": {"specific": {}}}, 422, "specific names no version"),
        ({"versions": {"specific": {"versions": [-1]}}}, 422, "specific holds -1"),
        ({"versions": "latest"}, 400, "versions"),
        ({"versions": {"newest": {}}}, 400, "newest"),
        ({"pollSeconds": -1}, 422, "pollSeconds must be in 0..86400, got -1"),
        ({"pollSeconds": "NaN"}, 422, "pollSeconds must be in 0..86400, got nan"),
        ({"sha256": "0" * 64}, 422, "sha256 is of one artifact"),
        ({"path": "file:///missing"}, 422, "does not exist"),
    ],
)
async def test_what_makes_no_sense(http: httpx.AsyncClient, change: Any, status: int, reason: str) -> None:
    reply = await http.post("/servable", json={**PAYLOAD, **change})
    assert reply.status_code == status, reply.text
    assert reason in reply.text
    check(await http.get("/contracts/list"), 200, {"Contracts": {"contracts": []}})
