"""A MOJO archive as untrusted input: everything that can be wrong with it is found here, without Java.

Theory of operation: the central directory is read through a reader that refuses large reads, every entry is looked at
and inflated by us (never to disk), and the bytes that come out are counted as they come. Sizes that an archive declares
are claims to be checked. Caps leave real MOJOs room: tree MOJOs shrink 2 to 20-fold, sparse ones up to 50-fold.

Format: PKWARE APPNOTE 6.3; ``model.ini`` as ``hex.genmodel.ModelMojoReader`` reads it.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from forestflow.domain.errors import ArtifactRejected

MIB = 1 << 20
MAX_DIRECTORY_BYTES = 32 * MIB
MAX_ENTRIES = 250_000
MAX_INFLATED_BYTES = 8192 * MIB
MAX_RATIO = 150
RATIO_MATTERS_FROM = 32 * MIB  # below, even the densest bomb is harmless
MAX_INI_BYTES = 64 * MIB

# Model categories that EasyPredict answers, and the algorithms whose MOJOs h2o-genmodel reads (ModelMojoFactory).
CATEGORIES = frozenset(
    {
        "Binomial", "Multinomial", "Ordinal", "Regression", "Clustering", "AutoEncoder", "DimReduction",
        "WordEmbedding", "AnomalyDetection", "CoxPH", "HGLMRegression", "BinomialUplift", "TargetEncoder", "KLime",
    }
)  # fmt: skip
ALGORITHMS = frozenset(
    {
        "Distributed Random Forest", "Gradient Boosting Method", "Gradient Boosting Machine",
        "Generalized Low Rank Modeling", "Generalized Low Rank Model", "Generalized Linear Modeling",
        "Generalized Linear Model", "Generalized Additive Model", "Word2Vec", "TargetEncoder", "Isolation Forest",
        "Extended Isolation Forest", "K-means", "Deep Learning", "deep learning", "Support Vector Machine (*Spark*)",
        "StackedEnsemble", "Stacked Ensemble", "k-LIME", "MOJO Pipeline", "Principal Components Analysis",
        "Cox Proportional Hazards", "RuleFit", "Isotonic Regression", "Uplift Distributed Random Forest", "XGBoost",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MojoInfo:
    """The ``[info]`` section of a MOJO's ``model.ini``, as text."""

    algorithm: str
    category: str
    values: dict[str, str]


def read_archive(path: Path) -> MojoInfo:
    """Check the archive at ``path`` whole and return what its ``model.ini`` says.

    Raises :class:`~forestflow.domain.errors.ArtifactRejected`; its message names the file, not its folder.
    """
    name = path.name
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ArtifactRejected(f"{name} is not a file; an H2O MOJO is one .zip archive")
        with _Guarded(io.FileIO(path)) as file:
            return _parse_ini(name, _read_entries(name, file))
    except FileNotFoundError as error:
        raise ArtifactRejected(f"there is no file {name}") from error
    except OSError as error:
        raise ArtifactRejected(f"{name} cannot be read: {error.strerror}") from error


