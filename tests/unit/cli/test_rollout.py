"""Commands that steer a rollout and explain it: what they print, send and refuse."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forestflow.cli.plan import words_of
from forestflow.cli.settings_file import instant, seconds
from tests.unit.api.memory_registry import NOW, MemoryRegistry
from tests.unit.api.test_control_routes import CONTRACT, CONTRACT_SETTINGS, FQRV, QUICK_START
from tests.unit.cli.conftest import Run

C = "samples/energy_output/0"

pytestmark = pytest.mark.usefixtures("server", "local_time")


@pytest.fixture
def local_time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def two(run: Run, tmp_path: Path, server: str, registry: MemoryRegistry) -> None:
    """v1 fully in, v2 phased in over 100 s, 30 s ago."""
    (tmp_path / "contract.json").write_text(json.dumps(CONTRACT_SETTINGS))
    run("create-contract", C, "contract.json")
    run("deploy", "-", stdin=json.dumps(QUICK_START))
    registry.now_ms += 1000
    run("deploy", C, "--release", "v2", "--mojo", "m.zip", "--phase-in", "linear:100")
    registry.now_ms += 30_000


def parsed(result: Any) -> Any:
    return json.loads(result.stdout)


# --- contracts ---


@pytest.mark.parametrize("wrap", [lambda settings: settings, lambda settings: {"ContractSettings": settings}])
def test_contract_settings(run: Run, tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    assert run("create-contract", C, "-", stdin=json.dumps(wrap(CONTRACT_SETTINGS))).stdout == f"created {C}\n"
    assert parsed(run("settings", C)) == {"ContractSettings": CONTRACT_SETTINGS}
    sticky = {**CONTRACT_SETTINGS, "router": {"StickyRouter": {"keyConfig": "user"}}, "routing": "RECORD"}
    (tmp_path / "sticky.json").write_text(json.dumps(wrap(sticky)))
    assert run("update-contract", C, "sticky.json").stdout == f"updated {C}\n"
    assert parsed(run("settings", C)) == {"ContractSettings": sticky}
    again = run("create-contract", C, "sticky.json", exit_code=1)
    assert "contract already exists" in again.stderr
    reply = parsed(run("update-contract", C, "sticky.json", "--json"))
    assert reply == {"ContractUpdatedSuccessfully": {"contract": CONTRACT}}


def test_contract_settings_by_flags(run: Run, tmp_path: Path) -> None:
    run("create-contract", C, "--router", "sticky:user", "--expiration", "all")
    sticky = {"expirationPolicy": {"KeepAll": {}}, "router": {"StickyRouter": {"keyConfig": "user"}}}
    assert parsed(run("settings", C)) == {"ContractSettings": sticky}
    assert run("update-contract", C, "--keep", "2", "--routing", "record").stdout == f"updated {C}\n"
    changed = {**sticky, "expirationPolicy": {"KeepLatest": {"servablesToKeep": 2}}, "routing": "RECORD"}
    assert parsed(run("settings", C)) == {"ContractSettings": changed}
    (tmp_path / "file.json").write_text(json.dumps(CONTRACT_SETTINGS))
    run("update-contract", C, "file.json", "--router", "fair")
    fair = {"router": {"FairPhaseInPctBasedRouter": {}}}
    assert parsed(run("settings", C)) == {"ContractSettings": {**CONTRACT_SETTINGS, **fair}}
    assert "give a FILE or what to change" in run("update-contract", C, exit_code=2).stderr
    wrong = run("update-contract", C, "--router", "fastest", exit_code=2).stderr
    assert "--router 'fastest' is none of fair, latest, sticky:CONFIG" in wrong


# --- settings of a release ---


def test_settings_of_a_release_by_flags(run: Run) -> None:
    def now() -> Any:
        return parsed(run("settings", C, "v1"))["ServableSettings"]

    run("deploy", C, "--release", "v1", "--mojo", "m.zip", "--validity", "after:5", "--shadow-percent", "50")
    assert now()["shadow"] == {"samplePercent": 50, "maxBacklog": 256}
    assert run("update-shadow", C, "v1", "--shadow", "--shadow-backlog", "5").stdout == f"updated {C}/v1\n"
    assert now()["shadow"] == {"enabled": True, "samplePercent": 50, "maxBacklog": 5}
    run("update-shadow", C, "v1", "--reset")
    assert "shadow" not in now()
    run("update-policy", C, "v1", "--phase-in", "linear:60")
    assert now()["policySettings"] == {
        "validityPolicy": [{"TimeBasedValidity": {"validAfterMS": "5000"}}],
        "phaseInPolicy": {"LinearTimeBasedPhaseIn": {"phaseInOverSecs": 60}},
    }
    run("update-policy", C, "v1", "--validity", "never")
    assert now()["policySettings"]["validityPolicy"] == [{"NeverValid": {}}]
    assert now()["policySettings"]["phaseInPolicy"] == {"LinearTimeBasedPhaseIn": {"phaseInOverSecs": 60}}
    run("update-logging", C, "v1", "--log-level", "full", "--key-feature", "a", "--key-feature", "b")
    run("update-logging", C, "v1", "--key-separator", "-")
    assert now()["loggingSettings"] == {"logLevel": "FULL", "keyFeatures": ["a", "b"], "keyFeaturesSeparator": "-"}
    for command in ("update-shadow", "update-policy", "update-logging"):
        assert "forestflow: give --" in run(command, C, "v1", exit_code=2).stderr
    reply = parsed(run("update-shadow", C, "v1", "--no-shadow", "--json"))
    assert reply == {"ServableUpdatedSuccessfully": {"fqrv": FQRV}}


def test_settings_that_make_no_sense(run: Run) -> None:
    run("create-contract", C, "-", stdin=json.dumps(CONTRACT_SETTINGS))
    bad = {**CONTRACT_SETTINGS, "router": {"PerformanceRouter": {}}}
    refused = run("update-contract", C, "-", stdin=json.dumps(bad), exit_code=1)
    assert "PerformanceRouter needs a metric" in refused.stderr


# --- phase-in by hand, metrics ---


def test_phase_in_keeps_the_validity_policy(run: Run) -> None:
    run("deploy", C, "--release", "v1", "--mojo", "m.zip", "--validity", "after:5", "--validity", "served:3")
    assert run("phase-in", C, "v1", "25").stdout == f"{C}/v1 is phased in to 25 %\n"
    policy = parsed(run("settings", C, "v1"))["ServableSettings"]["policySettings"]
    assert policy == {
        "validityPolicy": [
            {"TimeBasedValidity": {"validAfterMS": "5000"}},
            {"MinServedEventsBasedValidity": {"validAfterMinServedEvents": "3"}},
        ],
        "phaseInPolicy": {"ManualPhaseIn": {"percent": 25}},
    }
    reply = parsed(run("phase-in", C, "v1", "100", "--json"))
    assert reply == {"ServableUpdatedSuccessfully": {"fqrv": FQRV}}


def test_report_metric(run: Run) -> None:
    run("deploy", "-", stdin=json.dumps(QUICK_START))
    said = run("report-metric", C, "v1", "auc=0.5", "lift=2").stdout
    assert said == f"reported auc=0.5, lift=2 of {C}/v1\n"
    run("report-metric", C, "v1", "auc=1", "--count", "3")
    stats = run("stats", C).stdout
    assert "METRICS" in stats
    assert "rmse 0.5" in stats
    assert "auc 0.875" in stats
    reply = parsed(run("report-metric", C, "v1", "auc=-1e-2", "--replace", "--json"))
    assert reply == {"ServableUpdatedSuccessfully": {"fqrv": FQRV}}
    assert "auc -0.01" in run("stats", C).stdout


# --- plan and history ---


@pytest.mark.usefixtures("two")
def test_plan(run: Run) -> None:
    lines = [" ".join(line.split()) for line in run("plan", C).stdout.splitlines()]
    assert lines == [
        "RELEASE SHARE WEIGHT PHASED IN SHADOWS VALID SINCE CHANGES",
        "v1 76.9 % 100 100 % yes 2019-10-02 22:18:00",
        "v2 23.1 % 30 30 % 2019-10-02 22:18:01 2019-10-02 22:18:32",
        "",
        "v1: valid, 100 % phased in: 100 of 130 by the LatestPhaseInPctBasedRouter",
        "ImmediatelyValid holds: always holds",
        "",
        "v2: valid, 30 % phased in: 30 of 130 by the LatestPhaseInPctBasedRouter",
        "ImmediatelyValid holds: always holds",
    ]
    assert parsed(run("plan", C, "--json"))["PlanExplanation"]["contract"] == CONTRACT


@pytest.mark.usefixtures("two")
def test_history(run: Run) -> None:
    run("report-metric", C, "v1", "auc=0.5")
    run("phase-in", C, "v2", "7")
    run("delete", C, "v1", "--yes")
    lines = [" ".join(line.split()) for line in run("history", C).stdout.splitlines()]
    assert lines == [
        "SEQ TIME EVENT RELEASE DETAIL",
        "1 2019-10-02 22:18:00 ContractSet LatestPhaseInPctBasedRouter, KeepLatest(2)",
        "2 2019-10-02 22:18:00 ServableDeployed v1 ImmediatelyValid, ImmediatePhaseIn",
        "3 2019-10-02 22:18:00 ServableBecameValid v1",
        "4 2019-10-02 22:18:01 ServableDeployed v2 ImmediatelyValid, LinearTimeBasedPhaseIn(100)",
        "5 2019-10-02 22:18:01 ServableBecameValid v2",
        "6 2019-10-02 22:18:31 MetricReported v1 auc adds 0.5",
        "7 2019-10-02 22:18:31 ServableUpdated v2 ImmediatelyValid, ManualPhaseIn(7)",
        "8 2019-10-02 22:18:31 ServablesDeleted v1 v1",
    ]
    document = parsed(run("history", C, "--json"))["History"]
    assert (document["contract"], len(document["entries"])) == (CONTRACT, 8)


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("at", ["2019-10-02 22:18:16", "2019-10-02T22:18:16Z", str(NOW + 16_000)])
def test_the_plan_at_a_time(run: Run, at: str) -> None:
    lines = [" ".join(line.split()) for line in run("history", C, "--at", at).stdout.splitlines()]
    assert lines[1:3] == [
        "v1 87.0 % 100 100 % yes 2019-10-02 22:18:00",
        "v2 13.0 % 15 15 % 2019-10-02 22:18:01 2019-10-02 22:18:17",
    ]
    assert lines[-3:] == [
        "since this event:",
        "SEQ TIME EVENT RELEASE DETAIL",
        "5 2019-10-02 22:18:01 ServableBecameValid v2",
    ]
    assert parsed(run("history", C, "--at", at, "--json"))["PlanAt"]["cause"]["seq"] == "5"


def test_a_time_before_everything(run: Run) -> None:
    assert "there is no contract" in run("history", C, exit_code=1).stderr
    run("deploy", "-", stdin=json.dumps(QUICK_START))
    assert "there is no contract" in run("history", C, "--at", "0", exit_code=1).stderr
    assert "is no time" in run("history", C, "--at", "yesterday", exit_code=1).stderr


@pytest.mark.usefixtures("two")
def test_rollback(run: Run) -> None:
    before = run("settings", C, "v2").stdout
    run("phase-in", C, "v2", "7")
    assert run("rollback", C, "--to", "5").stdout == f"{C} is as after entry 5\n"
    assert run("settings", C, "v2").stdout == before
    reply = parsed(run("rollback", C, "--to", "1", "--json"))
    assert reply == {"ContractUpdatedSuccessfully": {"contract": CONTRACT}}
    assert "did not exist" in run("rollback", C, "--to", "0", exit_code=1).stderr


def test_words_of_steps_and_of_events_to_come() -> None:
    steps = {"StepPhaseIn": {"steps": [{"afterSecs": 60, "percent": 10}, {"afterSecs": 90, "percent": 100}]}}
    settings = {"policySettings": {"validityPolicy": [], "phaseInPolicy": steps}}
    assert (
        words_of({"kind": "ServableUpdated", "detail": {"servableSettings": settings}}) == "StepPhaseIn(60:10 90:100)"
    )
    assert words_of({"kind": "Unheard", "detail": {}}) == ""


# --- usage ---


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("create-contract", C, "none.json"), "cannot read none.json"),
        (("phase-in", C, "v1", "101"), "PERCENT"),
        (("phase-in", C, "v1", "-1"), ""),
        (("report-metric", C, "v1"), "NAME=VALUE"),
        (("report-metric", C, "v1", "auc"), "'auc' is not NAME=VALUE"),
        (("report-metric", C, "v1", "auc=high"), "'high' is not a number"),
        (("report-metric", C, "v1", "auc=1", "--count", "0"), "--count"),
        (("rollback", C), "--to"),
        (("plan", "samples"), "organization/project/number"),
    ],
)
def test_wrong_usage(run: Run, args: tuple[str, ...], said: str) -> None:
    assert said in run(*args, exit_code=2).stderr


@pytest.mark.parametrize(("content", "said"), [("{", "is not JSON"), ("[]", "holds no JSON object")])
def test_files_that_are_no_settings(run: Run, content: str, said: str) -> None:
    assert said in run("create-contract", C, "-", stdin=content, exit_code=2).stderr


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("15m", 900), ("1.5h", 5400), ("2d", 172_800), ("0.4s", 0)]
)
def test_durations(text: str, value: int) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "h", "-1h", "1 h", "1w", "1e3"])
def test_texts_that_are_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("2019-10-02 22:18:00", str(NOW)),
        ("2019-10-02", str(NOW - NOW % 86_400_000)),
        ("2019-10-02T22:18:00+02:00", "2019-10-02T22:18:00+02:00"),
        ("1570054680000", "1570054680000"),
        ("20191002", "20191002"),
        ("soon", "soon"),
    ],
)
def test_times(text: str, sent: str) -> None:
    assert instant(text) == sent


@pytest.mark.parametrize(
    "command", ["create-contract", "update-contract", "phase-in", "report-metric", "rollback", "plan", "history"]
)
def test_help(run: Run, command: str) -> None:
    assert "Example" in run(command, "--help").stdout
