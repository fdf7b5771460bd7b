"""The control application over a registry of dicts, called in process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from forestflow.api.http.control import create_control_app
from forestflow.runtime.control import ControlPlane
from tests.unit.api.memory_registry import MemoryRegistry


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
async def http(registry: MemoryRegistry) -> AsyncIterator[httpx.AsyncClient]:
    app = create_control_app(ControlPlane(registry), max_body_bytes=10_000)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090") as client:
        yield client
