"""One training run a session, and each of its models loaded once."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forestflow.domain.requests import H2OMojo
from forestflow.domain.settings import Resources
from forestflow.servables import loading
from forestflow.servables.base import Servable
from tests.integration.h2o.training import Case, train_all

EXAMPLES = Path(__file__).parents[3] / "forestflow" / "examples" / "models"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs Java; what needs the trained models is slow."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.h2o)
            if "trained" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.slow)
                item.add_marker(pytest.mark.timeout(300))


def load(path: Path) -> Servable:
    return loading.load(path, H2OMojo(path.name), Resources())


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    """All models by name. ``FORESTFLOW_TEST_MOJOS`` names a folder to keep them in from one session to the next."""
    kept = os.environ.get("FORESTFLOW_TEST_MOJOS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("mojos")
    remembered = folder / "cases.pickle"
    if kept and remembered.is_file():
        yield pickle.loads(remembered.read_bytes())
        return
    folder.mkdir(parents=True, exist_ok=True)
    cases = train_all(folder)
    if kept:
        remembered.write_bytes(pickle.dumps(cases))
    yield cases


@pytest.fixture(scope="session")
def servable(trained: dict[str, Case]) -> Callable[[str], Servable]:
    loaded: dict[str, Servable] = {}

    def get(name: str) -> Servable:
        if name not in loaded:
            loaded[name] = load(trained[name].mojo)
        return loaded[name]

    return get
