"""Artifacts copied into the data directory under the hash of their content, so that their source may vanish."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from forestflow.domain.errors import ArtifactRejected, StorageFailed
from forestflow.domain.requests import Flavor
from forestflow.servables import loading

_CHUNK = 1 << 20


class ArtifactStore:
    """``<root>/<sha256>/<name>``: one file or folder per digest. Safe against a crash at any point."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        root.mkdir(parents=True, exist_ok=True)

    def add(self, source: str, flavor: Flavor) -> str:
        """Check and copy what ``flavor`` needs from ``source`` (a ``file://`` path); return its digest.

        Raises :class:`ArtifactRejected` with a reason, leaving nothing behind.
        """
        base = _local_directory(source)
        relative = loading.artifact_path(flavor)
        path = _inside(base, relative)
        if not path.exists():
            raise ArtifactRejected(f"{relative!r} does not exist under the given path")
        loading.check(path, flavor)
        incoming = Path(tempfile.mkdtemp(prefix="incoming-", dir=self._root))
        try:
            digest = self._copy(path, incoming / path.name)
            # The copy is what will be loaded: check it again if the source changed meanwhile.
            loading.check(incoming / path.name, flavor)
            target = self._root / digest
            if not target.exists():
                _sync_directory(incoming)
                os.replace(incoming, target)
                _sync_directory(self._root)
            return digest
        except OSError as error:
            raise StorageFailed(f"the artifact cannot be stored: {error.strerror or error}") from error
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def path(self, digest: str) -> Path:
        """The stored file or folder; raises :class:`ArtifactRejected` when it is not there."""
        entries = list((self._root / digest).iterdir()) if (self._root / digest).is_dir() else []
        if len(entries) != 1:
            raise ArtifactRejected(f"artifact {digest[:12]} is not in the artifact store")
        return entries[0]

    def keep_only(self, digests: Iterable[str]) -> None:
        """Remove every artifact that is not named, and what crashed deploys left. For the start of a server."""
        keep = set(digests)
        for entry in self._root.iterdir():
            if entry.name not in keep:
                shutil.rmtree(entry)

    def remove(self, digest: str) -> None:
        """Remove one artifact; one that is not there is ignored."""
        shutil.rmtree(self._root / digest, ignore_errors=True)

    def _copy(self, source: Path, target: Path) -> str:
        """Copy a file or folder; the digest covers relative names and contents."""
        total = hashlib.sha256()
        copied = 0
        for relative, file in _files(source):
            destination = target / relative if relative else target
            destination.parent.mkdir(parents=True, exist_ok=True)
            content = hashlib.sha256()
            with file.open("rb") as reader, destination.open("xb") as writer:
                while chunk := reader.read(_CHUNK):
                    copied += len(chunk)
                    if copied > self._max_bytes:
                        raise ArtifactRejected(f"the artifact is larger than {self._max_bytes} bytes")
                    content.update(chunk)
                    writer.write(chunk)
                writer.flush()
                os.fsync(writer.fileno())
            total.update(f"{relative}\0{content.hexdigest()}\n".encode())
        return total.hexdigest()


def _files(source: Path) -> Iterator[tuple[str, Path]]:
    if source.is_file():
        yield "", source
        return
    for path in sorted(source.rglob("*")):
        if path.is_symlink():
            raise ArtifactRejected(f"the artifact holds a link: {path.relative_to(source)}")
        if path.is_file():
            yield path.relative_to(source).as_posix(), path


def _local_directory(source: str) -> Path:
    parts = urlsplit(source)
    if parts.scheme == "" and source.startswith("/"):
        path = source
    elif parts.scheme == "file" and parts.netloc in ("", "localhost"):
        path = unquote(parts.path)
    else:
        raise ArtifactRejected(f"path provided doesn't follow a supported protocol: {parts.scheme or source[:40]!r}")
    if "\0" in path or not path.startswith("/"):
        raise ArtifactRejected("path must be absolute: file:///directory/of/the/model")
    directory = Path(path)
    if not directory.is_dir():
        raise ArtifactRejected("path does not exist or is not a directory on the server")
    return directory.resolve()


def _inside(base: Path, relative: str) -> Path:
    if not relative or "\0" in relative or Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise ArtifactRejected(f"{relative!r} must be a relative path below the given path")
    path = (base / relative).resolve()
    if base not in path.parents and path != base:
        raise ArtifactRejected(f"{relative!r} leads outside the given path")
    return path


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
