"""Models over HTTP: whole in spite of faults, and from nowhere but where they may come from."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import socket
import tarfile
import threading
import zipfile

import pytest

from forestflow.domain.errors import ArtifactRejected, DeadlineExceeded, LoadFailed, Malformed
from tests.integration.sources.servers import serving

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def web(tmp_path):
    folder = tmp_path / "served"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "model.zip").write_bytes(CONTENT)
    with serving(folder) as server:
        yield server


def test_a_file_by_its_own_url_and_by_that_of_its_folder(web, get):
    for path in ("/models/model.zip", "/models", "/models/"):
        fetched = get(web.url + path, "model.zip")
        assert (fetched.folder / "model.zip").read_bytes() == CONTENT
    assert (get(web.url, "models/model.zip").folder / "models" / "model.zip").read_bytes() == CONTENT


def test_a_broken_connection_is_resumed_where_it_broke(web, get):
    web.cuts = [1_000_000, 500_000]
    assert (get(f"{web.url}/models/model.zip", "model.zip").folder / "model.zip").read_bytes() == CONTENT
    assert [headers.get("Range") for _, headers in web.seen] == [None, "bytes=1000000-", "bytes=1500000-"]


def test_without_ranges_it_starts_again(web, get):
    web.cuts, web.ranges = [1_000_000], False
    told = []
    fetched = get(f"{web.url}/models/model.zip", "model.zip", report=told.append, max_bytes=len(CONTENT))
    assert (fetched.folder / "model.zip").read_bytes() == CONTENT
    assert told[-1] == "downloading 3 of 3 MB"


def test_a_file_that_changed_meanwhile_is_taken_whole(web, get):
    web.cuts = [1_000_000]
    fresh = os.urandom(2_000_000)

    def change(text):
        if text.startswith("downloading 1"):
            (web.folder / "models" / "model.zip").write_bytes(fresh)

    fetched = get(f"{web.url}/models/model.zip", "model.zip", report=change)
    assert (fetched.folder / "model.zip").read_bytes() == fresh


def test_a_server_that_is_busy_is_asked_again_but_not_for_ever(web, get):
    web.statuses = [503, 429]
    assert get(f"{web.url}/models/model.zip", "model.zip")
    web.statuses = [503] * 9
    with pytest.raises(ArtifactRejected, match=r"answered 503; given up after 4 tries"):
        get(f"{web.url}/models/model.zip", "model.zip")


def test_what_is_not_there_is_said(web, get):
    with pytest.raises(ArtifactRejected, match=r"/models/other\.zip answered 404; the path is that of"):
        get(f"{web.url}/models", "other.zip")
    with pytest.raises(ArtifactRejected, match="name an archive"):
        get(f"{web.url}/models", ".")


def test_size_is_counted_whatever_the_server_announces(web, get):
    with pytest.raises(ArtifactRejected, match="larger than 2999999 bytes"):
        get(f"{web.url}/models/model.zip", "model.zip", max_bytes=2_999_999)
    assert get(f"{web.url}/models/model.zip", "model.zip", max_bytes=3_000_000)


def test_a_server_that_never_ends_is_left_at_the_limit_and_one_that_is_silent_at_the_deadline(get):
    """Neither says how long its answer is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(endless):
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                try:
                    while endless:
                        connection.sendall(b"x" * 65536)
                    connection.recv(1)  # until the client hangs up
                except OSError:
                    return

        url = f"http://127.0.0.1:{listener.getsockname()[1]}/model.zip"
        for endless, expected in ((True, ArtifactRejected), (False, DeadlineExceeded)):
            thread = threading.Thread(target=answer, args=(endless,))
            thread.start()
            with pytest.raises(expected, match=r"artifact_max_bytes|fetch_timeout_seconds"):
                get(url, "model.zip", timeout_seconds=1.0, max_bytes=1_000_000)
            thread.join()


def test_hosts_that_are_not_listed_are_not_asked(web, get):
    with pytest.raises(ArtifactRejected, match=r"may not come from the host '127\.0\.0\.1'.*source_hosts"):
        get(f"{web.url}/models", "model.zip", hosts=("example.com",))
    with pytest.raises(ArtifactRejected, match="private address"):
        get(f"{web.url}/models", "model.zip", hosts=("*",))
    with pytest.raises(ArtifactRejected, match=r"'http' are not allowed.*source_schemes"):
        get(f"{web.url}/models", "model.zip", schemes=("https",))
    assert web.seen == []
    assert get(f"{web.url}/models", "model.zip", hosts=("*", "127.*"))


