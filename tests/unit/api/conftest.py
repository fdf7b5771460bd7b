"""The control application over a registry of dicts, called in process; a router on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from forestflow.api.http import shortcut
from forestflow.api.http.control import create_control_app
from forestflow.controlplane.control import ControlPlane
from tests.unit.api.memory_registry import MemoryRegistry
from tests.unit.cluster.routers import site


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
async def http(registry: MemoryRegistry) -> AsyncIterator[httpx.AsyncClient]:
    app = create_control_app(ControlPlane(registry), max_body_bytes=10_000)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090") as client:
        yield client


@pytest.fixture
async def here(tmp_path):
    async with site(tmp_path, max_body_bytes=100_000) as running:
        yield running


@pytest.fixture
def taken(monkeypatch):
    """How many requests took the shortcut."""
    count = [0]
    answer = shortcut.ShortcutProtocol._answer

    def counting(self, outcome):
        count[0] += 1
        answer(self, outcome)

    monkeypatch.setattr(shortcut.ShortcutProtocol, "_answer", counting)
    return lambda: count[0]
