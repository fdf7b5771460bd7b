"""Every other kind of storage, through its fsspec driver: gs, abfs, hdfs, webhdfs, ftp, sftp and more.

Tests reach ftp, gs and abfs. ``hdfs`` is pyarrow's, which needs libhdfs, and so a Hadoop client with its Java on the
server; ``webhdfs`` needs neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from forestflow.artifacts.sources.rules import SourceRules
from forestflow.artifacts.sources.transfer import (
    CHUNK_BYTES,
    MAX_FILES,
    Interrupted,
    Meter,
    Opener,
    TimedOut,
    safe_name,
)
from forestflow.artifacts.sources.web import netrc_login
from forestflow.domain.errors import ArtifactRejected, DeadlineExceeded

# Not what a path may name: the server's own files, and drivers around other drivers, which would escape the rules.
_REFUSED = frozenset(
    {
        "file", "local", "memory", "data", "dir", "zip", "tar", "libarchive", "reference", "generic", "async_wrapper",
        "asyncwrapper", "asynclocal", "blockcache", "cached", "filecache", "simplecache", "git", "dask", "pyscript",
    }
)  # fmt: skip
# In these the part after :// is a bucket or container of a service that the driver's own settings name.
_BUCKETS = frozenset({"gs", "gcs", "az", "oss", "oci", "tos", "hf", "wandb"})
# Under these keys drivers tell what changes with a file's content
_STAMPS = (
    "etag", "ETag", "md5Hash", "generation", "mtime", "modify", "updated", "last_modified", "LastModified",
    "modificationTime",
)  # fmt: skip
_PORTS = {"ftp": 21, "sftp": 22, "hdfs": 8020, "webhdfs": 9870, "smb": 445}


class FsspecStore:
    """One file system; paths are the driver's own."""

    def __init__(self, url: str, meter: Meter) -> None:
        self._scheme = urlsplit(url).scheme
        self._fs, self.path = _open(url, meter.rules)

    def find(self, path: str) -> Mapping[str, int | None]:
        with self._translated(path):
            if self._fs.isfile(path):
                return {"": self._fs.size(path)}
            if not self._fs.isdir(path):
                return {}
            return {name: entry.get("size") for name, entry in self._files(path)}

    def folders(self, path: str) -> list[str]:
        with self._translated(path):
            self._fs.invalidate_cache()
            entries = list(self._entries(path))
        if not entries:
            raise ArtifactRejected(f"{self._scheme}: nothing lies in {path}")
        return [name for name, entry in entries if entry["type"] == "directory"]

    def stamps(self, path: str) -> dict[str, str]:
        with self._translated(path):
            return {
                name: " ".join(str(entry[key]) for key in ("size", *_STAMPS) if key in entry)
                for name, entry in self._files(path)
            }

    def _files(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The files below a folder by their names there. fsspec's own walk passes over folders that cannot be read."""
        folders, count = [""], 0
        while folders:
            folder = folders.pop()
            for name, entry in self._entries(f"{path.rstrip('/')}/{folder}" if folder else path):
                count += 1
                if count > MAX_FILES:
                    raise ArtifactRejected(f"more than {MAX_FILES} files lie under {path}")
                relative = safe_name(f"{folder}/{name}" if folder else name)  # also bounds the depth of folders
                if entry["type"] == "directory":
                    folders.append(relative)
                else:
                    yield relative, entry

    def _entries(self, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """What lies in a folder by its name; some drivers list the folder itself, too."""
        prefix = f"{folder.strip('/')}/".lstrip("/")
        for entry in self._fs.ls(folder, detail=True):
            full = entry["name"].strip("/")
            name = full.removeprefix(prefix)
            if full.startswith(prefix) and name and "/" not in name:
                yield name, entry

    def opener(self, path: str) -> Opener:
        @contextmanager
        def open_at(offset: int) -> Iterator[tuple[int, Iterator[bytes]]]:
            with self._translated(path):
                file = self._fs.open(path, "rb", block_size=4 * CHUNK_BYTES)
            with file:
                yield offset, self._chunks(file, offset, path)

        return open_at

    def join(self, path: str, name: str) -> str:
        return f"{path.rstrip('/')}/{name}"

    def _chunks(self, file: Any, offset: int, path: str) -> Iterator[bytes]:
        with self._translated(path):
            file.seek(offset)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        """Each driver has errors of its own: what is not a plain refusal may be worth another try."""
        try:
            yield
        except (ArtifactRejected, Interrupted):
            raise
        except (FileNotFoundError, PermissionError, NotImplementedError, ImportError) as error:
            raise ArtifactRejected(f"{self._scheme}: {path} cannot be read: {error}") from error
        except TimeoutError as error:
            raise TimedOut(f"{self._scheme}: no answer in time") from error
        except Exception as error:
            raise Interrupted(f"{self._scheme}: {error or type(error).__name__}") from error


def _open(url: str, rules: SourceRules) -> tuple[Any, str]:
    try:
        import fsspec
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise ArtifactRejected("fsspec is not installed: pip install 'forestflow[sources]'") from error
    scheme = urlsplit(url).scheme
    if scheme in _REFUSED or "::" in url:
        raise ArtifactRejected(f"path provided doesn't follow a supported protocol: {url[:200]!r}")
    options: dict[str, Any] = {}
    if scheme not in _BUCKETS and not _is_container(url):
        options = _checked_host(url, rules)
    try:
        return fsspec.url_to_fs(url, skip_instance_cache=True, **options)  # type: ignore[no-any-return]
    except ImportError as error:
        driver = known_implementations.get(scheme, {}).get("err", str(error))
        raise ArtifactRejected(f"the driver of {scheme}:// is not installed: {driver}") from error
    except ValueError as error:
        hint = "pip install adlfs" if scheme == "abfss" else str(error)
        raise ArtifactRejected(f"no driver of {scheme}:// is installed: {hint}") from error
    except TimeoutError as error:
        raise DeadlineExceeded(f"{scheme}: the server did not answer in time") from error
    except Exception as error:  # drivers log in as they are made, and have errors of their own
        raise ArtifactRejected(f"{scheme}: {error}") from error


def _is_container(url: str) -> bool:
    """Azure's short form, ``abfs://container/path``; the long one is ``abfs://container@host/path``."""
    parts = urlsplit(url)
    return parts.scheme in ("abfs", "abfss") and "@" not in parts.netloc


def _checked_host(url: str, rules: SourceRules) -> dict[str, Any]:
    """Check the host of a URL; FTP connects to the address found, with a login from ``~/.netrc`` if it has one."""
    parts = urlsplit(url)
    host = parts.hostname
    if not host:
        raise ArtifactRejected(f"{parts.scheme}:// needs a host: {url[:200]!r}")
    try:
        address = rules.address(host, parts.port or _PORTS.get(parts.scheme, 443))
    except OSError as error:
        raise ArtifactRejected(f"the host {host!r} has no address: {error.strerror}") from error
    if parts.scheme != "ftp":
        return {}
    login = netrc_login(host)
    known = {"username": login[0], "password": login[1]} if login else {}
    return {"host": address, "timeout": 30, **known}
