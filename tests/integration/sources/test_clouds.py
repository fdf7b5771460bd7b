"""Google's and Azure's storage, through gcsfs and adlfs, from emulators on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import replace

import pytest

from forestflow.artifacts.sources.directories import SourceDirectories
from forestflow.domain.errors import ArtifactRejected
from forestflow.domain.ids import Contract
from forestflow.domain.requests import H2OMojo
from forestflow.domain.versions import Watch
from tests.integration.server.test_version_directories import become, watch
from tests.serving import MODELS, golden, rows_body, running, values

AZURITE = "azurite@3.37.0"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # all know it
INSTALL_SECONDS = 240
MOJO = (MODELS / "energy_gbm_v1.zip").read_bytes()


class Google:
    """gcp-storage-emulator, for whom gcsfs takes ``STORAGE_EMULATOR_HOST``."""

    prefix = "gs://models"
    scheme = "gs"

    def __init__(self):
        server = pytest.importorskip("gcp_storage_emulator.server", reason="gcp-storage-emulator is not installed")
        pytest.importorskip("gcsfs", reason="gcsfs is not installed")
        self._server = server.create_server("127.0.0.1", 0, in_memory=True, default_bucket="models")
        self._server.start()
        self._url = f"http://127.0.0.1:{self._server._api._httpd.server_port}"
        # The emulator knows buckets of one kind alone, and nothing of the service that tells the kind
        self.environment = {"STORAGE_EMULATOR_HOST": self._url, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}

    def put(self, key, content):
        name = urllib.parse.quote(key, safe="")
        url = f"{self._url}/upload/storage/v1/b/models/o?uploadType=media&name={name}"
        head = {"Content-Type": "application/octet-stream"}
        with urllib.request.urlopen(urllib.request.Request(url, content, head, method="POST")) as answer:
            assert answer.status == 200

    def stop(self):
        self._server.stop()


class Azure:
    """azurite, for which adlfs takes the connection string that Azure's own clients take."""

    prefix = "abfs://models"
    scheme = "abfs"

    def __init__(self, folder):
        pytest.importorskip("adlfs", reason="adlfs is not installed")
        blob = pytest.importorskip("azure.storage.blob", reason="azure-storage-blob is not installed")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = ["--silent", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
        self._process = subprocess.Popen(
            ["node_modules/.bin/azurite-blob", "--blobHost", "127.0.0.1", "--blobPort", str(port), *options],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        account = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={AZURITE_KEY}"
        connection = f"{account};BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
        self.environment = {"AZURE_STORAGE_CONNECTION_STRING": connection}
        try:
            wait_for(port, self._process)
            self._client = blob.BlobServiceClient.from_connection_string(connection)
            self._client.create_container("models")
        except BaseException:
            self.stop()
            raise

    def put(self, key, content):
        self._client.get_blob_client("models", key).upload_blob(content, overwrite=True)

    def stop(self):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def wait_for(port, process):
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    """A folder with azurite installed."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("there is no Node.js")
    folder = tmp_path_factory.mktemp("azurite")
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent", AZURITE]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {AZURITE} in {INSTALL_SECONDS} s")
    if done.returncode:
        pytest.skip(f"npm does not install {AZURITE}: {done.stderr[-300:]}")
    return folder


@pytest.fixture(scope="module", params=["gs", pytest.param("abfs", marks=[pytest.mark.slow, pytest.mark.timeout(500)])])
def cloud(request):
    cloud = Google() if request.param == "gs" else Azure(request.getfixturevalue("azurite"))
    yield cloud
    cloud.stop()


def test_a_model_is_deployed_and_its_versions_are_watched(cloud, tmp_path):
    rows, expected = golden("energy_gbm_v1")
    cloud.put("models/model.zip", MOJO)
    cloud.put("versions/1/model.zip", MOJO)
    valid = {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
    body = {
        "path": f"{cloud.prefix}/models",
        "flavor": {"H2OMojo": {"mojoPath": "model.zip"}},
        "servableSettings": {"policySettings": valid},
    }
    flags = ["--source-schemes", cloud.scheme]
    with running(tmp_path / "data", *flags, env=cloud.environment) as server:
        created = server.http.post("/servable/clouds/model/0/first", json=body)
        assert created.status_code == 200, created.text
        assert values(server.score("clouds/model/0", rows_body(rows))) == pytest.approx(expected, rel=1e-9)
        versions = f"{cloud.prefix}/versions"
        assert watch(server, "clouds/versions/0", versions, {"latest": {}}) == {"1": "AVAILABLE"}
        cloud.put("versions/2/model.zip", (MODELS / "energy_gbm_v2.zip").read_bytes())
        become(server, "clouds/versions/0", {"1": "RETIRED", "2": "AVAILABLE"})
        rows, expected = golden("energy_gbm_v2")
        assert values(server.score("clouds/versions/0", rows_body(rows))) == pytest.approx(expected, rel=1e-9)


def test_folders_files_and_fingerprints(cloud, get, rules, monkeypatch):
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    files = {"saved_model.pb": os.urandom(3_000_000), "variables/data": b"abc"}
    for name, content in files.items():
        cloud.put(f"mnist/1/{name}", content)
    cloud.put("mnist/10/saved_model.pb", b"another")
    cloud.put("mnist/2", b"a file")
    schemes = {"schemes": (cloud.scheme,)}
    for path, artifact in (("/mnist", "1"), ("/mnist/1", "."), ("", "mnist/1")):
        folder = get(cloud.prefix + path, artifact, **schemes).folder / artifact
        found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert found == files
    with pytest.raises(ArtifactRejected, match="holds nothing at"):
        get(f"{cloud.prefix}/mnist", "7", **schemes)

    directories = SourceDirectories(replace(rules, **schemes))

    def look(path, *versions):
        watched = Watch(Contract("o", "p", 0), cloud.prefix + path, H2OMojo("model.zip"))
        return directories.look(watched, lambda found: frozenset(versions))

    first = look("/mnist", 1)
    assert first.keys() == {1, 10}
    assert look("/mnist", 1) == first
    cloud.put("mnist/1/variables/data", b"abd")  # as long as before
    second = look("/mnist", 1)
    assert len({None, first[1], second[1]}) == 3
    cloud.put("mnist/3/saved_model.pb", b"third")
    assert look("/mnist").keys() == {1, 3, 10}
    with pytest.raises(ArtifactRejected):
        look("/nothing")
