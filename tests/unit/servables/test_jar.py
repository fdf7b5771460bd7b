"""The committed jar belongs to the committed sources."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from forestflow.servables.h2o import jar


def test_the_jar_was_built_from_the_source() -> None:
    assert jar.check() is None


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The sources, to be changed."""
    found = [Path(shutil.copy(file, tmp_path)) for file in jar.sources()]
    monkeypatch.setattr(jar, "SOURCES", tmp_path)
    return found


def test_a_changed_source_is_noticed(copies: list[Path]) -> None:
    assert jar.check() is None
    for file in copies:
        text = file.read_text()
        file.write_text(text + "// more\n")
        assert "--build" in (jar.check() or "")
        file.write_text(text)


def test_line_ends_do_not_matter(copies: list[Path]) -> None:
    for file in copies:
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert jar.check() is None


@pytest.mark.h2o
@pytest.mark.skipif(shutil.which("javac") is None, reason="no Java compiler here")
def test_compiling_gives_the_committed_classes(tmp_path: Path) -> None:
    """With the compiler that built the jar to the byte; with another one, the same classes and members."""
    jar.build(tmp_path / "built.jar")
    with zipfile.ZipFile(tmp_path / "built.jar") as built, zipfile.ZipFile(jar.JAR) as committed:
        assert built.namelist() == committed.namelist()
        if jar.compiler() == jar.jar_compiler():
            assert {n: built.read(n) for n in built.namelist()} == {n: committed.read(n) for n in built.namelist()}
    described = [
        subprocess.run(
            ["javap", "-p", "-cp", f"{path}:{jar.h2o_jar()}", *(f"forestflow.{file.stem}" for file in jar.sources())],
            capture_output=True, text=True, check=True,
        ).stdout
        for path in (tmp_path / "built.jar", jar.JAR)
    ]  # fmt: skip
    assert described[0] == described[1]
