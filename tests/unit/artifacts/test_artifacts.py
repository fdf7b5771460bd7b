"""What is stored, what is refused, and what a crash or another node makes of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from types import ModuleType

import pytest

from forestflow.artifacts import store as module
from forestflow.artifacts.store import ArtifactCache, ArtifactStore, private_directory
from forestflow.domain.errors import ArtifactRejected, StorageFailed
from forestflow.domain.requests import H2OMojo
from forestflow.servables import loading


@pytest.fixture
def flavor(monkeypatch):
    """A flavor whose artifact is whatever its path names, file or folder."""
    fake = ModuleType("fake_flavor")
    fake.artifact_path = lambda flavor: flavor.mojo_path
    fake.check = lambda path, flavor: None
    monkeypatch.setitem(sys.modules, "fake_flavor", fake)
    monkeypatch.setitem(loading.FLAVOR_MODULES, H2OMojo, "fake_flavor")
    return fake


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source" / "model"
    (folder / "variables" / "deep").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "deep" / "data").write_bytes(b"x" * 3000)
    (folder / "empty").write_bytes(b"")
    (tmp_path / "source" / "one.zip").write_bytes(b"one")
    return tmp_path / "source"


@pytest.fixture
def store(tmp_path, flavor):
    return ArtifactStore(tmp_path / "store", 10_000)


def entries(store):
    return sorted(p.name for p in store._root.iterdir())


def add(store, source, name="model"):
    return store.add(f"file://{source}", H2OMojo(name))


def test_files_elsewhere_come_along(store, source, flavor, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "variables").mkdir(parents=True)
    (elsewhere / "variables" / "more").write_bytes(b"more")
    (elsewhere / "saved_model.pb").write_bytes(b"not this one")
    checked = []
    flavor.check = lambda path, flavor: checked.append(sorted(p.name for p in path.rglob("*") if p.is_file()))
    flavor.elsewhere = lambda path, flavor: elsewhere.as_uri()
    digest = add(store, source)
    assert store.files(digest) == ["empty", "saved_model.pb", "variables/deep/data", "variables/more"]
    assert (store.path(digest) / "saved_model.pb").read_bytes() == b"graph"
    assert checked[0] == ["data", "empty", "more", "saved_model.pb"], "checked when it is whole"

    (elsewhere / "large").write_bytes(b"x" * 9000)
    with pytest.raises(ArtifactRejected, match="larger than 10000 bytes"):
        add(store, source)
    flavor.elsewhere = lambda path, flavor: "s3://bucket/model"
    with pytest.raises(ArtifactRejected, match="source_schemes"):
        add(store, source)
    assert entries(store) == [digest]


def test_folders_and_files_are_stored_whole(store, source):
    folder, file = add(store, source), add(store, source, "one.zip")
    assert store.files(file) == [""]
    assert store.files(folder) == ["empty", "saved_model.pb", "variables/deep/data"]
    assert (store.path(folder) / "variables/deep/data").read_bytes() == b"x" * 3000
    assert store.path(file).read_bytes() == b"one"
    assert add(store, source) == folder
    assert entries(store) == sorted([folder, file])


def test_a_folder_whose_files_are_named_otherwise_is_another_artifact(store, source):
    before = add(store, source)
    (source / "model" / "empty").rename(source / "model" / "void")
    assert add(store, source) != before


def test_links_are_refused_wherever_they_lead(store, source, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s")
    for target in (secret, source / "one.zip", tmp_path / "nowhere", tmp_path):
        link = source / "model" / "variables" / "link"
        link.symlink_to(target)
        with pytest.raises(ArtifactRejected, match="holds a link: variables/link"):
            add(store, source)
        link.unlink()
    (source / "outside").symlink_to(secret)
    with pytest.raises(ArtifactRejected, match="outside"):
        add(store, source, "outside")
    assert entries(store) == []


@pytest.mark.parametrize("path", ["../source/one.zip", "/etc/passwd", "", "a/../../x", "one.zip\0"])
def test_paths_stay_inside(store, source, path):
    with pytest.raises(ArtifactRejected, match="relative path"):
        add(store, source, path)


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("file://elsewhere/x", "supported protocol"),
        ("http://host/x", "'http' are not allowed here; allowed are file"),
        ("-x", "supported protocol"),
        ("file:relative", "absolute"),
        ("file:///x%00y", "absolute"),
        ("/nowhere", "does not exist"),
        ("relative", "supported protocol"),
    ],
)
def test_sources_that_are_none(store, base, reason):
    with pytest.raises(ArtifactRejected, match=reason):
        store.add(base, H2OMojo("one.zip"))


def test_a_pinned_file_or_folder_is_refused_unless_it_is_the_one(store, source):
    file, folder = hashlib.sha256(b"one").hexdigest(), add(store, source)
    lines = [
        f"{name}\0{hashlib.sha256(content).hexdigest()}\n"
        for name, content in (("empty", b""), ("saved_model.pb", b"graph"), ("variables/deep/data", b"x" * 3000))
    ]
    assert folder == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert store.add(f"file://{source}", H2OMojo("one.zip"), sha256=file.upper())
    assert store.add(f"file://{source}", H2OMojo("model"), sha256=folder) == folder
    before = entries(store)
    for name, found in (("one.zip", file), ("model", folder)):
        with pytest.raises(ArtifactRejected, match=f"artifact is {found}; the request says {'0' * 64}"):
            store.add(f"file://{source}", H2OMojo(name), sha256="0" * 64)
    assert entries(store) == before


def test_plain_paths_and_encoded_ones(store, source, tmp_path):
    spaced = tmp_path / "with space"
    shutil.copytree(source, spaced)
    assert store.add(str(source), H2OMojo("one.zip")) == store.add(
        f"file://localhost{tmp_path}/with%20space", H2OMojo("one.zip")
    )


def test_size_is_counted_over_the_whole_artifact_while_it_is_copied(flavor, source, tmp_path):
    small = ArtifactStore(tmp_path / "small", 3004)
    with pytest.raises(ArtifactRejected, match="larger than 3004"):
        add(small, source)
    assert entries(small) == []
    assert add(ArtifactStore(tmp_path / "enough", 3005), source)


def test_a_copy_that_is_no_model_any_more_is_refused(store, source, flavor):
    checked = []

    def check(path, flavor):
        checked.append(path)
        if len(checked) == 2:
            raise ArtifactRejected("changed meanwhile")

    flavor.check = check
    with pytest.raises(ArtifactRejected, match="meanwhile"):
        add(store, source)
    assert store._root in checked[1].parents
    assert entries(store) == []


def test_a_disk_that_fails_is_our_fault_and_leaves_nothing(store, source, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(StorageFailed, match="No space left"):
        add(store, source)
    assert entries(store) == []


def test_two_deploys_of_one_artifact_at_once_store_it_once(store, source, monkeypatch):
    """The second one comes between the first one's copy and its move to the place of the digest."""
    sync, second = module._sync_directory, []

    def interleaved(path):
        sync(path)
        if not second:
            second.append("begun")
            second.append(add(store, source))

    monkeypatch.setattr(module, "_sync_directory", interleaved)
    digest = add(store, source)
    assert second == ["begun", digest]
    assert (store.path(digest) / "saved_model.pb").read_bytes() == b"graph"
    assert entries(store) == [digest]


