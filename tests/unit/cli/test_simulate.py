"""The simulation's chart: what it samples, prints and draws."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from forestflow.cli import figure
from forestflow.cli.chart import HEIGHT, draw
from forestflow.cli.timeline import Timeline, span, timeline_of
from tests.unit.api.memory_registry import NOW, MemoryRegistry
from tests.unit.api.test_control_routes import CONTRACT_SETTINGS, POLICY, QUICK_START
from tests.unit.cli.conftest import Run

C = "samples/energy_output/0"
STEP = {"StepPhaseIn": {"steps": [{"afterSecs": 20, "percent": 100}]}}


def fqrv(release: str) -> dict[str, Any]:
    return {"contract": {}, "releaseVersion": release}


SIMULATION: dict[str, Any] = {
    "points": [
        {"atMS": "1000", "shares": [{"fqrv": fqrv("a"), "share": 1.0}], "valid": [fqrv("a")]},
        {
            "atMS": "3000",
            "shares": [{"fqrv": fqrv("b"), "share": 0.5}, {"fqrv": fqrv("a"), "share": 0.5}],
            "valid": [fqrv("a"), fqrv("b")],
        },
        {"atMS": "4000", "shares": [{"fqrv": fqrv("b"), "share": 1.0}], "valid": [fqrv("b")], "expired": [fqrv("a")]},
    ]
}
TIMELINE = Timeline(
    ("a", "b"),
    (1000, 3000, 4000),
    ((1.0, 0.0), (0.5, 0.5), (0.0, 1.0)),
    ((3000, "b becomes valid"), (4000, "a expires")),
    5000,
)


def printed(timeline: Timeline, width: int) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(draw(timeline, width, colour=False))
    return capture.get().splitlines()


def test_a_timeline() -> None:
    assert timeline_of(SIMULATION, 4) == TIMELINE
    assert [TIMELINE.at(at) for at in (1000, 2999, 3000, 3999.5, 4000, 9000)] == [
        (1.0, 0.0), (1.0, 0.0), (0.5, 0.5), (0.5, 0.5), (0.0, 1.0), (0.0, 1.0),
    ]  # fmt: skip


def test_a_chart() -> None:
    a, both, b = "█", ["░", "█"], "░"
    upper = a * 8 + both[0] * 4 + b * 4
    lower = a * 8 + both[1] * 4 + b * 4
    labels = {0: "100 % ", 6: " 50 % ", 11: "  0 % "}
    rows = [labels.get(row, " " * 6) + (upper if row < HEIGHT // 2 else lower) for row in range(HEIGHT)]
    assert printed(TIMELINE, 23) == [
        *rows,
        "      now   +2s    +4s",
        "",
        "      █ a: 100 % → 0 %",
        "      ░ b: 0 % → 100 %",
    ]


def test_a_chart_in_colour() -> None:
    text = draw(TIMELINE, 23, colour=True)
    styles = {str(span.style) for span in text.spans}
    assert {"#0072B2", "#E69F00"} <= styles
    narrow = Timeline(("a", "b"), (0,), ((1 / 24, 22 / 24),), (), 1000)
    styles = {str(span.style) for span in draw(narrow, 40, colour=True).spans}
    assert styles >= {"#E69F00 on #0072B2", "#E69F00"}
    assert "▄" in draw(narrow, 40, colour=True).plain


def test_nobody_answers() -> None:
    nobody = timeline_of({"points": [{"atMS": "5"}]}, 60)
    lines = printed(nobody, 60)
    assert [line.strip() for line in lines[: HEIGHT + 1]] == [
        "100 %", "", "", "", "", "", "50 %", "", "", "", "", "0 %",
        "now        +15s         +30s         +45s         +1m",
    ]  # fmt: skip


names = st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=12)


@given(names, st.integers(1, 200), st.integers(1, 10**6), st.booleans(), st.data())
def test_every_chart_fits(releases: list[str], width: int, length: int, colour: bool, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.integers(0, 5), min_size=len(releases), max_size=len(releases)))
    shares = tuple(part / (sum(parts) or 1) for part in parts)
    chart = draw(Timeline(tuple(releases), (0,), (shares,), (), length * 1000), width, colour=colour)
    lines = chart.plain.split("\n")
    assert all(len(line) <= max(17, width) for line in lines[: HEIGHT + 1])
    assert all(c.isprintable() or c == "\n" for c in chart.plain)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0s"), (999, "1s"), (59_000, "59s"), (60_000, "1m"), (90_000, "1m30s"), (3_600_000, "1h"),
     (5_400_000, "1h30m"), (3_661_000, "1h1m"), (3_601_000, "1h1s"), (86_400_000, "1d"), (129_600_000, "1d12h")],
)  # fmt: skip
def test_spans(milliseconds: int, text: str) -> None:
    assert span(milliseconds) == text


def test_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    odd = Timeline(("_$x$", "模型", "v\x1b3"), TIMELINE.times_ms, ((0.2, 0.3, 0.5),) * 3, TIMELINE.happens, 5000)
    for timeline in (TIMELINE, odd, timeline_of({"points": [{"atMS": "5"}]}, 60)):
        figure.save(timeline, "a $title$ _", tmp_path / "f.png", "png")
        figure.save(timeline, "a $title$ _", tmp_path / "f.svg", "svg")
        assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        root = ElementTree.parse(tmp_path / "f.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"


# --- the command ---


@pytest.fixture
def proposed(run: Run, tmp_path: Path, server: str, registry: MemoryRegistry) -> None:
    run("create-contract", C, "-", stdin=json.dumps(CONTRACT_SETTINGS))
    run("deploy", "-", stdin=json.dumps(QUICK_START))
    registry.now_ms += 1000
    run("deploy", C, "--release", "v2", "--mojo", "m.zip", "--phase-in", "linear:100")
    (tmp_path / "policy.json").write_text(json.dumps({"PolicySettings": {**POLICY, "phaseInPolicy": STEP}}))
    age = {**CONTRACT_SETTINGS, "expirationPolicy": {"MaxAge": {"maxAgeSecs": 31}}}
    (tmp_path / "contract.json").write_text(json.dumps(age))


@pytest.mark.usefixtures("proposed")
def test_the_command(run: Run) -> None:
    flags = ("--contract-settings", "contract.json", "--policy", "v2=policy.json", "--horizon", "40s", "--rate", "10")
    lines = run("simulate", C, *flags).stdout.splitlines()
    assert lines[0] == f"{C}: shares over 40s"
    assert len(lines[2]) == 79
    # until +20s of 40s v2 is at 0 % and v1 takes all
    assert lines[2] == "100 % " + "█" * 36 + "░" * 37
    assert lines[-4:] == ["      █ v1: 100 % → 0 %", "      ░ v2: 0 % → 100 %", "", "      +30s v1 expires"]
    document = json.loads(run("simulate", C, *flags, "--json").stdout)["Simulation"]
    assert [point["atMS"] for point in document["points"]] == [str(NOW + 1000 + s * 1000) for s in (0, 20, 30)]


@pytest.mark.usefixtures("proposed")
def test_files(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    said = run("simulate", C, "--png", "plan.png", "--svg", "plan.svg", "--horizon", "5m").stderr
    assert said == "wrote plan.png\nwrote plan.svg\n"
    assert (tmp_path / "plan.png").stat().st_size > 1000
    assert "cannot write none/plan.png" in run("simulate", C, "--png", "none/plan.png", exit_code=2).stderr


@pytest.mark.usefixtures("server")
def test_without_matplotlib(run: Run, registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure, "can_draw", lambda: False)
    said = run("simulate", C, "--png", "plan.png", exit_code=2).stderr
    assert "need matplotlib" in said
    assert "pip install 'forestflow[charts]'" in said
    assert registry.commands == []


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--horizon", "soon"), "is no duration"),
        (("--horizon", "0"), "under one second"),
        (("--policy", "v1"), "'v1' is not NAME=VALUE"),
        (("--policy", "v1=none.json"), "cannot read none.json"),
        (("--contract-settings", "none.json"), "cannot read none.json"),
        (("--rate", "-1"), "--rate"),
    ],
)
def test_wrong_usage(run: Run, args: tuple[str, ...], said: str) -> None:
    assert said in run("simulate", C, *args, exit_code=2).stderr


@pytest.mark.usefixtures("proposed")
def test_refusals(run: Run) -> None:
    assert "there is no release" in run("simulate", C, "--policy", "v9=policy.json", exit_code=1).stderr
    assert "there is no contract" in run("simulate", "a/b/0", exit_code=1).stderr
    assert "Example" in run("simulate", "--help").stdout


def test_the_command_line_starts_without_matplotlib() -> None:
    import subprocess

    code = "import sys, forestflow.cli.app, forestflow.cli.figure; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