def test_redirects_are_followed_only_to_where_they_may_lead(web, get):
    web.redirects = {
        "/fine": "/models/model.zip",
        "/other": web.url.replace("127.0.0.1", "127.0.0.2") + "/models/model.zip",
        "/metadata": "http://169.254.169.254/latest",
        "/file": "file:///etc/passwd",
        "/round": "/round",
    }
    web.redirects["/fine/model.zip"] = "/models/model.zip"
    for name in ("other", "metadata", "file", "round"):
        web.redirects[f"/{name}/model.zip"] = web.redirects[f"/{name}"]
    assert (get(f"{web.url}/fine", "model.zip").folder / "model.zip").read_bytes() == CONTENT
    with pytest.raises(ArtifactRejected, match=r"the host '127\.0\.0\.2'"):
        get(f"{web.url}/other", "model.zip")
    with pytest.raises(ArtifactRejected, match=r"the host '169\.254\.169\.254'"):
        get(f"{web.url}/metadata", "model.zip")
    with pytest.raises(ArtifactRejected, match="not https"):
        get(f"{web.url}/file", "model.zip")
    web.redirects["/round/model.zip"] = "/round/model.zip"
    with pytest.raises(ArtifactRejected, match="more than 5 times"):
        get(f"{web.url}/round", "model.zip")


def test_the_address_that_was_checked_is_the_one_connected_to(web, get, monkeypatch):
    """A name that means something else a moment later does not matter: it is looked up once."""
    answers = iter([("127.0.0.1", 0)])
    real = socket.getaddrinfo

    def changing(host, *args, **kwargs):
        if host == "rebinding.example.com":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", next(answers))]
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    url = web.url.replace("127.0.0.1", "rebinding.example.com")
    assert get(f"{url}/models", "model.zip", hosts=("*.example.com",))
    assert web.seen[0][1]["Host"].startswith("rebinding.example.com:")


def test_a_login_comes_from_netrc_and_never_from_the_path(web, get, tmp_path):
    web.login = "Basic " + base64.b64encode(b"me:s3cret").decode()
    with pytest.raises(ArtifactRejected, match=r"401; give the server a login for 127\.0\.0\.1 in ~/\.netrc"):
        get(f"{web.url}/models", "model.zip")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert get(f"{web.url}/models", "model.zip")
    for path in (web.url.replace("//", "//me:s3cret@"), f"{web.url}/model.zip?X-Amz-Signature=s3cret"):
        with pytest.raises(Malformed) as refused:
            get(path, "model.zip")
        assert "s3cret" not in str(refused.value)


def test_a_redirect_elsewhere_does_not_take_the_login_along(web, get, tmp_path):
    (tmp_path / ".netrc").write_text("machine localhost login me password s3cret\n")
    (tmp_path / ".netrc").chmod(0o600)
    web.redirects = {"/there/model.zip": f"{web.url}/models/model.zip"}
    assert get(web.url.replace("127.0.0.1", "localhost") + "/there", "model.zip")
    assert ["Authorization" in headers for _, headers in web.seen] == [True, False]


def test_archives_are_unpacked_and_known_by_their_sha256(web, get):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mnist/saved_model.pb", b"graph")
    (web.folder / "all.zip").write_bytes(packed.getvalue())
    packed_tar = io.BytesIO()
    with tarfile.open(fileobj=packed_tar, mode="w:gz") as archive:
        for name in ("./mnist", "./mnist/variables"):
            folder = tarfile.TarInfo(name)
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
        info = tarfile.TarInfo("./mnist/saved_model.pb")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"graph"))
    (web.folder / "all.tar.gz").write_bytes(packed_tar.getvalue())
    for name, content in (("all.zip", packed), ("all.tar.gz", packed_tar)):
        fetched = get(f"{web.url}/{name}", "mnist")
        assert (fetched.folder / "mnist" / "saved_model.pb").read_bytes() == b"graph"
        assert fetched.sha256 == hashlib.sha256(content.getvalue()).hexdigest()


def test_a_fetch_ends_when_nobody_wants_it_any_more(web, get):
    def stop(text):
        raise LoadFailed("deleted")

    with pytest.raises(LoadFailed, match="deleted"):
        get(f"{web.url}/models", "model.zip", report=stop)
