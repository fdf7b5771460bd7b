"""What tests of different folders share: the real server, of which a session starts one at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.serving import RunningServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server, one Ray, for all tests that do not harm it; each test uses a contract of its own."""
    from tests.serving import running  # most tests need no server, and none of what it imports

    with running(tmp_path_factory.mktemp("shared") / "data") as server:
        yield server
