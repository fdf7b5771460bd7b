"""Base directories with numbered versions, wherever folders can be listed: what lies in them, and whether it rests."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from urllib.parse import unquote, urlsplit

from forestflow.artifacts.sources import git
from forestflow.artifacts.sources.fetching import scheme_of, store_of
from forestflow.artifacts.sources.rules import SourceRules
from forestflow.artifacts.sources.store import FolderStore
from forestflow.artifacts.sources.transfer import Interrupted, Meter, safe_name
from forestflow.artifacts.sources.web import WebStore
from forestflow.domain.errors import ArtifactRejected
from forestflow.domain.sources import refuse_secrets
from forestflow.domain.versions import Watch, version_number
from forestflow.servables import loading

MAX_KEPT = 64  # stores of watches, with their connections

# Which of the versions found are to be looked into.
Unread = Callable[[Collection[int]], AbstractSet[int]]


class SourceDirectories:
    """Looks at the base directories of watches. Every call may take long; calls may be made in several threads.

    A store stays open between the looks of a watch. One that fails is opened anew, for its connection may have been
    idle for too long or its credentials may have changed.
    """

    def __init__(self, rules: SourceRules) -> None:
        self._rules = rules
        self._kept: dict[tuple[str, str], tuple[FolderStore, str]] = {}
        self._putting = threading.Lock()

    def look(self, watch: Watch, unread: Unread) -> dict[int, str | None]:
        """The versions that are there, those that ``unread`` names with a fingerprint.

        A fingerprint changes with the names and contents below the version's directory; ``None``: there are no files.

        Raises Malformed for a base directory that holds a secret, ArtifactRejected or OSError when it cannot be read.
        """
        refuse_secrets(watch.path)
        scheme = scheme_of(watch.path)
        self._rules.check_scheme(scheme)
        if scheme == "file":
            return _look_here(_local_path(watch.path), unread)
        key = watch.path, safe_name(loading.artifact_path(watch.flavor))
        with self._putting:
            kept = self._kept.pop(key, None)  # a look that hangs keeps what it hangs in
        try:
            try:
                found = _look_there(*kept, unread) if kept is not None else None
            except (ArtifactRejected, Interrupted):
                found = None
            if kept is None or found is None:
                kept = self._open(*key, scheme)
                found = _look_there(*kept, unread)
        except Interrupted as error:
            raise ArtifactRejected(f"the base directory cannot be listed: {error}") from error
        with self._putting:
            self._kept[key] = kept
            if len(self._kept) > MAX_KEPT:
                del self._kept[next(iter(self._kept))]
        return found

    def _open(self, path: str, artifact: str, scheme: str) -> tuple[FolderStore, str]:
        if scheme != "s3" and git.parse(path) is not None:
            raise ArtifactRejected(
                "a git repository has no version directories: deploy its tags, one release each, as "
                "git@host:organization/project.git#v0.first"
            )
        store, start = store_of(path, scheme, artifact, Meter(self._rules, lambda text: None))
        if isinstance(store, WebStore):
            raise ArtifactRejected(
                f"over {scheme} a directory cannot be listed, so versions cannot be looked for there: name a "
                "directory of the server, S3 or another storage that lists its folders"
            )
        if scheme != "s3" and ("?" in path or "#" in path):
            raise ArtifactRejected("the path of a base directory has no query (?) and no fragment (#)")
        return store, start


def is_local(path: str) -> bool:
    """Whether a base directory is one of this machine, where a version appears whole by being renamed."""
    return scheme_of(path) == "file"


def _look_there(store: FolderStore, start: str, unread: Unread) -> dict[int, str | None]:
    numbers = _numbers(store.folders(start))
    new = unread(numbers)
    return {n: _fingerprint(store.stamps(store.join(start, str(n)))) if n in new else None for n in numbers}


def _look_here(base: Path, unread: Unread) -> dict[int, str | None]:
    """Links are not followed."""
    with os.scandir(base) as entries:
        numbers = _numbers(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    new = unread(numbers)
    return {n: _fingerprint(_local_stamps(base / str(n))) if n in new else None for n in numbers}


def _numbers(names: Iterable[str]) -> list[int]:
    found = [version_number(name) for name in names]
    return [number for number in found if number is not None]


def _local_stamps(root: Path) -> dict[str, str]:
    stamps = {}
    for folder, _, names in os.walk(root):
        for name in names:
            file = Path(folder) / name
            try:
                status = file.lstat()
            except FileNotFoundError:
                return {}
            # the time of the last change cannot be set by who copies, unlike that of the last modification
            stamps[str(file.relative_to(root))] = f"{status.st_size} {status.st_ctime_ns}"
    return stamps


def _fingerprint(stamps: Mapping[str, str]) -> str | None:
    digest = hashlib.sha256()
    for name, stamp in sorted(stamps.items()):
        digest.update(f"{name}\0{stamp}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest() if stamps else None


def _local_path(url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path) if parts.scheme == "file" and parts.netloc in ("", "localhost") else url
    if not path.startswith("/") or "\0" in path:
        raise ArtifactRejected(f"a base directory of the server is file:///directory; got {url[:80]!r}")
    return Path(path)
