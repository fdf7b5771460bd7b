"""What an archive may not be. Every attack is tried against a twin that is harmless and passes."""

from __future__ import annotations

import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import pytest

from forestflow.domain.errors import ArtifactRejected
from forestflow.domain.requests import H2OMojo
from forestflow.servables import loading
from forestflow.servables.h2o import archive
from forestflow.servables.h2o.archive import read_archive

EXAMPLES = Path(__file__).parents[3] / "forestflow" / "examples" / "models"
INI = b"""[info]
h2o_version = 3.46.0.11
mojo_version = 1.40
algorithm = Gradient Boosting Machine
category = Regression

[columns]
x
algorithm = not this one

[domains]
"""


def write(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], ini: bytes | None = INI) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # duplicate names are what some tests want
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            if ini is not None:
                file.writestr("model.ini", ini)
            for name, data in entries:
                file.writestr(name, data)
    return path


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.zip")), ids=lambda p: p.stem)
def test_real_mojos_pass(path: Path) -> None:
    loading.check(path, H2OMojo(path.name))
    assert loading.artifact_path(H2OMojo(f"some/{path.name}")) == f"some/{path.name}"


def test_the_info_section_is_read(tmp_path: Path) -> None:
    info = read_archive(write(tmp_path / "m.zip", ("trees/t00.bin", b"x" * 10)))
    assert (info.algorithm, info.category, info.values["mojo_version"]) == (
        "Gradient Boosting Machine", "Regression", "1.40",
    )  # fmt: skip


def refused(path: Path, match: str) -> None:
    """Refused for this reason, in words that do not tell where the server keeps its files."""
    with pytest.raises(ArtifactRejected, match=match) as caught:
        loading.check(path, H2OMojo(path.name))
    assert str(path.parent) not in caught.value.message
    assert path.name in caught.value.message


def test_missing_folder_and_other_files(tmp_path: Path) -> None:
    refused(tmp_path / "none.zip", "there is no file")
    (tmp_path / "folder.zip").mkdir()
    refused(tmp_path / "folder.zip", "is not a file")
    (tmp_path / "text.zip").write_text("hello")
    refused(tmp_path / "text.zip", "is not a zip archive")
    (tmp_path / "empty.zip").write_bytes(b"")
    refused(tmp_path / "empty.zip", "is not a zip archive")


def test_pojo(tmp_path: Path) -> None:
    (tmp_path / "gbm.java").write_text("/* */\nimport hex.genmodel.GenModel;\npublic class gbm extends GenModel {}")
    refused(tmp_path / "gbm.java", "POJO")
    refused(write(tmp_path / "pojo.zip", ("gbm.java", b"class gbm {}")), "Java code")
    refused(write(tmp_path / "jar.zip", ("gbm.class", b"\xca\xfe\xba\xbe")), "Java code")


@pytest.mark.parametrize(
    ("ini", "reason"),
    [
        (None, r"no model\.ini"),
        (b"", r"model\.ini without"),
        (b"\xff\xfe", "not UTF-8"),
        (INI.replace(b"mojo_version", b"other"), r"model\.ini without"),
        (INI.replace(b"= Gradient Boosting Machine", b"= Deep Water"), "algorithm 'Deep Water'"),
        (INI.replace(b"Regression", b"Unknown"), "category 'Unknown'"),
    ],
)
def test_not_a_mojo(tmp_path: Path, ini: bytes | None, reason: str) -> None:
    refused(write(tmp_path / "m.zip", ini=ini), reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil", "points out"), ("trees/../../evil", "points out"), ("/etc/passwd", "absolute"),
        ("C:/evil", "absolute"), ("a\\..\\evil", "malformed"), ("a\x00b", "malformed"), ("a\nb", "malformed"),
    ],
)  # fmt: skip
def test_names(tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / "m.zip"
    info = zipfile.ZipInfo("placeholder")
    info.filename = name  # the constructor would cut it at a NUL
    refused(write(path, (info, b"x")), reason)
    write(path, ("a..b", b"x"), ("trees/..t", b"x"))
    read_archive(path)


def test_two_entries_of_one_name(tmp_path: Path) -> None:
    refused(write(tmp_path / "m.zip", ("a", b"1"), ("a", b"2")), "two entries")


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010644])
def test_links_and_devices(tmp_path: Path, mode: int) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system = 3
    info.external_attr = mode << 16
    refused(write(tmp_path / "m.zip", (info, b"/etc/passwd")), "link or a device")
    info.external_attr = 0o100644 << 16
    read_archive(write(tmp_path / "m.zip", (info, b"/etc/passwd")))


