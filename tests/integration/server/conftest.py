from collections.abc import Iterator

import pytest

from tests.serving import RunningServer


@pytest.fixture
def contract(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[str]:
    """A contract named after the test; what is deployed under it is deleted afterwards."""
    name = f"tests/{request.node.name.replace('/', '-')[:100]}/0"
    yield name
    listed = server.http.get(f"/{name}/list")
    if listed.status_code == 200:
        for entry in listed.json():
            server.http.delete(f"/{name}/{entry['FQRV']['releaseVersion']}").raise_for_status()