def test_an_artifact_that_is_being_removed_is_either_whole_or_gone(store, source, monkeypatch):
    digest, seen = add(store, source), []
    rmtree = shutil.rmtree

    def slow(path, **keywords):
        seen.append((store._root / digest).exists())
        if len(seen) == 2:  # the first is for what a crash may have left
            assert add(store, source) == digest, "a deploy that comes meanwhile stores it anew"
        rmtree(path, **keywords)

    monkeypatch.setattr(module.shutil, "rmtree", slow)
    store.remove(digest)
    assert seen[:2] == [True, False]
    assert (store.path(digest) / "saved_model.pb").read_bytes() == b"graph"
    assert entries(store) == [digest]


def test_what_is_not_there(store):
    with pytest.raises(ArtifactRejected, match="not in the artifact store"):
        store.path("0" * 64)
    store.remove("0" * 64)
    (store._root / "empty").mkdir()
    with pytest.raises(ArtifactRejected):
        store.path("empty")


def test_a_start_removes_what_crashes_left(store, source):
    kept, other = add(store, source), add(store, source, "one.zip")
    (store._root / "incoming-abc").mkdir()
    (store._root / "incoming-abc" / "half").write_bytes(b"")
    store.keep_only([kept])
    assert entries(store) == [kept]
    assert other != kept