def test_encrypted(tmp_path: Path) -> None:
    path = write(tmp_path / "m.zip", ("a", b"1"))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(path, "encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_java_cannot_read(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w", method) as file:
        file.writestr("model.ini", INI)
    refused(tmp_path / "m.zip", "compression method")


def test_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = write(tmp_path / "bomb.zip", ("trees/t.bin", bytes(300 << 20)))
    assert bomb.stat().st_size < 1 << 20
    refused(bomb, "-fold: a zip bomb")
    monkeypatch.setattr(archive, "MAX_RATIO", 5000)  # the same archive, the protection off
    read_archive(bomb)


def test_total_and_count_caps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "m.zip", *((f"t{i}", bytes([i]) * 1000) for i in range(20)))
    read_archive(path)
    monkeypatch.setattr(archive, "MAX_INFLATED_BYTES", 10_000)
    refused(path, "inflates to more than")
    monkeypatch.setattr(archive, "MAX_ENTRIES", 10)
    refused(path, "21 entries")


def test_a_huge_directory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "m.zip", *((f"t{i}", b"") for i in range(300)))
    read_archive(path)
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 5000)
    refused(path, "directory is larger")


def test_an_entry_larger_than_declared(tmp_path: Path) -> None:
    """Java would inflate all of it whatever the directory declares."""
    path = write(tmp_path / "m.zip", ("big", bytes(5 << 20)))
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 100)
    data[entry + 16 : entry + 20] = struct.pack("<I", zlib.crc32(bytes(100)))
    path.write_bytes(data)
    with zipfile.ZipFile(path) as lenient:
        assert len(lenient.read("big")) == 100  # what Python's own reader makes of it
    refused(path, "larger than it declares")


def test_overlapping_entries(tmp_path: Path) -> None:
    path = write(tmp_path / "m.zip", ("a", bytes(1000)), ("b", bytes(1000)))
    data = bytearray(path.read_bytes())
    first, last = data.index(b"PK\x01\x02"), data.rindex(b"PK\x01\x02")
    middle = data.index(b"PK\x01\x02", first + 4)
    data[last + 42 : last + 46] = data[middle + 42 : middle + 46]
    path.write_bytes(data)
    refused(path, "overlap|damaged")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_cut_short(tmp_path: Path, keep: float) -> None:
    data = (EXAMPLES / "energy_gbm_v1.zip").read_bytes()
    (tmp_path / "m.zip").write_bytes(data[: int(len(data) * keep)])
    refused(tmp_path / "m.zip", "damaged")


def test_a_flipped_bit(tmp_path: Path) -> None:
    data = bytearray((EXAMPLES / "energy_gbm_v1.zip").read_bytes())
    data[5000] ^= 4
    (tmp_path / "m.zip").write_bytes(data)
    refused(tmp_path / "m.zip", "damaged|cut short")


def test_every_damage_is_a_refusal_or_harmless(tmp_path: Path) -> None:
    """Bytes changed anywhere: the archive is refused, or reads as before; nothing else escapes."""
    whole = write(tmp_path / "m.zip", ("a", b"abc" * 30)).read_bytes()
    path = tmp_path / "x.zip"
    for position in range(len(whole)):
        for value in (0x00, 0xFF, whole[position] ^ 0x01):
            path.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            try:
                assert read_archive(path).category == "Regression"
            except ArtifactRejected:
                continue
