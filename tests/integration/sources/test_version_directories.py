"""Version directories that are elsewhere: in moto's S3 and on an FTP server, watched by a real server."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import Counter
from dataclasses import replace

import boto3
import pytest
from moto.server import ThreadedMotoServer

from forestflow.artifacts.sources.directories import SourceDirectories
from forestflow.domain.errors import ArtifactRejected
from forestflow.domain.ids import Contract
from forestflow.domain.requests import H2OMojo
from forestflow.domain.versions import Watch
from tests.integration.server.test_version_directories import Load, answered_since, become, watch
from tests.integration.sources.servers import ftp_serving, serving
from tests.serving import MODELS, running

MOJOS = {number: (MODELS / f"energy_gbm_{'v1' if number % 2 else 'v2'}.zip").read_bytes() for number in (0, 1)}


class Bucket:
    """A bucket of a moto server that can go away and come back with what it held."""

    name = "my-models"

    def __init__(self):
        self.port = 0
        self.start()
        self.client = self._session().client("s3", endpoint_url=self.url, region_name="us-east-1")
        self.client.create_bucket(Bucket=self.name)

    def start(self):
        self.service = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self.service.start()
        _, self.port = self.service.get_host_and_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @staticmethod
    def _session():
        return boto3.session.Session("root", "root")

    def path(self, folder):
        return f"s3::{self.url}/{self.name}/{folder} bucket={self.name}"

    def put(self, key, content=None):
        self.client.put_object(Bucket=self.name, Key=key, Body=MOJOS[1] if content is None else content)

    def delete(self, key):
        self.client.delete_object(Bucket=self.name, Key=key)


@pytest.fixture(scope="module")
def bucket():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    bucket = Bucket()
    yield bucket
    bucket.service.stop()


@pytest.fixture(scope="module")
def watching_server(tmp_path_factory, bucket):
    """Its S3 credentials are those of one object, the most specific of the three levels."""
    of_model = f"127_0_0_1_{bucket.port}_my_models_model_zip"
    environment = {f"{of_model}_aws_access_key_id": "me", f"{of_model}_aws_secret_access_key": "s3cret"}
    flags = ["--source-schemes", "file,http,s3,ftp,ssh", "--source-hosts", "127.0.0.1"]
    with running(tmp_path_factory.mktemp("watching") / "data", *flags, env=environment) as server:
        yield server


@pytest.fixture
def contract(request, watching_server):
    name = f"remote/{request.node.originalname}/0"
    yield name
    watching_server.http.delete(f"/{name}/versions")
    listed = watching_server.http.get(f"/{name}/list")
    for entry in listed.json() if listed.status_code == 200 else ():
        watching_server.http.delete(f"/{name}/{entry['FQRV']['releaseVersion']}").raise_for_status()


def watch_of(path):
    return Watch(Contract("o", "p", 0), path, H2OMojo("model.zip"))


@pytest.fixture
def look(rules):
    """One look after another by the same eyes; which versions are looked into."""
    directories = SourceDirectories(rules)

    def look(path, *versions):
        return directories.look(watch_of(path), lambda found: frozenset(versions))

    return look


@pytest.fixture
def credentials(monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_EC2_METADATA_DISABLED"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")


def said(server, contract, part):
    """Wait until the status of the directory holds these words."""
    deadline = time.monotonic() + 60
    while True:
        status = server.http.get(f"/{contract}/versions").json()["VersionsStatus"]
        if part in status.get("message", ""):
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.05)


def hang_up(server):
    """As an FTP server does with connections that are idle for too long."""
    connections = [c for c in list(server.ioloop.socket_map.values()) if c is not server]
    assert connections
    server.ioloop.call_later(0, lambda: [connection.close() for connection in connections])
    deadline = time.monotonic() + 10
    while any(c in server.ioloop.socket_map.values() for c in connections):
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- through the real server ------------------------------------------------------------------------------------------


def test_a_bucket_swaps_under_load_and_its_failures_retire_nothing(watching_server, bucket, contract):
    bucket.put("swaps/1/model.zip")
    bucket.put("swaps/notes.txt", b"no version")
    assert watch(watching_server, contract, bucket.path("swaps"), {"latest": {}}) == {"1": "AVAILABLE"}
    with Load(watching_server, contract) as load:
        bucket.put("swaps/2/model.zip", MOJOS[0])
        bucket.delete("swaps/1/model.zip")
        become(watching_server, contract, {"2": "AVAILABLE"})
        answered_since(load, "2")
        bucket.service.stop()
        status = said(watching_server, contract, "S3")
        assert [(v["version"], v["state"]) for v in status["versions"]] == [("2", "AVAILABLE")]
        bucket.start()
        bucket.put("swaps/3/model.zip")
        become(watching_server, contract, {"2": "RETIRED", "3": "AVAILABLE"})
        answered_since(load, "3")
        for key in ("2/model.zip", "3/model.zip", "notes.txt"):
            bucket.delete(f"swaps/{key}")
        status = said(watching_server, contract, "nothing lies under s3://my-models/swaps/")
        assert {"version": "3", "state": "AVAILABLE"}.items() <= status["versions"][-1].items()
    assert load.failures == []
    assert load.answers.keys() == {"1", "2", "3"}


def test_versions_on_an_ftp_server(watching_server, contract, tmp_path):
    def put(version):
        (tmp_path / "models" / str(version)).mkdir(parents=True)
        shutil.copy(
            MODELS / f"energy_gbm_{'v1' if version % 2 else 'v2'}.zip", tmp_path / f"models/{version}/model.zip"
        )

    put(1)
    with ftp_serving(tmp_path) as server:
        assert watch(watching_server, contract, f"{server.url}/models", {"latest": {}}) == {"1": "AVAILABLE"}
        put(2)
        become(watching_server, contract, {"1": "RETIRED", "2": "AVAILABLE"})
        shutil.rmtree(tmp_path / "models" / "1")
        become(watching_server, contract, {"2": "AVAILABLE"})
        with Load(watching_server, contract) as load:
            answered_since(load, "2")
    assert load.answers == Counter({"2": load.answers["2"]})
    assert load.failures == []
    watching_server.http.delete(f"/{contract}/versions").raise_for_status()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("http://127.0.0.1/models", "over http a directory cannot be listed"),
        ("git@127.0.0.1:org/models.git", "a git repository has no version directories"),
        ("s3://my-models/nowhere", "S3 answered"),
        ("gs://bucket/models", "source_schemes"),
    ],
)
def test_what_cannot_be_listed_is_a_clear_422(watching_server, contract, bucket, path, reason):
    organization, project, number = contract.split("/")
    names = {"organization": organization, "project": project, "contractNumber": int(number)}
    path = path.replace("s3://my-models/nowhere", f"s3::{bucket.url}/nobodys bucket=nobodys")
    valid = {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
    payload = {
        "path": path,
        "fqrv": {"contract": names},
        "flavor": {"H2OMojo": {"mojoPath": "model.zip"}},
        "servableSettings": {"policySettings": valid},
        "versions": {"latest": {}},
    }
    refused = watching_server.http.post("/servable", json=payload)
    assert (refused.status_code, reason in refused.text) == (422, True), refused.text
    assert watching_server.http.get(f"/{contract}/versions").status_code == 404


# --- one look ---------------------------------------------------------------------------------------------------------


def test_fingerprints_of_objects_are_their_names_sizes_and_etags(bucket, look, credentials):
    path = bucket.path("written")
    for key in ("1/variables/data", "1/saved_model.pb", "10/saved_model.pb", "02/no-version"):
        bucket.put(f"written/{key}", b"abc")
    bucket.put("written/3/", b"")  # an empty object that stands for a folder
    bucket.put("written/4", b"a file")
    first = look(path, 1, 3)
    assert (first.keys(), first[3], first[10]) == ({1, 3, 10}, None, None)
    assert look(path, 1)[1] == first[1]
    bucket.put("written/1/variables/data", b"abd")  # as long as before
    second = look(path, 1)[1]
    bucket.put("written/1/variables/index", b"")
    third = look(path, 1)[1]
    bucket.delete("written/1/variables/index")
    assert len({None, first[1], second, third}) == 4
    assert look(path, 1)[1] == second


def test_a_look_lists_more_than_one_page(bucket, look, credentials, monkeypatch):
    """More than one page of folders, and of objects in one."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for number in range(1, 8):
        bucket.put(f"many/{number}/model", b"x")
        bucket.put(f"many/7/{number}", b"x")
    before = look(bucket.path("many"), 7)
    assert before.keys() == set(range(1, 8))
    bucket.put("many/7/model", b"y")  # the last by name
    assert look(bucket.path("many"), 7)[7] not in (None, before[7])
    assert bucket.client.list_objects_v2(Bucket=bucket.name, Prefix="many/")["KeyCount"] == 3