# --- on another node ---


def test_a_node_fetches_once_and_removes_with_its_last_user(store, source, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART_BYTES", 1000)
    digest = add(store, source)
    root = tmp_path / "cache"
    one, two = ArtifactCache(root, store), ArtifactCache(root, store)
    path = one.hold(digest, "model")
    assert one.hold(digest, "model") == path
    assert (path / "variables/deep/data").read_bytes() == b"x" * 3000
    monkeypatch.setattr(store, "files", None)  # the second finds it there
    assert two.hold(digest, "model") == path
    one.release()
    assert path.exists()
    two.release()
    assert not root.exists()


def test_a_single_file_too(store, source, tmp_path):
    digest = add(store, source, "one.zip")
    cache = ArtifactCache(tmp_path / "cache", store)
    assert cache.hold(digest, "one.zip").read_bytes() == b"one"
    cache.release()


def test_what_arrives_damaged_is_refused_and_not_kept(store, source, tmp_path):
    digest = add(store, source, "one.zip")
    store.path(digest).write_bytes(b"two")
    cache = ArtifactCache(tmp_path / "cache", store)
    with pytest.raises(ArtifactRejected, match="damaged"):
        cache.hold(digest, "one.zip")
    store.path(digest).write_bytes(b"one")
    assert cache.hold(digest, "one.zip").read_bytes() == b"one"
    cache.release()
    assert not (tmp_path / "cache").exists()


def test_a_host_that_was_killed_holds_nothing(store, source, tmp_path):
    """What is left by processes that died goes with the next one that ends in order."""
    digest, other = add(store, source), add(store, source, "one.zip")
    root = tmp_path / "cache"
    killed = ArtifactCache(root, store)
    killed.hold(digest, "model")
    for lock in killed._held.values():  # as the system does when a process ends
        lock.close()
    assert (root / digest).exists()
    (root / f"{digest}.incoming").mkdir()  # and another one while it fetched
    (root / f"{digest}.incoming" / "half").write_bytes(b"")
    living = ArtifactCache(root, store)
    living.hold(other, "one.zip")
    living.release()
    assert not root.exists()


def test_hosts_that_fetch_at_once_do_not_harm_each_other(store, source, tmp_path):
    digest = add(store, source)
    script = """
import sys
from pathlib import Path
from forestflow.artifacts.store import ArtifactCache, ArtifactStore
root, store, digest = Path(sys.argv[1]), ArtifactStore(Path(sys.argv[2]), 1), sys.argv[3]
for _ in range(50):
    cache = ArtifactCache(root, store)
    assert (cache.hold(digest, "model") / "variables/deep/data").read_bytes() == b"x" * 3000
    cache.release()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "cache"), str(store._root), digest]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [p.wait() for p in processes] == [0, 0, 0]
    assert not (tmp_path / "cache").exists()


def test_directories_of_somebody_else_are_not_trusted(tmp_path):
    mine = private_directory(tmp_path / "mine")
    assert mine.stat().st_mode & 0o777 == 0o700
    assert private_directory(mine) == mine
    mine.chmod(0o777)
    with pytest.raises(PermissionError):
        private_directory(mine)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        private_directory(tmp_path / "link")
    if os.geteuid() == 0:
        mine.chmod(0o700)
        os.chown(mine, 12345, 12345)
        with pytest.raises(PermissionError):
            private_directory(mine)


def test_a_directory_that_its_last_user_removes_meanwhile_is_made_again(tmp_path, monkeypatch):
    """Both places where the removal can fall: after mkdir found it there, and after mkdir made it."""
    mkdir, interleavings = os.mkdir, ["found", "made"]

    def removed_meanwhile(path, mode=0o777, **keywords):
        falls = interleavings.pop(0) if interleavings and str(path) == str(tmp_path / "shared") else "nowhere"
        if falls == "found":
            raise FileExistsError(17, "File exists", str(path))
        mkdir(path, mode, **keywords)
        if falls == "made":
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", removed_meanwhile)
    assert private_directory(tmp_path / "shared").is_dir()
    assert interleavings == []
