"""What can be wrong with a SavedModel or ``.keras`` file as far as it shows without TensorFlow.

A SavedModel is a program: who may deploy one may run code. What is refused here is what is not one at all, what leads
out of its directory, and archives that are made to exhaust whoever opens them.
"""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

from forestflow.domain.errors import ArtifactRejected

MIB = 1 << 20
MAX_PROTO_BYTES = 2048 * MIB  # protobuf's own limit
MAX_CONFIG_BYTES = 64 * MIB
MAX_ENTRIES = 10_000
MAX_INFLATED_BYTES = 16_384 * MIB
MAX_RATIO = 150  # weights hardly shrink; those of zeros do, a thousandfold:
RATIO_MATTERS_FROM = 256 * MIB  # below, nobody minds


def check_artifact(path: Path) -> None:
    """Raises :class:`~forestflow.domain.errors.ArtifactRejected`; its message names the artifact, not its folder."""
    try:
        if path.is_symlink():
            raise ArtifactRejected(f"{path.name} is a link")
        if path.is_dir():
            _check_directory(path)
        elif path.suffix == ".keras":
            _check_keras(path)
        else:
            raise ArtifactRejected(f"{path.name} is neither a SavedModel directory nor a .keras file{_hint(path)}")
    except OSError as error:
        raise ArtifactRejected(f"{path.name} cannot be read: {error.strerror or error}") from error


def _hint(path: Path) -> str:
    if path.suffix in (".h5", ".hdf5"):
        return ": HDF5 files may run code when they are loaded; save the model as .keras"
    if path.name in ("saved_model.pb", "saved_model.pbtxt"):
        return ": name the directory that it lies in"
    return ""


def _check_directory(path: Path) -> None:
    for found in path.rglob("*"):
        kind = stat.S_IFMT(found.stat(follow_symlinks=False).st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise ArtifactRejected(f"{path.name} holds a link or a device: {found.relative_to(path)}")
    proto = path / "saved_model.pb"
    if not proto.exists():
        proto = path / "saved_model.pbtxt"
    if not proto.is_file():
        versions = sorted(p.name for p in path.iterdir() if p.name.isdigit() and p.is_dir())
        hint = f"; name one of its versions, such as {versions[-1]}" if versions else ""
        raise ArtifactRejected(f"{path.name} has no saved_model.pb: not a SavedModel{hint}")
    if not 0 < proto.stat().st_size <= MAX_PROTO_BYTES:
        raise ArtifactRejected(f"{path.name}/{proto.name} has {proto.stat().st_size} bytes: not a SavedModel")


def _check_keras(path: Path) -> None:
    name = path.name
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(name, archive.infolist())
            with archive.open("config.json") as file:
                config = json.loads(file.read(MAX_CONFIG_BYTES + 1))
    except KeyError as error:
        raise ArtifactRejected(f"{name} has no config.json: not a Keras model") from error
    except (zipfile.BadZipFile, ValueError, EOFError, RuntimeError, RecursionError) as error:
        raise ArtifactRejected(f"{name} is not a Keras model, or a damaged one: {error}") from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise ArtifactRejected(f"{name}/config.json describes no Keras model")


def _check_entries(name: str, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise ArtifactRejected(f"{name} has {len(entries)} entries; at most {MAX_ENTRIES} are allowed")
    for entry in entries:
        shown = ascii(entry.filename[:80])
        if entry.filename.startswith("/") or "\\" in entry.filename or ".." in entry.filename.split("/"):
            raise ArtifactRejected(f"{name} has an entry that points out of the archive: {shown}")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArtifactRejected(f"{name} has an entry that is a link or a device: {shown}")
    # zipfile, which Keras reads with, never inflates more of an entry than it declares.
    size, packed = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
    if size > MAX_INFLATED_BYTES or (size > RATIO_MATTERS_FROM and size > MAX_RATIO * packed):
        raise ArtifactRejected(f"{name} declares {size} bytes in {packed}: a zip bomb")
