"""A MOJO deployed from git, S3 and HTTP through the real server, and what it answers when that fails."""

from __future__ import annotations

import hashlib
import logging
import shutil
import socket
import threading
import time

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.integration.sources.servers import Git, repository, serving
from tests.serving import MODELS, golden, rows_body, running, values

MODEL = "energy_gbm_v1.zip"
CONTENT = (MODELS / MODEL).read_bytes()
FETCH_SECONDS = 10


@pytest.fixture(scope="module")
def bucket():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    service = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    service.start()
    url = "http://{}:{}".format(*service.get_host_and_port())
    client = boto3.session.Session("root", "root").client("s3", endpoint_url=url, region_name="us-east-1")
    client.create_bucket(Bucket="my-models")
    client.put_object(Bucket="my-models", Key=MODEL, Body=CONTENT)
    yield f"s3::{url}/my-models bucket=my-models"
    service.stop()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(MODELS / MODEL, folder)
    shutil.make_archive(str(folder / "packed"), "gztar", MODELS, MODEL)
    with serving(folder) as server:
        yield server


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repositories")
    repository(folder, {MODEL: CONTENT}, "v3.first")
    with serving(folder, Git) as server:
        yield server


@pytest.fixture(scope="module")
def fetching_server(tmp_path_factory, bucket):
    """A server that may fetch from loopback; its S3 credentials are named after the host, as in the original."""
    host = bucket.partition("//")[2].partition("/")[0].replace(".", "_").replace(":", "_")
    environment = {
        f"{host}_aws_access_key_id": "me",
        f"{host}_aws_secret_access_key": "s3cret",
        "FORESTFLOW_LOG_LEVEL": "INFO",
    }
    flags = ["--source-schemes", "file,http,s3,ssh", "--source-hosts", "127.0.0.1"]
    data = tmp_path_factory.mktemp("fetching") / "data"
    with running(data, *flags, "--fetch-timeout-seconds", str(FETCH_SECONDS), env=environment) as server:
        yield server


def deploy(server, fqrv, path, **more):
    valid = {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
    body = {"path": path, "flavor": {"H2OMojo": {"mojoPath": MODEL}}, "servableSettings": {"policySettings": valid}}
    body |= more
    return server.http.post(f"/servable/{fqrv}" if fqrv else "/servable", json=body)


def scores(server, contract):
    rows, expected = golden()
    assert values(server.score(contract, rows_body(rows))) == pytest.approx(expected, rel=1e-9)


def test_one_model_from_everywhere(fetching_server, bucket, web, repositories):
    sources = {
        "s3": bucket,
        "http": web.url,
        "archive": f"{web.url}/packed.tar.gz",
        "git": f"{repositories.url}/org/project.git#v3.first",
    }
    pins = {"http": hashlib.sha256(CONTENT).hexdigest()}
    pins["archive"] = hashlib.sha256((web.folder / "packed.tar.gz").read_bytes()).hexdigest()
    for name, path in sources.items():
        more = {"sha256": pins[name]} if name in pins else {}
        created = deploy(fetching_server, f"sources/{name}/0/first", path, **more)
        assert created.status_code == 200, created.text
        scores(fetching_server, f"sources/{name}/0")


def test_a_git_tag_names_the_release(fetching_server, repositories):
    created = deploy(fetching_server, None, f"{repositories.url}/org/project.git#v3.first")
    contract = {"organization": "org", "project": "project", "contractNumber": 3}
    expected = {"fqrv": {"contract": contract, "releaseVersion": "first"}}
    assert (created.status_code, created.json()) == (200, {"ServableCreatedSuccessfully": expected})
    scores(fetching_server, "org/project/3")


def test_refusals_say_what_to_do_and_leave_nothing(fetching_server, web):
    before = sorted(p.name for p in (fetching_server.data_dir / "artifacts").iterdir())
    for path, status, reason in (
        ("https://127.0.0.1/x", 422, "source_schemes"),
        ("http://localhost/x", 422, "source_hosts"),
        (f"{web.url}/missing", 422, "answered 404"),
        ("ext::sh -c x", 422, "supported protocol"),
    ):
        refused = deploy(fetching_server, "sources/refused/0/first", path)
        assert (refused.status_code, reason in refused.text) == (status, True), refused.text
    refused = deploy(fetching_server, "sources/refused/0/first", web.url, sha256="0" * 64)
    assert refused.status_code == 422
    assert hashlib.sha256(CONTENT).hexdigest() in refused.json()["CreateServableRequestInvalidError"]["errorMessage"]
    assert fetching_server.http.get("/sources/refused/0/status").status_code == 404
    assert sorted(p.name for p in (fetching_server.data_dir / "artifacts").iterdir()) == before


def test_secrets_are_refused_and_kept_nowhere(fetching_server):
    refused = deploy(fetching_server, "sources/secret/0/first", "http://me:s3cr3t-pa55@127.0.0.1/models")
    assert refused.status_code == 400, refused.text
    assert "s3cr3t-pa55" not in refused.text
    for file in [*fetching_server.data_dir.rglob("*"), fetching_server.output]:
        assert not file.is_file() or b"s3cr3t-pa55" not in file.read_bytes(), file


def test_the_status_tells_progress_and_a_silent_server_ends_in_504(fetching_server):
    """Half of the file comes, then nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hangs_up = threading.Event()

        def answer():
            listener.settimeout(FETCH_SECONDS)
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                head = b"HTTP/1.1 200 OK\r\nContent-Length: 80000000\r\n\r\n"
                connection.sendall(head + bytes(12_000_000))
                hangs_up.wait(60)

        sender = threading.Thread(target=answer)
        sender.start()
        answers = []
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/models"
        deployer = threading.Thread(target=lambda: answers.append(deploy(fetching_server, "sources/slow/0/first", url)))
        deployer.start()
        seen, started = "", time.monotonic()
        while "12 of 80 MB" not in seen and time.monotonic() - started < FETCH_SECONDS:
            status = fetching_server.http.get("/sources/slow/0/first/status")
            seen = status.text if status.status_code == 200 else ""
            time.sleep(0.05)
        deployer.join()
        hangs_up.set()
        sender.join()
    assert '"message":"downloading 12 of 80 MB"' in seen.replace('": "', '":"')
    assert answers[0].status_code == 504, answers[0].text
    assert "fetch_timeout_seconds" in answers[0].text
    assert fetching_server.http.get("/sources/slow/0/first/status").status_code == 404


def test_a_release_deleted_while_it_is_fetched_stops_the_fetch(fetching_server, tmp_path):
    """The server hears of the end of the connection long before its answer would have ended."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            listener.settimeout(FETCH_SECONDS)
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    while not ended.wait(0.02):
                        connection.sendall(bytes(1_000_000))
                except OSError:
                    ended.set()

        sender = threading.Thread(target=answer)
        sender.start()
        answers = []
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/models"
        deployer = threading.Thread(
            target=lambda: answers.append(deploy(fetching_server, "sources/deleted/0/first", url))
        )
        deployer.start()
        started = time.monotonic()
        while fetching_server.http.get("/sources/deleted/0/first/status").status_code != 200:
            assert time.monotonic() - started < FETCH_SECONDS
            time.sleep(0.02)
        fetching_server.http.delete("/sources/deleted/0/first").raise_for_status()
        stopped = ended.wait(FETCH_SECONDS - 3)
        ended.set()
        deployer.join()
        sender.join()
    assert stopped
    assert "deleted while it was loading" in answers[0].text