def test_a_store_stays_open_until_it_fails(bucket, rules, tmp_path, credentials, monkeypatch):
    """Then credentials are read again."""
    used = []
    session = boto3.session.Session
    monkeypatch.setattr(boto3.session, "Session", lambda *keys: used.append(keys[0]) or session(*keys))
    bucket.put("rights/1/model.zip")
    level, file = f"127_0_0_1_{bucket.port}_my_models", tmp_path / "credentials.toml"
    directories = SourceDirectories(replace(rules, s3_credentials_file=file))

    def look(key):
        file.write_text(f'{level}_aws_access_key_id = "{key}"\n{level}_aws_secret_access_key = "s"\n')
        return directories.look(watch_of(bucket.path("rights")), lambda found: frozenset())

    assert look("first") == look("second") == {1: None}
    assert used == ["first"]
    bucket.service.stop()
    with pytest.raises(ArtifactRejected, match="Could not connect to the endpoint"):
        look("third")
    bucket.start()
    assert look("fourth") == {1: None}
    assert used == ["first", "third", "fourth"]


def test_without_rights_the_names_of_the_variables_are_told(look, tmp_path):
    with serving(tmp_path) as server:
        server.statuses = [403] * 10
        level = server.url.removeprefix("http://").replace(".", "_").replace(":", "_")
        with pytest.raises(
            ArtifactRejected, match=rf"403, .*{level}_models_model_zip_aws_access_key_id, {level}_models"
        ):
            look(f"s3::{server.url}/models/mnist bucket=models")


def test_an_ftp_connection_that_ended_meanwhile_is_made_anew(look, tmp_path):
    (tmp_path / "models" / "1" / "variables").mkdir(parents=True)
    (tmp_path / "models" / "1" / "variables" / "data").write_bytes(b"abc")
    (tmp_path / "models" / "2").write_bytes(b"a file")
    with ftp_serving(tmp_path) as server:
        path = f"{server.url}/models"
        first = look(path, 1)
        assert first.keys() == {1}
        assert look(path, 1) == first
        assert len(server.handler.logins) == 1
        hang_up(server)
        assert look(path, 1) == first
        assert len(server.handler.logins) == 2
        (tmp_path / "models" / "1" / "variables" / "data").write_bytes(b"abcd")
        assert look(path, 1) != first
        shutil.rmtree(tmp_path / "models" / "1")
        assert look(path) == {}
        (tmp_path / "models" / "2").unlink()
        with pytest.raises(ArtifactRejected, match="ftp: nothing lies in /models"):
            look(path)
    with pytest.raises(ArtifactRejected, match=r"ftp: .*refused"):
        look(path)
