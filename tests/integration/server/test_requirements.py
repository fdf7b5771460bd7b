"""What pip installs for a model, seen through the real server: told while it goes on, ended with the deploy."""

from __future__ import annotations

import threading
import time

import pytest

from tests.integration.server.test_python import deploy
from tests.unit.artifacts.test_environment import ends, slow, written

pytestmark = pytest.mark.slow

__all__ = ["slow"]  # a fixture
WAIT_SECONDS = 60


def until(found):
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def test_a_release_deleted_while_pip_works_ends_pip(server, contract, tmp_path, slow):
    requirements, pid = slow
    model = tmp_path / "model"
    model.mkdir()
    (model / "serve.py").write_text("class Predict:\n    def predict(self, inputs):\n        return inputs\n")
    answers = []
    deployer = threading.Thread(
        target=lambda: answers.append(deploy(server, contract, model, requirements=[*requirements]))
    )
    deployer.start()
    try:
        builds = written(pid)
        until(lambda: "installing the requirements" in server.http.get(f"/{contract}/v1/status").text)
        until(lambda: f"Processing {pid.parent}" in server.http.get(f"/{contract}/v1/logs").text)
    finally:
        server.http.delete(f"/{contract}/v1").raise_for_status()
        deployer.join(WAIT_SECONDS)
    assert ends(builds)
    assert "deleted while it was loading" in answers[0].text
    assert server.http.get(f"/{contract}/v1/status").status_code == 404
