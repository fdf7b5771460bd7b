"""A real browser loads /docs, and shows the operations that the OpenAPI document lists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serving import RunningServer

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Names of other machines lead nowhere: the page must do without them.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
SCRIPT_MS = 20_000  # of the page's own time, which ends early when nothing is left to do

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH (Debian: apt-get install chromium)"),
]


def dom_of(url: str, profile: Path) -> str:
    """The page's document after its scripts ran, as HTML."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", f"--virtual-time-budget={SCRIPT_MS}", "--dump-dom", url]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def shown_operations(dom: str) -> set[tuple[str, str]]:
    """(method, path) of each operation on a Swagger page."""
    blocks = re.findall(r'opblock-summary-method">(\w+)<.*?data-path="([^"]*)"', dom, re.DOTALL)
    return {(method.lower(), path) for method, path in blocks}


def test_the_page_shows_every_operation(server: RunningServer, tmp_path: Path) -> None:
    document = server.http.get("/openapi.json").json()
    operations = {(method, path) for path, methods in document["paths"].items() for method in methods}
    dom = dom_of(f"{server.url}/docs", tmp_path / "profile")
    assert shown_operations(dom) == operations
    contract = "/{organization}/{project}/{contract_number}"
    assert {("post", contract + "/score"), ("post", "/servable"), ("delete", contract + "/{release_version}")} <= (
        operations
    )
    assert "Score records" in dom
    assert "Deploy a release" in dom


def test_without_its_script_the_page_shows_none(server: RunningServer, tmp_path: Path) -> None:
    """The check above sees what the browser made of the page, not what the server sent."""
    source = server.http.get("/docs").text
    assert shown_operations(source) == set()
    page = tmp_path / "page.html"
    page.write_text(source)  # opened as a file, it finds neither script nor document
    assert shown_operations(dom_of(page.as_uri(), tmp_path / "profile")) == set()
