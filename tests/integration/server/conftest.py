import pytest

from tests.integration.server.running import RunningServer, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> RunningServer:
    """One server, one Ray, for all tests that do not harm it; each test uses a contract of its own."""
    with running(tmp_path_factory.mktemp("shared") / "data") as server:
        yield server


@pytest.fixture
def contract(request: pytest.FixtureRequest, server: RunningServer) -> str:
    """A contract named after the test; what is deployed under it is deleted afterwards."""
    name = f"tests/{request.node.name.replace('/', '-')[:100]}/0"
    yield name
    listed = server.http.get(f"/{name}/list")
    if listed.status_code == 200:
        for entry in listed.json():
            server.http.delete(f"/{name}/{entry['FQRV']['releaseVersion']}").raise_for_status()
