"""Builds ``batchscorer.jar`` from the Java beside it, and tells whether the two belong together.

The jar's manifest carries the SHA-256 of the sources it was compiled from, so the check needs no compiler and does not
depend on its version. ``python -m forestflow.servables.h2o.jar`` checks, ``… jar --build`` builds (javac 9 or later).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from forestflow.servables.h2o.jvm import h2o_jar

SOURCES = Path(__file__).parent
JAR = Path(__file__).with_name("batchscorer.jar")
_DIGEST = "BatchScorer-Source-SHA256: "
_COMPILER = "Created-By: "
_JAVA_8 = 52  # class file major version


def sources() -> list[Path]:
    """The Java files, by name."""
    return sorted(SOURCES.glob("*.java"))


def source_digest() -> str:
    """SHA-256 of the sources one after the other, line ends normalised."""
    return hashlib.sha256(b"".join([file.read_bytes().replace(b"\r\n", b"\n") for file in sources()])).hexdigest()


def jar_digest() -> str:
    """The digest the jar says it was built from; empty where it says none."""
    return _manifest(_DIGEST)


def jar_compiler() -> str:
    """The compiler the jar says it was built by."""
    return _manifest(_COMPILER)


def compiler() -> str:
    """The compiler on the PATH, as ``javac -version`` names it."""
    return subprocess.run(["javac", "-version"], capture_output=True, text=True, check=True).stdout.strip()


def _manifest(key: str) -> str:
    with zipfile.ZipFile(JAR) as jar:
        # A manifest line ends after 72 bytes and goes on in the next, after a space.
        manifest = jar.read("META-INF/MANIFEST.MF").decode().replace("\r\n ", "")
    return next((line.removeprefix(key) for line in manifest.splitlines() if line.startswith(key)), "")


def build(target: Path = JAR) -> None:
    """Compile for Java 8 and later and write the jar, byte for byte the same for the same compiler."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["javac", "--release", "8", "-Xlint:all,-options,-serial", "-Werror", "-g:none", "-encoding", "UTF-8",
             "-cp", str(h2o_jar()), "-d", folder, *map(str, sources())],
            check=True,
        )  # fmt: skip
        digest = source_digest()
        manifest = (
            f"Manifest-Version: 1.0\r\n{_COMPILER}{compiler()}\r\n{_DIGEST}{digest[:40]}\r\n {digest[40:]}\r\n\r\n"
        )
        members = {"META-INF/MANIFEST.MF": manifest.encode()}
        for path in sorted(Path(folder).rglob("*.class")):
            members[path.relative_to(folder).as_posix()] = path.read_bytes()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as jar:
            for name, data in members.items():
                jar.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def check() -> str | None:
    """Why the committed jar must be rebuilt, or ``None``."""
    if jar_digest() != source_digest():
        return "batchscorer.jar was not built from the Java beside it: python -m forestflow.servables.h2o.jar --build"
    with zipfile.ZipFile(JAR) as jar:
        for name in jar.namelist():
            if name.endswith(".class") and int.from_bytes(jar.read(name)[6:8], "big") > _JAVA_8:
                return f"{name} in batchscorer.jar needs more than Java 8"
    return None


if __name__ == "__main__":
    if "--build" in sys.argv[1:]:
        build()
    sys.exit(check())
