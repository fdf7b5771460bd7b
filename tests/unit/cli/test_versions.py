"""Version directories on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forestflow.cli.versions import version_policy
from tests.unit.api.memory_registry import MemoryRegistry
from tests.unit.cli.conftest import Run

C = "samples/mnist/0"
DEPLOY = ("deploy", C, "--path", "/Models/mnist", "--tensorflow", ".")

pytestmark = pytest.mark.usefixtures("server")


def test_a_session(run: Run, registry: MemoryRegistry) -> None:
    table = ["VERSION", "STATE", "MESSAGE", "7", "AVAILABLE"]
    assert run(*DEPLOY, "--versions", "latest:2", "--poll-seconds", "5").stdout.split() == table
    assert run("versions", C).stdout.split() == table
    told = json.loads(run("versions", C, "--json").stdout)["VersionsStatus"]
    assert (told["path"], told["policy"], told["pollSeconds"]) == (
        "file:///Models/mnist",
        {"latest": {"count": 2}},
        5.0,
    )
    told = json.loads(run("versions", C, "--serve", "1,3", "--json").stdout)["VersionsStatus"]
    assert (told["policy"], told["pollSeconds"]) == ({"specific": {"versions": ["1", "3"]}}, 5.0)
    assert run("versions", C, "--end").stdout == f"{C} looks for no more versions\n"
    assert "no version directories" in run("versions", C, exit_code=1).stderr


def test_a_payload_with_versions(run: Run, tmp_path: Path) -> None:
    payload = run(*DEPLOY, "--versions", "all", "--print").stdout
    (tmp_path / "deploy.json").write_text(payload)
    assert "AVAILABLE" in run("deploy", str(tmp_path / "deploy.json")).stdout


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("latest", {"latest": {}}),
        ("latest:3", {"latest": {"count": 3}}),
        ("all", {"all": {}}),
        ("7", {"specific": {"versions": ["7"]}}),
        ("1, 20", {"specific": {"versions": ["1", "20"]}}),
    ],
)
def test_short_forms(text: str, policy: object) -> None:
    assert version_policy(text) == policy


@pytest.mark.parametrize("text", ["", "newest", "latest:", "latest:x", "1,", "-1", "v1"])
def test_no_short_forms(text: str) -> None:
    with pytest.raises(ValueError, match="is none of latest"):
        version_policy(text)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ((*DEPLOY, "--versions", "newest"), "is none of latest"),
        ((*DEPLOY, "--versions", "all", "--release", "v1"), "--release or --versions"),
        (DEPLOY, "--release or --versions"),
        (("deploy", C, "--tensorflow", ".", "--versions", "all"), "--versions takes --path"),
        ((*DEPLOY, "--release", "v1", "--poll-seconds", "1"), "--poll-seconds goes with --versions"),
        (("versions", C, "--poll-seconds", "1"), "--poll-seconds goes with --serve"),
        (("versions", C, "--serve", "newest"), "is none of latest"),
    ],
)
def test_usage(run: Run, args: tuple[str, ...], reason: str) -> None:
    assert reason in run(*args, exit_code=2).stderr
