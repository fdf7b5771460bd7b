"""Zip and tar archives as untrusted input: only files and folders, only inside, only so much.

Sizes that an archive declares are claims; what comes out is counted as it comes. Python's readers take some parts of
an archive in one piece (a zip directory, a tar extension header), so they read through a file that refuses big reads.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from forestflow.artifacts.sources.transfer import CHUNK_BYTES, MAX_FILES, safe_name
from forestflow.domain.errors import ArtifactRejected

MAX_READ_BYTES = 32 << 20
MAX_RATIO = 200  # of a compressed archive; DEFLATE reaches 1,032
RATIO_MATTERS_FROM = 64 << 20  # below, even the densest bomb is harmless

_TARS: dict[str, Callable[[Path], Any]] = {
    ".tar": io.FileIO,
    ".tar.gz": gzip.GzipFile,
    ".tgz": gzip.GzipFile,
    ".tar.bz2": bz2.BZ2File,
    ".tar.xz": lzma.LZMAFile,
}
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, struct.error, EOFError,
    ValueError, NotImplementedError, FileExistsError, NotADirectoryError, IsADirectoryError,
)  # fmt: skip


def is_archive(name: str) -> bool:
    """Whether a file of this name is unpacked."""
    return name.lower().endswith((".zip", *_TARS))


def unpack(archive: Path, name: str, into: Path, max_bytes: int) -> None:
    """Unpack the archive that was called ``name`` into a new folder; raises ArtifactRejected."""
    into.mkdir()
    writer = _Writer(into, archive.stat().st_size, max_bytes)
    try:
        if name.lower().endswith(".zip"):
            _unzip(archive, writer)
        else:
            opener = next(opener for suffix, opener in _TARS.items() if name.lower().endswith(suffix))
            with opener(archive) as file:
                _untar(file, writer)
    except ArtifactRejected as error:
        raise ArtifactRejected(f"{name}: {error}") from error
    except _DAMAGE as error:
        raise ArtifactRejected(f"{name} is a damaged archive: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ArtifactRejected(f"{name} is a damaged archive: {error}") from error  # bz2 says so by an OSError


class _Writer:
    """Writes entries below a folder as long as they stay within the limits."""

    def __init__(self, into: Path, packed: int, max_bytes: int) -> None:
        self._into = into
        self._packed = packed
        self._max_bytes = max_bytes
        self._entries = 0
        self._written = 0

    def count(self) -> None:
        self._entries += 1
        if self._entries > MAX_FILES:
            raise ArtifactRejected(f"more than {MAX_FILES} entries")

    def folder(self, name: str) -> None:
        (self._into / safe_name(name)).mkdir(parents=True, exist_ok=True)

    def file(self, name: str, content: IO[bytes]) -> None:
        path = self._into / safe_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as target:
            while chunk := content.read(CHUNK_BYTES):
                self._written += len(chunk)
                self.check(self._written)
                target.write(chunk)

    def check(self, size: int) -> None:
        """Refuse a total that is too large, before it is written where it is known before."""
        if size > self._max_bytes:
            raise ArtifactRejected(f"inflates to more than {self._max_bytes} bytes (setting artifact_max_bytes)")
        if size > RATIO_MATTERS_FROM and size > MAX_RATIO * self._packed:
            raise ArtifactRejected(f"inflates more than {MAX_RATIO}-fold, as bombs do; pack it without compression")


class _Guarded(io.BufferedReader):
    """A file that refuses to be read in huge pieces."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and 0 <= size <= MAX_READ_BYTES:
            return super().read(size)
        data = super().read(MAX_READ_BYTES + 1)
        if len(data) > MAX_READ_BYTES:
            raise ArtifactRejected(f"has a header or directory larger than {MAX_READ_BYTES >> 20} MiB")
        return data


def _unzip(archive: Path, writer: _Writer) -> None:
    with _Guarded(io.FileIO(archive)) as file, zipfile.ZipFile(file) as opened:
        for entry in opened.infolist():
            writer.count()
            kind = stat.S_IFMT(entry.external_attr >> 16) if entry.create_system == 3 else 0
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArtifactRejected(f"holds a link or a device: {entry.filename[:80]!a}")
            if entry.flag_bits & 0x1:
                raise ArtifactRejected(f"holds an encrypted entry: {entry.filename[:80]!a}")
            if entry.is_dir():
                writer.folder(entry.orig_filename)
            else:
                with opened.open(entry) as content:
                    writer.file(entry.orig_filename, content)


def _untar(file: io.RawIOBase, writer: _Writer) -> None:
    declared = 0
    with _Guarded(file) as guarded, tarfile.open(fileobj=guarded, mode="r:") as opened:
        for member in opened:
            writer.count()
            declared += member.size
            writer.check(declared)  # tarfile inflates what it skips
            if member.isdir():
                writer.folder(member.name)
            elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse():
                content = opened.extractfile(member)
                assert content is not None
                with content:
                    writer.file(member.name, content)
            else:
                raise ArtifactRejected(f"holds a link, a device or a sparse file: {member.name[:80]!a}")
