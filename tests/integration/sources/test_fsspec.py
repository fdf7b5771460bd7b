"""Models through fsspec's drivers: FTP from a real server, and what is said where a driver is missing."""

from __future__ import annotations

import os
import sys

import pytest
from fsspec.registry import _registry

from forestflow.artifacts.sources.fs import FsspecStore
from forestflow.domain.errors import ArtifactRejected
from tests.integration.sources.servers import ftp_serving

CONTENT = os.urandom(1_500_000)


@pytest.fixture
def ftp(tmp_path):
    folder = tmp_path / "ftp"
    (folder / "models" / "mnist" / "variables").mkdir(parents=True)
    (folder / "models" / "model.zip").write_bytes(CONTENT)
    (folder / "models" / "mnist" / "saved_model.pb").write_bytes(b"graph")
    (folder / "models" / "mnist" / "variables" / "data").write_bytes(b"data")
    with ftp_serving(folder) as server:
        yield server


def test_files_and_folders_over_ftp(ftp, get):
    for path in ("/models", "/models/", "/models/model.zip"):
        assert (get(ftp.url + path, "model.zip").folder / "model.zip").read_bytes() == CONTENT
    fetched = get(f"{ftp.url}/models", "mnist")
    files = {p.relative_to(fetched.folder).as_posix(): p.read_bytes() for p in fetched.folder.rglob("*") if p.is_file()}
    assert files == {"mnist/saved_model.pb": b"graph", "mnist/variables/data": b"data"}


def test_what_is_not_there_and_what_is_too_large(ftp, get):
    with pytest.raises(ArtifactRejected, match="holds nothing at"):
        get(f"{ftp.url}/models", "other.zip")
    with pytest.raises(ArtifactRejected, match="larger than 1000000 bytes"):
        get(f"{ftp.url}/models", "model.zip", max_bytes=1_000_000)


def test_hosts_and_logins(ftp, get, tmp_path):
    for hosts in (("ftp.example.com",), ("*",)):
        with pytest.raises(ArtifactRejected, match=r"may not come from|private address"):
            get(f"{ftp.url}/models", "model.zip", hosts=hosts)
    assert ftp.handler.logins == []
    get(f"{ftp.url}/models", "model.zip")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    (tmp_path / ".netrc").chmod(0o600)
    get(f"{ftp.url}/models", "model.zip")
    assert set(ftp.handler.logins) == {"anonymous", "me"}


def test_a_connection_refused_is_said(ftp, get):
    with pytest.raises(ArtifactRejected, match=r"ftp: .*refused"):
        get("ftp://127.0.0.1:1/models", "model.zip")


@pytest.mark.parametrize(
    ("path", "package"),
    [("gs://bucket/models", "gcsfs"), ("hdfs://127.0.0.1:8020/models", "pyarrow"), ("abfss://c@127.0.0.1/m", "adlfs")],
)
def test_a_missing_driver_is_named(get, path, package, monkeypatch):
    for module in ("gcsfs", "adlfs", "pyarrow"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(_registry, path.partition(":")[0], raising=False)  # another test had it made
    with pytest.raises(ArtifactRejected, match=f"driver of .* installed: .*{package}"):
        get(path, "model.zip")


@pytest.mark.parametrize(
    "path",
    [
        "memory://x", "local:///etc", "filecache::http://127.0.0.1/x", "zip://x::http://127.0.0.1/x.zip",
        "simplecache::s3://b/x", "reference://x", "ext::sh -c touch% /tmp/x",
    ],
)  # fmt: skip
def test_drivers_around_other_drivers_are_none(get, path):
    scheme = path.partition("://")[0].partition("::")[0]
    with pytest.raises(ArtifactRejected, match="supported protocol"):
        get(path, "passwd", schemes=("memory", "local", "filecache", "zip", "simplecache", "reference", scheme))


def test_folders_in_folders_for_ever(tmp_path):
    """A driver that tells of one more folder in each folder, as a link to its own parent makes some of them do."""

    class Endless:
        def ls(self, path, detail):
            assert path.count("/") < 1000
            return [{"name": f"{path}/again", "type": "directory"}]

        def invalidate_cache(self):
            pass

    store = object.__new__(FsspecStore)
    store._scheme, store._fs, store.path = "x", Endless(), "start"
    with pytest.raises(ArtifactRejected, match="in too many folders"):
        store.stamps("start")
