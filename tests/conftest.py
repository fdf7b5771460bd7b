"""What tests of different folders share: the real server, of which a session starts one at most, and the options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import profiles

if TYPE_CHECKING:
    from tests.serving import RunningServer

profiles.register()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("forestflow", "tests/contract against a server that runs already")
    group.addoption("--base-url", help="its HTTP address, such as http://127.0.0.1:8090")
    group.addoption("--grpc", help="its gRPC address, such as 127.0.0.1:8091; without it, gRPC is skipped")
    group.addoption("--models", help="URI under which it finds forestflow/examples/models; default: this checkout's")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With ``-n 2 --dist loadgroup`` a file is run by one process, and so are those that share something costly."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parent
        shared = folder.as_posix() in ("contract", "integration/h2o")
        item.add_marker(pytest.mark.xdist_group(str(folder if shared else folder / item.path.stem)))


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--grpc") and not config.getoption("--base-url"):
        raise pytest.UsageError("--grpc goes with --base-url: the suite deploys over HTTP")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server, one Ray, for all tests that do not harm it; each test uses a contract of its own."""
    from tests.serving import running  # most tests need no server, and none of what it imports

    with running(tmp_path_factory.mktemp("shared") / "data") as server:
        yield server