class _Guarded(io.BufferedReader):
    """A file that refuses to be read in huge pieces, which ``zipfile`` does with a central directory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and 0 <= size <= MAX_DIRECTORY_BYTES:
            return super().read(size)
        data = super().read(MAX_DIRECTORY_BYTES + 1)
        if len(data) > MAX_DIRECTORY_BYTES:
            raise ArtifactRejected(f"its zip directory is larger than {MAX_DIRECTORY_BYTES // MIB} MiB")
        return data


def _read_entries(name: str, file: IO[bytes]) -> bytes:
    """Walk all entries; the bytes of ``model.ini``."""
    start = file.read(4096)
    if start[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise ArtifactRejected(f"{name} is not a zip archive{_pojo_hint(name, start)}")
    try:
        entries = zipfile.ZipFile(file).infolist()
    except ArtifactRejected as error:
        raise ArtifactRejected(f"{name}: {error}") from error
    except (zipfile.BadZipFile, ValueError, struct.error, EOFError, NotImplementedError) as error:
        raise ArtifactRejected(f"{name} is a damaged zip archive: {error}") from error
    if len(entries) > MAX_ENTRIES:
        raise ArtifactRejected(f"{name} has {len(entries)} entries; at most {MAX_ENTRIES} are allowed")
    _check_names(name, entries)
    return _inflate_all(name, file, entries)


def _pojo_hint(name: str, start: bytes) -> str:
    if name.endswith(".java") or b"hex.genmodel" in start or b"GenModel" in start:
        return " but a POJO: Java source is not run here; export the model as a MOJO (model.download_mojo)"
    return "; an H2O MOJO is one .zip archive"


def _check_names(name: str, entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        path = entry.orig_filename
        shown = ascii(path[:80])
        if any(ord(c) < 32 for c in path) or "\\" in path or path.startswith("/") or path[1:2] == ":":
            raise ArtifactRejected(f"{name} has an entry with an absolute or malformed name: {shown}")
        if ".." in path.split("/"):
            raise ArtifactRejected(f"{name} has an entry that points out of the archive: {shown}")
        if path in seen:
            raise ArtifactRejected(f"{name} has two entries named {shown}")
        seen.add(path)
        kind = stat.S_IFMT(entry.external_attr >> 16) if entry.create_system == 3 else 0
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArtifactRejected(f"{name} has an entry that is a link or a device: {shown}")
        if entry.flag_bits & 0x2041:  # encrypted, strongly encrypted, or with a masked directory
            raise ArtifactRejected(f"{name} has an encrypted entry: {shown}")
        if path.endswith((".java", ".class", ".jar")):
            raise ArtifactRejected(f"{name} holds Java code ({shown}): not a MOJO")


def _inflate_all(name: str, file: IO[bytes], entries: list[zipfile.ZipInfo]) -> bytes:
    total, packed, end = 0, 0, 0
    ini = None
    for entry in sorted(entries, key=lambda e: e.header_offset):
        if entry.header_offset < end:
            raise ArtifactRejected(f"{name} has entries that overlap: a zip bomb")
        start = _data_offset(name, file, entry)
        end = start + entry.compress_size
        packed += entry.compress_size
        kept = bytearray() if entry.orig_filename == "model.ini" else None
        size = 0
        for piece in _inflate(name, file, start, entry):
            size += len(piece)
            total += len(piece)
            if total > MAX_INFLATED_BYTES:
                raise ArtifactRejected(f"{name} inflates to more than {MAX_INFLATED_BYTES // MIB} MiB")
            if total > RATIO_MATTERS_FROM and total > MAX_RATIO * (packed + 1):
                raise ArtifactRejected(f"{name} inflates more than {MAX_RATIO}-fold: a zip bomb")
            if size > entry.file_size:
                raise ArtifactRejected(f"{name} has an entry larger than it declares: {entry.filename[:80]!a}")
            if kept is not None:
                kept += piece
                if len(kept) > MAX_INI_BYTES:
                    raise ArtifactRejected(f"{name} has a model.ini larger than {MAX_INI_BYTES // MIB} MiB")
        if size != entry.file_size:
            raise ArtifactRejected(f"{name} has a damaged entry: {entry.filename[:80]!a}")
        if kept is not None:
            ini = bytes(kept)
    if ini is None:
        raise ArtifactRejected(f"{name} has no model.ini: not an H2O MOJO")
    return ini


def _data_offset(name: str, file: IO[bytes], entry: zipfile.ZipInfo) -> int:
    """Where an entry's data begins, from its local header (APPNOTE 4.3.7)."""
    file.seek(entry.header_offset)
    header = file.read(30)
    if len(header) != 30 or header[:4] != b"PK\x03\x04":
        raise ArtifactRejected(f"{name} is a damaged zip archive: no local header where the directory says")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    return entry.header_offset + 30 + int(name_length) + int(extra_length)


def _inflate(name: str, file: IO[bytes], start: int, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The entry's bytes in pieces of at most 1 MiB, its check sum verified at the end."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArtifactRejected(f"{name} uses zip compression method {entry.compress_type}, which Java cannot read")
    inflater = zlib.decompressobj(-15) if entry.compress_type == zipfile.ZIP_DEFLATED else None
    shown = ascii(entry.filename[:80])
    file.seek(start)
    left, crc = entry.compress_size, 0
    while left > 0:
        packed = file.read(min(left, 64 << 10))
        if not packed:
            raise ArtifactRejected(f"{name} is cut short in {shown}")
        left -= len(packed)
        while packed:
            if inflater is None:
                piece, packed = packed, b""
            else:
                try:
                    piece = inflater.decompress(packed, MIB)
                except zlib.error as error:
                    raise ArtifactRejected(f"{name} has a damaged entry: {shown}") from error
                if inflater.unused_data:
                    raise ArtifactRejected(f"{name} has a damaged entry: {shown}")
                packed = inflater.unconsumed_tail
            crc = zlib.crc32(piece, crc)
            yield piece
    if inflater is not None:
        piece = inflater.flush()
        crc = zlib.crc32(piece, crc)
        yield piece
        if not inflater.eof:
            raise ArtifactRejected(f"{name} is cut short in {shown}")
    if crc != entry.CRC:
        raise ArtifactRejected(f"{name} has a damaged entry: {shown} (wrong check sum)")


def _parse_ini(name: str, data: bytes) -> MojoInfo:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactRejected(f"{name} has a model.ini that is not UTF-8: not an H2O MOJO") from error
    values: dict[str, str] = {}
    section = ""
    for line in text.split("\n"):
        line = line.strip()
        if line in ("[info]", "[columns]", "[domains]"):
            section = line
        elif section == "[info]" and line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values[key.rstrip()] = value.lstrip()
    algorithm, category = values.get("algorithm"), values.get("category")
    if not algorithm or not category or "mojo_version" not in values:
        raise ArtifactRejected(f"{name} has a model.ini without algorithm, category or mojo_version: not an H2O MOJO")
    if algorithm not in ALGORITHMS:
        raise ArtifactRejected(f"{name} holds a model of the algorithm {algorithm[:80]!r}, which cannot be served")
    if category not in CATEGORIES:
        raise ArtifactRejected(f"{name} holds a model of the category {category[:80]!r}, which cannot be served")
    return MojoInfo(algorithm, category, values)
