"""A client of a real server over a registry of dicts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forestflow.sdk import Client
from tests.unit.api.live_server import serving
from tests.unit.api.memory_registry import MemoryRegistry


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def client(registry: MemoryRegistry) -> Iterator[Client]:
    with serving(registry) as url, Client(url) as client:
        yield client
