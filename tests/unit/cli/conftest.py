"""The command line against a real server over a registry of dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from forestflow.cli.app import app
from tests.unit.api.live_server import serving
from tests.unit.api.memory_registry import MemoryRegistry

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _hermetic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("FORESTFLOW_") or name == "RAY_ADDRESS":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def server(registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(registry) as url:
        monkeypatch.setenv("FORESTFLOW_URL", url)
        yield url


@pytest.fixture
def run() -> Run:
    """Run a command: ``run("list", "o/p/0", exit_code=0)``."""

    def run(*args: str, exit_code: int = 0, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(args), input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == exit_code, result.output
        return result

    return run
