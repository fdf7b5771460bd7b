"""Artifacts copied into the data directory under the hash of their content, so that their source may vanish.

A node that does not see the data directory fetches what its hosts need into a cache of its own.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from forestflow.artifacts.sources.fetching import fetch
from forestflow.artifacts.sources.rules import SourceRules
from forestflow.domain.errors import ArtifactRejected, StorageFailed
from forestflow.domain.requests import Flavor
from forestflow.servables import loading

PART_BYTES = 8 << 20  # of a file, sent to another node at once
FETCHES_AT_ONCE = 16  # the deploys after them wait
LOCAL_FETCH_SECONDS = 600.0

_CHUNK = 1 << 20


class ArtifactStore:
    """``<root>/<sha256>/<name>``: one file or folder per digest. Safe against a crash at any point.

    ``rules`` say what may be fetched from elsewhere; without them, directories of this machine are the only sources.
    ``threads`` are for :meth:`add`, which may take long.
    """

    def __init__(self, root: Path, max_bytes: int, rules: SourceRules | None = None) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self.rules = rules or SourceRules(("file",), (), LOCAL_FETCH_SECONDS, max_bytes)
        self.threads = ThreadPoolExecutor(FETCHES_AT_ONCE, "fetch")
        root.mkdir(parents=True, exist_ok=True)

    def add(
        self,
        source: str,
        flavor: Flavor,
        *,
        sha256: str | None = None,
        tag: str | None = None,
        report: Callable[[str], None] = lambda text: None,
    ) -> str:
        """Fetch, check and copy what ``flavor`` needs from ``source``; return its digest.

        The digest of a folder is the SHA-256 over a line for each of its files, in the order of their paths:
        ``<relative path>\\0<SHA-256 of the content>\\n``; that of a file is that over its one line, with an empty path.

        ``sha256`` is what a file, a folder's digest or the archive fetched must be. ``tag`` and ``report``: see
        :func:`~forestflow.artifacts.sources.fetching.fetch`. Raises :class:`ArtifactRejected` with a reason,
        DeadlineExceeded, StorageFailed, Malformed, leaving nothing behind.
        """
        relative = loading.artifact_path(flavor)
        incoming = Path(tempfile.mkdtemp(prefix="incoming-", dir=self._root))
        try:
            fetched = fetch(source, relative, incoming / "fetched", self.rules, tag=tag, report=report)
            path = _inside(fetched.folder, relative)
            if not path.exists():
                raise ArtifactRejected(f"{relative!r} does not exist under the given path")
            rest = loading.elsewhere(path, flavor)
            if rest is not None:
                more = fetch(rest, ".", incoming / "rest", self.rules, report=report)
                path = self._together(path, more.folder, incoming / "together" / path.name)
            loading.check(path, flavor)
            report("copying the artifact")
            copy = incoming / "copy"
            digest, content = self._copy(path, copy / path.name)
            _check_pin(sha256, content or digest, fetched.sha256)
            # The copy is what will be loaded: check it again if the source changed meanwhile.
            loading.check(copy / path.name, flavor)
            _sync_directory(copy)
            if _placed(copy, self._root / digest):
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

    def files(self, digest: str) -> list[str]:
        """The files of an artifact relative to :meth:`path`; ``""`` is that path itself."""
        return [relative for relative, _ in _files(self.path(digest))]

    def read(self, digest: str, relative: str, offset: int) -> bytes:
        """At most ``PART_BYTES`` of one of its :meth:`files`; empty at the end."""
        with (self.path(digest) / relative).open("rb") as file:
            file.seek(offset)
            return file.read(PART_BYTES)

    def keep_only(self, digests: Iterable[str]) -> None:
        """Remove every artifact that is not named, and what crashed deploys left. For the start of a server."""
        keep = set(digests)
        for entry in self._root.iterdir():
            if entry.name not in keep:
                shutil.rmtree(entry)

    def remove(self, digest: str) -> None:
        """Remove one artifact, at once as far as others can see; one that is not there is ignored."""
        outgoing = self._root / f"outgoing-{digest}"
        shutil.rmtree(outgoing, ignore_errors=True)  # left by a crash
        with suppress(FileNotFoundError):
            os.replace(self._root / digest, outgoing)
        shutil.rmtree(outgoing, ignore_errors=True)

    def _together(self, first: Path, second: Path, target: Path) -> Path:
        """The files of both folders in one; where both have one of a name, it is that of the first."""
        size = 0
        for folder in (first, second):
            for relative, file in _files(folder):
                destination = target / relative
                if destination.exists():
                    continue
                size += file.stat().st_size
                if size > self._max_bytes:
                    raise ArtifactRejected(f"the artifact is larger than {self._max_bytes} bytes")
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, destination)
        return target

    def _copy(self, source: Path, target: Path) -> tuple[str, str | None]:
        """Copy a file or folder; its digest, which covers relative names and contents, and a file's own SHA-256."""
        total = hashlib.sha256()
        own = None
        copied = 0
        for relative, file in _files(source):
            destination = target / relative
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
            if not relative:
                own = content.hexdigest()
        return total.hexdigest(), own


