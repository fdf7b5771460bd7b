"""Every command: its table, its JSON, its exit codes and what it advises."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forestflow.cluster import supervisor
from forestflow.domain.errors import ModelFailed, StorageFailed, Unavailable
from tests.unit.api.memory_registry import MemoryRegistry
from tests.unit.api.test_control_routes import CONTRACT, FQRV, QUICK_START
from tests.unit.cli.conftest import Run

C = "samples/energy_output/0"
FLAGS = ("--release", "v1", "--mojo", "model.zip")
COMMANDS = ["serve", "config", "deploy", "delete", "score", "contracts", "list", "status", "metadata", "stats"]

pytestmark = pytest.mark.usefixtures("server")


def test_a_session(run: Run, tmp_path: Path) -> None:
    assert "no contracts" in run("contracts").output
    deployed = run("deploy", C, *FLAGS)
    assert re.fullmatch(rf"deployed {C}/v1 in \d+\.\d s\n", deployed.stdout)
    assert C in run("contracts").stdout
    assert run("list", C).stdout.split() == ["CONTRACT", "RELEASE", "STATE", C, "v1", "AVAILABLE"]
    assert "1/1" in run("status").stdout
    assert "[0:T,1:V,2:P,3:H]" in run("metadata", C).stdout
    head, row = run("stats", C).stdout.splitlines()
    assert head.split()[:6] == ["RELEASE", "SCORED", "SHADED", "DROPPED", "UNSCORED", "REFUSED"]
    assert row.split()[:8] == ["v1", "3", "1", "2", "0", "0", "100", "%"]
    assert "2019-10-0" in run("stats", C).stdout
    assert "42.5" in run("score", C, "--row", "T=1,V=2").stdout
    assert run("delete", C, "v1").stdout == f"deleted {C}/v1\n"
    assert "no releases" in run("list").stdout


def test_json(run: Run) -> None:
    def parsed(*args: str) -> object:
        return json.loads(run(*args, "--json").stdout)

    assert parsed("deploy", C, *FLAGS) == {"ServableCreatedSuccessfully": {"fqrv": FQRV}}
    assert parsed("contracts") == {"Contracts": {"contracts": [CONTRACT]}}
    assert parsed("list") == parsed("list", C) == [{"FQRV": FQRV}]
    status = {"fqrv": FQRV, "state": "AVAILABLE", "desiredReplicas": 1, "replicas": ["READY"]}
    assert parsed("status") == parsed("status", C, "v1") == [{"ServableStatus": status}]
    one = parsed("metadata", C, "v1")
    assert parsed("metadata", C) == [one]
    [stats] = parsed("stats", C)  # type: ignore[misc]
    assert stats["ServableMetrics"]["scoreCount"] == "3"
    assert parsed("score", C, "--row", "a=1")["Prediction"]["fqrv"] == FQRV  # type: ignore[index]
    assert "policySettings" in json.loads(run("settings", C, "v1").stdout)["ServableSettings"]
    assert "router" in json.loads(run("settings", C).stdout)["ContractSettings"]
    assert parsed("delete", C, "v1") == {"ServablesDeletedSuccessfully": {"fqrv": [FQRV]}}


def test_deploy_a_payload(run: Run, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text(json.dumps(QUICK_START))
    assert "deployed" in run("deploy", "payload.json").stdout
    again = run("deploy", "-", stdin=json.dumps(QUICK_START), exit_code=1)
    assert f"release {C}/v1 exists already" in again.stderr
    assert "forestflow delete" in again.stderr


def test_print_deploys_nothing(run: Run, registry: MemoryRegistry, tmp_path: Path) -> None:
    payload = json.loads(run("deploy", C, *FLAGS, "--print").stdout)
    assert payload["fqrv"] == FQRV
    assert (payload["path"], payload["flavor"]) == (f"file://{tmp_path}", {"H2OMojo": {"mojoPath": "model.zip"}})
    assert registry.commands == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("deploy", C), "or give a payload FILE.json"),
        (("deploy", C, "--release", "v1"), "or give a payload FILE.json"),
        (("deploy", "samples/energy", *FLAGS), "organization/project/number"),
        (("deploy", C, *FLAGS, "--validity", "soon"), "--validity 'soon' is none of"),
        (("deploy", "none.json"), "cannot read none.json"),
        (("deploy", C, *FLAGS, "--replicas", "0"), "--replicas"),
        (("list", "samples"), "organization/project/number"),
        (("score", C, "none.json"), "cannot read none.json"),
        (("score", C, "--row", "nonsense"), "'nonsense' is not NAME=VALUE"),
        (("score", C, "--row", "a=1,b=2", "--row", "a=1,c=2"), "row 1 differs"),
        (("nonsense",), "nonsense"),
        (("config", "--routers", "0"), "routers"),
        (("serve", "--http", "0.0.0.0:1"), "allow_public_bind"),
        (("config", "--config", "none.toml"), "none.toml does not exist"),
    ],
)
def test_wrong_usage(run: Run, args: tuple[str, ...], said: str) -> None:
    assert said in run(*args, exit_code=2).stderr


def test_refusals_say_what_to_do(run: Run, registry: MemoryRegistry) -> None:
    unknown = run("stats", C, exit_code=1)
    assert f"forestflow: there is no contract {C}" in unknown.stderr
    assert "`forestflow contracts`" in unknown.stderr
    assert unknown.stdout == ""
    missing = run("deploy", C, "--release", "v1", "--mojo", "missing/model.zip", exit_code=1)
    assert "does not exist" in missing.stderr
    assert "nothing was left behind" in missing.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Unavailable("the registry is down"), "try again in a moment"),
        (StorageFailed("disk full"), "free space"),
        (ModelFailed("\x1b[31mred"), r"\x1b[31mred (request id "),
    ],
)
def test_server_errors(run: Run, registry: MemoryRegistry, error: Exception, said: str) -> None:
    registry.fails_with = error
    result = run("contracts", exit_code=4)
    assert said in result.stderr
    assert "\x1b" not in result.stderr


def test_nobody_there(run: Run) -> None:
    result = run("contracts", "--server", "127.0.0.1:1", exit_code=3)
    assert "no server answers at http://127.0.0.1:1" in result.stderr
    assert "forestflow serve" in result.stderr
    assert run("status", "--server", "127.0.0.1:1", "--wait", "0.3", exit_code=3)


def test_status_waits_for_readiness(run: Run, registry: MemoryRegistry) -> None:
    registry.is_ready = False
    assert "not ready" in run("status", exit_code=4).stderr
    began = time.monotonic()
    run("status", "--wait", "0.5", exit_code=4)
    assert time.monotonic() - began > 0.4
    registry.is_ready = True
    run("status", "--wait", "30")


@pytest.mark.parametrize(
    "content",
    [
        {"schema": [{"type": "Float64", "fields": ["a"]}], "datum": [{"tensors": [{"Float64": {"data": [1]}}]}]},
        [{"a": 1}],
        {"a": [1]},
        {"a": 1},
    ],
)
def test_score_reads_requests_rows_and_columns(run: Run, tmp_path: Path, content: object) -> None:
    (tmp_path / "in.json").write_text(json.dumps(content))
    from_file = run("score", C, "in.json", "--config", "answer-as=v7")
    from_stdin = run("score", C, "-", "--config", "answer-as=v7", stdin=json.dumps(content))
    assert from_file.stdout == from_stdin.stdout
    assert from_file.stdout.split() == ["Regression", "rank", "of", "42.5", "1", "9"]
    assert f"answered by {C}/v7" in from_file.stderr


@pytest.mark.parametrize(("content", "said"), [("{", "is not JSON"), ("[1]", "neither a request nor rows")])
def test_score_refuses_other_files(run: Run, tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "in.json").write_text(content)
    assert said in run("score", C, "in.json", exit_code=2).stderr


def test_config_shows_values_and_origins(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESTFLOW_ROUTERS", "3")
    rows = {row["name"]: row for row in json.loads(run("config", "--http", "127.0.0.1:1", "--json").stdout)}
    assert (rows["routers"]["value"], rows["routers"]["origin"]) == ("3", "FORESTFLOW_ROUTERS")
    assert (rows["http"]["value"], rows["http"]["origin"]) == ("127.0.0.1:1", "--http")
    assert "FORESTFLOW_ROUTERS" in run("config", "--allow-public-bind").stdout


def test_serve_runs_with_the_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    given = []
    fake = types.ModuleType("forestflow.cluster.serve")
    fake.run = given.append  # type: ignore[attr-defined]
    fake.CannotServe = type("CannotServe", (Exception,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "forestflow.cluster.serve", fake)
    blocked: list[bool] = []
    monkeypatch.setattr(supervisor, "block", lambda: blocked.append(True))  # the tests stay interruptible
    run("serve", "--routers", "2", "--data-dir", "here")
    [settings] = given
    assert (settings.routers, settings.data_dir.name) == (2, "here")
    assert blocked == [True]

    def refuse(_: object) -> None:
        raise fake.CannotServe("port taken")

    fake.run = refuse  # type: ignore[attr-defined]
    assert "forestflow: port taken" in run("serve", exit_code=4).stderr


def test_an_interrupt_before_the_command_runs_is_no_traceback() -> None:
    code = (
        "import sys, builtins\n"
        "from forestflow.cli import main\n"
        "def interrupted(*_, **__): raise KeyboardInterrupt\n"
        "builtins.__import__ = interrupted\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize("command", [*COMMANDS, "settings"])
def test_help(run: Run, command: str) -> None:
    assert "Example" in run(command, "--help").stdout


def test_start_is_quick_and_needs_no_heavy_import() -> None:
    code = (
        "import sys; sys.argv = ['forestflow', '--help']\n"
        "from forestflow.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('ray', 'numpy', 'fastapi', 'httpx', 'grpc') if m in sys.modules], file=sys.stderr)"
    )

    def busy() -> float:
        children = os.times()
        return children.children_user + children.children_system

    took = []
    for _ in range(3):
        began = busy()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        took.append(busy() - began)
    assert done.stderr.strip() == "[]"
    assert "Exit codes" in done.stdout
    assert min(took) < 1.0  # 0.3 s measured, of the processor: a busy machine must not fail the test


def test_version(run: Run) -> None:
    assert run("--version").stdout.startswith("forestflow ")
