"""From the path of a deploy request to a local folder that holds the model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from forestflow.artifacts.sources import archive, git, lfs, local, s3
from forestflow.artifacts.sources.fs import FsspecStore
from forestflow.artifacts.sources.rules import SourceRules
from forestflow.artifacts.sources.store import FolderStore, Store
from forestflow.artifacts.sources.transfer import Interrupted, Meter, again_or_raise, download, safe_name
from forestflow.artifacts.sources.web import WebStore
from forestflow.domain.errors import ArtifactRejected
from forestflow.domain.sources import MAX_PATH_LENGTH, refuse_secrets


@dataclass(frozen=True, slots=True)
class Fetched:
    """``folder`` is the path of the request on this machine. ``sha256`` is that of the archive it was unpacked from."""

    folder: Path
    sha256: str | None = None


def scheme_of(path: str) -> str:
    """The kind of source, as the setting ``source_schemes`` names it. Raises ArtifactRejected."""
    if not path or len(path) > MAX_PATH_LENGTH or path.startswith("-") or any(ord(c) < 32 for c in path):
        raise ArtifactRejected(f"path provided doesn't follow a supported protocol: {path[:40]!r}")
    if path.startswith("/"):
        return "file"
    if path.startswith(("s3::", "s3:")):
        return "s3"
    repository = git.parse(path)
    scheme = repository.scheme if repository else urlsplit(path).scheme
    if not scheme:
        raise ArtifactRejected(f"path provided doesn't follow a supported protocol: {path[:40]!r}")
    return scheme


def fetch(
    path: str,
    artifact: str,
    into: Path,
    rules: SourceRules,
    *,
    tag: str | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Fetched:
    """Bring what ``path`` names to this machine, at least the ``artifact`` below it; ``into`` does not exist yet.

    A path may also name the artifact itself, or an archive that holds it. ``tag`` is the git tag of a release whose
    path names none. ``report`` is called with progress, from this thread; an error it raises ends the fetch.

    Raises Malformed for a path that holds a secret, ArtifactRejected with a reason, DeadlineExceeded.
    """
    refuse_secrets(path)
    scheme = scheme_of(path)
    rules.check_scheme(scheme)
    if scheme == "file":
        return Fetched(local.directory(path))
    artifact = safe_name(artifact)
    meter = Meter(rules, report)
    into.mkdir()
    repository = None if scheme == "s3" else git.parse(path)
    if repository is not None:
        files = git.fetch(repository, tag, into / "git", meter)
        target = (files / artifact).resolve()
        if target.is_relative_to(files.resolve()) and target.exists():
            lfs.fill(target, files, repository, meter)
        return Fetched(files)
    store, start = store_of(path, scheme, artifact, meter)
    return _from_store(store, start, artifact, into, meter)


def store_of(path: str, scheme: str, artifact: str, meter: Meter) -> tuple[WebStore | FolderStore, str]:
    """The store that a path of that scheme, not git's, leads into, and where in it.

    ``artifact`` is what is meant below it: S3 credentials may be named after that. Raises ArtifactRejected.
    """
    if scheme == "s3":
        location = s3.parse(path)
        return s3.S3Store(location, artifact, meter), location.key
    if scheme in ("http", "https"):
        return WebStore(meter), path.partition("#")[0]
    driver = FsspecStore(path, meter)
    return driver, driver.path


def _from_store(store: Store, start: str, artifact: str, into: Path, meter: Meter) -> Fetched:
    files = into / "files"
    name = PurePosixPath(unquote(start.partition("?")[0])).name
    if artifact and name == PurePosixPath(artifact).name:
        _copy(store, start, files / artifact, meter)
    elif archive.is_archive(name):
        packed = into / "archive"
        _copy(store, start, packed, meter)
        meter.tell("unpacking")
        archive.unpack(packed, name, files, meter.rules.max_bytes)
        with packed.open("rb") as file:
            return Fetched(files, hashlib.file_digest(file, "sha256").hexdigest())
    elif isinstance(store, WebStore) and not artifact:
        raise ArtifactRejected("over http a folder cannot be listed: let the path name an archive (.zip, .tar.gz)")
    else:
        _copy(store, store.join(start, artifact) if artifact else start, files / artifact, meter)
    return Fetched(files)


def _copy(store: Store, path: str, target: Path, meter: Meter) -> None:
    """The file or folder at ``path``, with all that lies in it."""
    found = _found(store, path, meter)
    if not found:
        raise ArtifactRejected(f"the source holds nothing at {path!r}")
    for size in found.values():
        if size is not None:  # else the answer with the file may say it
            meter.expect(size)
    for relative in found:
        download(
            store.opener(store.join(path, relative) if relative else path),
            target / safe_name(relative) if relative else target,
            meter,
        )


def _found(store: Store, path: str, meter: Meter) -> dict[str, int | None]:
    failures = 0
    while True:
        try:
            return dict(store.find(path))
        except Interrupted as error:
            failures += 1
            again_or_raise(error, failures, meter)