class ArtifactSource(Protocol):
    """Where a cache gets what it lacks: an :class:`ArtifactStore`, perhaps on another node."""

    def files(self, digest: str) -> list[str]: ...

    def read(self, digest: str, relative: str, offset: int) -> bytes: ...


class ArtifactCache:
    """``<root>/<sha256>/<name>`` on a node without the data directory, fetched once for all hosts of that node.

    A host holds a shared lock on what it uses until its process ends; what nobody holds any more is removed.
    """

    def __init__(self, root: Path, source: ArtifactSource) -> None:
        self._root = root
        self._source = source
        self._held: dict[str, IO[bytes]] = {}

    def hold(self, digest: str, name: str) -> Path:
        """The artifact, fetched and verified if it is not here yet. Raises ArtifactRejected, OSError."""
        target = self._root / digest
        while digest not in self._held:
            private_directory(self._root)
            path = self._root / f"{digest}.lock"
            try:
                lock = path.open("ab")
            except FileNotFoundError:  # whoever released the last artifact removed the folder meanwhile
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_SH)
                if not target.exists():
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    if _is_open(lock, path) and not target.exists():
                        self._fetch(digest, name, target)
                    fcntl.flock(lock, fcntl.LOCK_SH)  # gives up the exclusive one first, so look again what is there
                if _is_open(lock, path) and target.exists():
                    self._held[digest] = lock
            finally:
                if digest not in self._held:
                    lock.close()
        return target / name

    def release(self) -> None:
        """Let go of everything, and remove what no host of this node holds, whoever fetched it."""
        for lock in self._held.values():
            lock.close()
        self._held.clear()
        for path in self._locks():
            try:
                lock = path.open("ab")
            except FileNotFoundError:  # another host removed it, and then the folder
                continue
            with lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                shutil.rmtree(path.with_suffix(".incoming"), ignore_errors=True)
                path.unlink(missing_ok=True)
        with suppress(OSError):  # not there, or others hold something in it
            self._root.rmdir()

    def _locks(self) -> list[Path]:
        try:
            return list(self._root.glob("*.lock"))
        except FileNotFoundError:  # another host removed the folder just now
            return []

    def _fetch(self, digest: str, name: str, target: Path) -> None:
        incoming = target.with_suffix(".incoming")
        shutil.rmtree(incoming, ignore_errors=True)  # of a host that was killed
        try:
            incoming.mkdir()
            for relative in self._source.files(digest):
                destination = incoming / name / relative
                destination.parent.mkdir(parents=True, exist_ok=True)
                with destination.open("xb") as writer:
                    while part := self._source.read(digest, relative, writer.tell()):
                        writer.write(part)
            if _digest(incoming / name) != digest:
                raise ArtifactRejected(f"artifact {digest[:12]} was damaged on its way to this node")
            _placed(incoming, target)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)


def private_directory(path: Path) -> Path:
    """Make a directory that only our user may write to; raises PermissionError when somebody else has made it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:  # whoever uses the directory last removes it, perhaps between any two lines of this
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        with suppress(FileNotFoundError):
            status = path.stat(follow_symlinks=False)
            break
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{path} must be a directory that only the user of this server may write to")
    return path


def _placed(copy: Path, target: Path) -> bool:
    """Move a folder to where nothing is yet; False where somebody else has put the same content meanwhile."""
    try:
        os.replace(copy, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _is_open(file: IO[bytes], path: Path) -> bool:
    """Whether ``path`` still leads to the open ``file``."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _digest(path: Path) -> str:
    """What :meth:`ArtifactStore.add` calls the content of ``path``."""
    total = hashlib.sha256()
    for relative, file in _files(path):
        with file.open("rb") as reader:
            total.update(f"{relative}\0{hashlib.file_digest(reader, 'sha256').hexdigest()}\n".encode())
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


def _check_pin(pin: str | None, found: str, archive: str | None) -> None:
    """Refuse an artifact that is not the pinned one; an archive that was unpacked may be pinned as a whole."""
    if pin is not None and pin.lower() not in (found, archive):
        of_archive = f", that of its archive {archive}" if archive else ""
        raise ArtifactRejected(f"the sha256 of the artifact is {found}{of_archive}; the request says {pin[:80]}")


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
