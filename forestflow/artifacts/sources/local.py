"""Directories that the server sees."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from forestflow.domain.errors import ArtifactRejected


def directory(source: str) -> Path:
    """The directory of an absolute path or ``file://`` URL, resolved. Raises ArtifactRejected."""
    parts = urlsplit(source)
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise ArtifactRejected(
            f"path provided doesn't follow a supported protocol: file:// names the host {parts.netloc[:40]!r}, "
            "but takes only directories of the server (file:///directory)"
        )
    path = unquote(parts.path) if parts.scheme == "file" else source
    if "\0" in path or not path.startswith("/"):
        raise ArtifactRejected("path must be absolute: file:///directory/of/the/model")
    found = Path(path)
    if not found.is_dir():
        raise ArtifactRejected("path does not exist or is not a directory on the server")
    return found.resolve()
