"""Models from S3: both forms of a path, credentials of three levels, folders, faults. The service is moto's."""

from __future__ import annotations

import http.server
import logging
import os
import threading

import boto3
import pytest
from botocore.exceptions import IncompleteReadError
from moto.server import ThreadedMotoServer

from forestflow.artifacts.sources import s3
from forestflow.domain.errors import ArtifactRejected, Malformed
from tests.integration.sources.servers import serving

CONTENT = os.urandom(2_500_000)


@pytest.fixture(scope="module")
def service():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.session.Session("root", "root").client("s3", endpoint_url=url, region_name="us-east-1")
    client.create_bucket(Bucket="my-models")
    for key in ("model.zip", "mnist/1/saved_model.pb", "mnist/1/variables/data", "mnist/10/saved_model.pb"):
        client.put_object(Bucket="my-models", Key=key, Body=CONTENT if key == "model.zip" else key.encode())
    client.put_object(Bucket="my-models", Key="mnist/1/empty/", Body=b"")
    yield url
    server.stop()


@pytest.fixture(autouse=True)
def own_credentials(monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_EC2_METADATA_DISABLED"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")


@pytest.fixture
def used(monkeypatch):
    """The access keys that requests were made with."""
    keys = []
    real = boto3.session.Session

    class Session(real):
        def __init__(self, *arguments):
            keys.append(arguments[0] if arguments else None)
            super().__init__(*arguments)

    monkeypatch.setattr(boto3.session, "Session", Session)
    return keys


def test_the_original_form_and_the_plain_one(service, get, monkeypatch):
    named = f"s3::{service}/my-models bucket=my-models region=us-west-1"
    assert (get(named, "model.zip").folder / "model.zip").read_bytes() == CONTENT
    assert (get(f"s3::{service} bucket=my-models", "model.zip").folder / "model.zip").read_bytes() == CONTENT
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", service)
    for path in ("s3://my-models", "s3://my-models/", "s3://my-models/model.zip"):
        assert (get(path, "model.zip").folder / "model.zip").read_bytes() == CONTENT


def test_folders_come_whole_and_without_their_neighbours(service, get):
    """The keys of version 10 begin with those of version 1, too."""
    for path, artifact in (("/mnist", "1"), ("/mnist/1", "."), ("/mnist/1/", "."), ("", "mnist/1")):
        fetched = get(f"s3::{service}/my-models{path} bucket=my-models", artifact)
        folder = fetched.folder / artifact
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        assert files == ["saved_model.pb", "variables/data"]
        assert (folder / "variables" / "data").read_bytes() == b"mnist/1/variables/data"


def test_progress_and_size_are_known_before_the_first_byte(service, get):
    told = []
    path = f"s3::{service}/my-models bucket=my-models"
    get(path, "model.zip", report=told.append)
    assert told[-1] == "downloading 2 of 2 MB"
    told.clear()
    with pytest.raises(ArtifactRejected, match="larger than 1000000 bytes"):
        get(path, "model.zip", report=told.append, max_bytes=1_000_000)
    assert told == []


def test_what_is_not_there(service, get):
    with pytest.raises(ArtifactRejected, match="S3 answered 404, bucket 'my-models'"):
        get(f"s3::{service}/my-models bucket=my-models", "other.zip")
    with pytest.raises(ArtifactRejected, match="404 NoSuchBucket, bucket 'nobodys'"):
        get(f"s3::{service}/nobodys bucket=nobodys", "model.zip")


def test_credentials_of_three_levels(service, get, used, monkeypatch, tmp_path):
    host = service.removeprefix("http://").replace(".", "_").replace(":", "_")
    path = f"s3::{service}/my-models bucket=my-models"
    expected = [None]
    for level in (host, f"{host}_my_models", f"{host}_my_models_model_zip"):
        monkeypatch.setenv(f"{level}_aws_access_key_id", f"key-of-{level}")
        get(path, "model.zip")
        expected.append(expected[-1])  # an id without its secret is none
        monkeypatch.setenv(f"{level}_aws_secret_access_key", "s3cret")
        get(path, "model.zip")
        expected.append(f"key-of-{level}")
    file = tmp_path / "credentials.toml"
    file.write_text(f'{host}_my_models_aws_access_key_id = "f"\n{host}_my_models_aws_secret_access_key = "s"\n')
    get(path, "mnist/1", s3_credentials_file=file)
    assert used == [*expected[1:], "f"]


