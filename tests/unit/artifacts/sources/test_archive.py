"""Archives that lead elsewhere, grow without end, or are damaged."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import tarfile
import zipfile

import pytest

from forestflow.artifacts.sources import archive as module
from forestflow.artifacts.sources.archive import is_archive, unpack
from forestflow.domain.errors import ArtifactRejected

LIMIT = 10_000_000


def zipped(*entries, compression=zipfile.ZIP_DEFLATED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return data.getvalue()


def tarred(*entries, mode="w:gz"):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        for entry, content in entries:
            info = entry if isinstance(entry, tarfile.TarInfo) else tarfile.TarInfo(entry)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


@pytest.fixture
def unpacked(tmp_path):
    """Unpack bytes; the files by name."""

    def unpacked(data, name, limit=LIMIT):
        file = tmp_path / "packed"
        file.write_bytes(data)
        folder = tmp_path / "out"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            unpack(file, name, folder, limit)
            return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        finally:
            assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "packed"], "something was written elsewhere"

    return unpacked


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(".tar", "w"), (".tar.gz", "w:gz"), (".TGZ", "w:gz"), (".tar.bz2", "w:bz2"), (".tar.xz", "w:xz")],
)
def test_every_kind(unpacked, suffix, mode):
    assert is_archive(f"m{suffix}")
    assert unpacked(tarred(("a/b", b"1"), ("c", b""), mode=mode), f"m{suffix}") == {"a/b": b"1", "c": b""}


def test_zip(unpacked):
    assert unpacked(zipped(("a/", b""), ("a/b", b"1"), ("c", b"")), "m.zip") == {"a/b": b"1", "c": b""}
    assert not is_archive("model.keras")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "C:/x", "a\\..\\x", "a\x01b"])
def test_names_that_lead_elsewhere(unpacked, name):
    for data, kind in ((zipped((name, b"x")), "m.zip"), (tarred((name, b"x")), "m.tar.gz")):
        with pytest.raises(ArtifactRejected, match="leads out of it"):
            unpacked(data, kind)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_tar(unpacked, kind):
    link = tarfile.TarInfo("link")
    link.type, link.linkname = kind, "/etc/passwd"
    with pytest.raises(ArtifactRejected, match="holds a link"):
        unpacked(tarred((link, b"")), "m.tar.gz")


def test_links_and_encryption_in_zip(unpacked):
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ArtifactRejected, match="holds a link"):
        unpacked(zipped((link, "/etc/passwd")), "m.zip")


def test_a_name_twice_or_a_file_in_a_file(unpacked):
    with pytest.raises(ArtifactRejected, match="damaged"):
        unpacked(tarred(("a", b"1"), ("a", b"2")), "m.tar.gz")


def test_size_is_counted_as_it_comes(unpacked):
    files = ("a", b"x" * 600), ("b", b"y" * 400)
    for data, kind in ((zipped(*files), "m.zip"), (tarred(*files), "m.tar.gz")):
        assert unpacked(data, kind, 1000) == dict(files)
        with pytest.raises(ArtifactRejected, match="inflates to more than 999 bytes"):
            unpacked(data, kind, 999)


def test_bombs(unpacked, monkeypatch):
    monkeypatch.setattr(module, "RATIO_MATTERS_FROM", 1 << 20)
    content = bytes(4 << 20)
    with pytest.raises(ArtifactRejected, match="200-fold"):
        unpacked(zipped(("zeros", content)), "m.zip")


def test_tar_bombs(unpacked, monkeypatch):
    monkeypatch.setattr(module, "RATIO_MATTERS_FROM", 1 << 20)
    with pytest.raises(ArtifactRejected, match="200-fold"):
        unpacked(tarred(("zeros", bytes(4 << 20))), "m.tar.gz")


def test_stored_archives_are_no_bombs(unpacked, monkeypatch):
    monkeypatch.setattr(module, "RATIO_MATTERS_FROM", 1 << 20)
    assert unpacked(zipped(("zeros", bytes(4 << 20)), compression=zipfile.ZIP_STORED), "m.zip")


def test_a_header_of_gigabytes_is_not_read(unpacked, monkeypatch):
    """A PAX header, which tarfile takes in one piece, of 64 MB of zeros in a file of 64 KB."""
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 64 << 20
    data = gzip.compress(header.tobuf() + bytes(64 << 20) + bytes(1024))
    with pytest.raises(ArtifactRejected, match="header or directory larger than 32 MiB"):
        unpacked(data, "m.tar.gz")


def test_too_many_entries(unpacked, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILES", 2)
    with pytest.raises(ArtifactRejected, match="more than 2 entries"):
        unpacked(tarred(("a", b""), ("b", b""), ("c", b"")), "m.tar.gz")


@pytest.mark.parametrize("kind", ["m.zip", "m.tar", "m.tar.gz", "m.tar.bz2", "m.tar.xz"])
def test_damage(unpacked, kind):
    with pytest.raises(ArtifactRejected, match="is a damaged archive"):
        unpacked(b"nothing of the kind" * 100, kind)


@pytest.mark.parametrize("kind", ["m.zip", "m.tar.gz"])
def test_archives_that_are_cut_short(unpacked, kind):
    content = os.urandom(50_000)
    data = zipped(("a", content)) if kind == "m.zip" else tarred(("a", content))
    with pytest.raises(ArtifactRejected, match="damaged archive"):
        unpacked(data[:30_000], kind)


def test_names_in_thousands_of_folders(unpacked):
    """A system's paths have 4096 bytes: 2000 folders fit, and no function can go so deep."""
    name = "a/" * 2000 + "b"
    for data, kind in ((zipped((name, b"x")), "m.zip"), (tarred((name, b"x")), "m.tar.gz")):
        with pytest.raises(ArtifactRejected, match="in too many folders"):
            unpacked(data, kind)
