"""The client's view of metrics, plans, simulations, histories and rollbacks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from forestflow.sdk import Client, RequestRefused
from tests.unit.api.memory_registry import NOW, MemoryRegistry
from tests.unit.api.test_control_routes import CONTRACT_SETTINGS, FQRV, POLICY, QUICK_START

C = "samples/energy_output/0"


def test_metrics(client: Client) -> None:
    client.deploy(QUICK_START)
    client.report_metrics(C, "v1", {"auc": 0.5, "lift": 2})
    client.report_metrics(C, "v1", [{"name": "auc", "value": 1.0, "timeMS": NOW, "count": 3}])
    assert client.stats(C)[0]["performanceMetrics"] == {"rmse": 0.5, "auc": 0.875, "lift": 2.0}
    client.report_metrics(C, "v1", {"auc": 0.25}, replace=True)
    assert client.stats(C)[0]["performanceMetrics"]["auc"] == 0.25
    with pytest.raises(RequestRefused, match="422 INVALID"):
        client.report_metrics(C, "v1", {})


def test_plan_and_simulation(client: Client, registry: MemoryRegistry) -> None:
    client.deploy(QUICK_START)
    assert [release["share"] for release in client.plan(C)["releases"]] == [1.0]
    never = {**POLICY, "phaseInPolicy": {"ManualPhaseIn": {"percent": 0}}}
    simulated = client.simulate(
        C,
        contract_settings=CONTRACT_SETTINGS,
        policies={"v1": never},
        horizon_secs=10,
        step_secs=2,
        events_per_second=5,
    )
    assert [(p["atMS"], p["shares"]) for p in simulated["points"]] == [(str(NOW), [{"fqrv": FQRV, "share": 1.0}])]
    assert client.simulate(C)["points"] == simulated["points"]


def test_history_and_rollback(client: Client, registry: MemoryRegistry) -> None:
    client.deploy(QUICK_START)
    registry.now_ms += 10
    client.update_contract(C, CONTRACT_SETTINGS)
    assert [entry["kind"] for entry in client.history(C)["entries"]][-1] == "ContractSet"
    for moment in (NOW + 5, str(NOW + 5), "2019-10-02T22:18:00.005Z", "2019-10-03T00:18:00.005+02:00",
                   datetime(2019, 10, 2, 22, 18, 0, 5000, UTC)):  # fmt: skip
        found = client.plan_at(C, moment)
        assert (found["plan"]["atMS"], found["cause"]["seq"]) == (str(NOW + 5), "3")
    assert client.rollback(C, 3)["project"] == "energy_output"
    assert client.contract_settings(C) != CONTRACT_SETTINGS
    with pytest.raises(RequestRefused, match="422 INVALID"):
        client.rollback(C, 0)