def test_hosts_that_are_not_listed_are_not_asked(service, get, used):
    path = f"s3::{service}/my-models bucket=my-models"
    with pytest.raises(ArtifactRejected, match=r"may not come from the host '127\.0\.0\.1'"):
        get(path, "model.zip", hosts=("*.amazonaws.com",))
    with pytest.raises(ArtifactRejected, match="private address"):
        get(path, "model.zip", hosts=("*",))
    with pytest.raises(ArtifactRejected, match="'s3' are not allowed"):
        get(path, "model.zip", schemes=("https",))
    assert used == []


def test_secrets_in_the_path_are_refused(service, get):
    with pytest.raises(Malformed) as refused:
        get(f"s3::{service.replace('//', '//me:s3cret@')}/my-models bucket=my-models", "model.zip")
    assert "s3cret" not in str(refused.value)


def test_a_public_bucket_needs_no_credentials(service, get, monkeypatch):
    client = boto3.session.Session("root", "root").client("s3", endpoint_url=service, region_name="us-east-1")
    client.create_bucket(Bucket="open", ACL="public-read")
    client.put_object(Bucket="open", Key="model.zip", Body=b"open", ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert (get(f"s3::{service}/open bucket=open", "model.zip").folder / "model.zip").read_bytes() == b"open"
    with pytest.raises(ArtifactRejected, match="S3 answered 403"):
        get(f"s3::{service}/my-models bucket=my-models", "model.zip")


def test_without_rights_the_names_of_the_variables_are_told(get, tmp_path):
    with serving(tmp_path) as server:
        server.statuses = [403] * 10
        host = server.url.removeprefix("http://").replace(".", "_").replace(":", "_")
        with pytest.raises(ArtifactRejected, match=rf"403, .*{host}_my_models_model_zip_aws_access_key_id, {host}_my"):
            get(f"s3::{server.url}/my-models bucket=my-models", "model.zip")


def test_a_broken_connection_is_resumed(service, get, monkeypatch):
    """The body breaks once, after its first megabyte."""
    ranges = []
    real = s3.S3Store._chunks
    real_call = s3.S3Store._call

    def call(self, operation, **arguments):
        if operation == "get_object":
            ranges.append((arguments.get("Range"), "IfMatch" in arguments))
        return real_call(self, operation, **arguments)

    def chunks(self, body):
        for chunk in real(self, body):
            yield chunk
            if len(ranges) == 1:
                with self._translated():
                    raise IncompleteReadError(actual_bytes=1, expected_bytes=2)

    monkeypatch.setattr(s3.S3Store, "_call", call)
    monkeypatch.setattr(s3.S3Store, "_chunks", chunks)
    fetched = get(f"s3::{service}/my-models bucket=my-models", "model.zip")
    assert (fetched.folder / "model.zip").read_bytes() == CONTENT
    assert ranges == [(None, False), ("bytes=1048576-", True)]


class _EmptyPages(http.server.BaseHTTPRequestHandler):
    """A service whose listing goes on for ever, and holds nothing."""

    def do_HEAD(self):
        self.send_error(404)

    def do_GET(self):
        self.server.pages += 1
        answer = (
            b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            b"<IsTruncated>true</IsTruncated><KeyCount>0</KeyCount>"
            b"<NextContinuationToken>more</NextContinuationToken></ListBucketResult>"
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def test_a_listing_that_goes_on_for_ever(get, monkeypatch):
    monkeypatch.setattr(s3, "MAX_PAGES", 20)
    with http.server.HTTPServer(("127.0.0.1", 0), _EmptyPages) as server:
        server.pages = 0
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(ArtifactRejected, match="more than 100000 objects"):
                get(f"s3::http://127.0.0.1:{server.server_port}/b bucket=b", "mnist")
        finally:
            server.shutdown()
            thread.join()
    assert server.pages == 20
