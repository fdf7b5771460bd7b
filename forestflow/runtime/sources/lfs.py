"""Git LFS: the files that a repository holds as pointers, by the batch API, without the git-lfs command.

Formats: github.com/git-lfs/git-lfs, docs/spec.md (pointers), docs/api/batch.md and docs/api/server-discovery.md.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from forestflow.domain.errors import ArtifactRejected
from forestflow.runtime.sources import git, web
from forestflow.runtime.sources.git import GitSource
from forestflow.runtime.sources.transfer import Interrupted, Meter, again_or_raise, download

MAX_POINTER_BYTES = 1024
MAX_ANSWER_BYTES = 16 << 20
OBJECTS_AT_ONCE = 100

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>\d{1,18})\n"
)
_TYPE = "application/vnd.git-lfs+json"


@dataclass(frozen=True, slots=True)
class Pointer:
    """A file that stands for the content with this SHA-256."""

    file: Path
    oid: str
    size: int


def fill(folder: Path, source: GitSource, meter: Meter) -> None:
    """Put the content in place of each pointer at or below ``folder``. Raises ArtifactRejected, DeadlineExceeded."""
    pointers = list(_pointers(folder))
    if not pointers:
        return
    for pointer in pointers:
        meter.expect(pointer.size)
    endpoint, headers = _endpoint(source, meter)
    for first in range(0, len(pointers), OBJECTS_AT_ONCE):
        batch = pointers[first : first + OBJECTS_AT_ONCE]
        actions = _batch(endpoint, headers, batch, meter)
        for pointer in batch:
            _replace(pointer, actions, meter)


def _pointers(folder: Path) -> Iterator[Pointer]:
    for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.stat().st_size >= MAX_POINTER_BYTES:
            continue
        match = _POINTER.fullmatch(path.read_bytes())
        if match is not None:
            yield Pointer(path, match["oid"].decode(), int(match["size"]))


def _endpoint(source: GitSource, meter: Meter) -> tuple[str, dict[str, str]]:
    """Where the LFS server is, and what it must be told to let us in."""
    if source.scheme == "ssh":
        return _over_ssh(source, meter)
    if not source.over_http:
        raise ArtifactRejected(
            f"the model is stored with Git LFS, which {source.scheme}:// cannot fetch: use https or ssh"
        )
    base = source.url.rstrip("/")
    return f"{base if base.endswith('.git') else base + '.git'}/info/lfs", _login(source, meter)


def _login(source: GitSource, meter: Meter) -> dict[str, str]:
    """From git's credential helpers; what ``~/.netrc`` has is added with each request."""
    if web.netrc_login(source.host):
        return {}
    asked = f"protocol={source.scheme}\nhost={urlsplit(source.url).netloc}\n\n"
    try:
        answer = subprocess.run(
            ["git", "credential", "fill"],
            input=asked.encode(),
            env={**git.environment(source.scheme), "GIT_ASKPASS": "/bin/false"},
            capture_output=True,
            timeout=min(10, meter.remaining),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}
    found = dict(line.partition("=")[::2] for line in answer.stdout.decode().splitlines())
    if answer.returncode or "password" not in found:
        return {}
    return {"Authorization": web.basic(found["username"], found["password"])}


def _over_ssh(source: GitSource, meter: Meter) -> tuple[str, dict[str, str]]:
    """Ask the git server over ssh, as git-lfs does."""
    if "://" in source.url:
        parts = urlsplit(source.url)
        user, path = parts.username, parts.path.lstrip("/")
        port = ["-p", str(parts.port)] if parts.port else []
    else:
        (address, _, path), port = source.url.partition(":"), []
        user = address.partition("@")[0]
    destination = f"{user}@{source.host}" if user else source.host
    ssh = shlex.split(os.environ.get("GIT_SSH_COMMAND", "ssh"))
    asked = f"git-lfs-authenticate {shlex.quote(path)} download"
    with (
        tempfile.TemporaryFile() as out,
        git.running([*ssh, *port, "--", destination, asked], git.environment("ssh"), out.fileno()) as process,
    ):
        try:
            process.wait(meter.remaining)
        except subprocess.TimeoutExpired as error:
            raise meter.late() from error
        out.seek(0)
        answer = out.read(MAX_ANSWER_BYTES)
    try:
        document = orjson.loads(answer)
        return document["href"].rstrip("/"), dict(document.get("header") or {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactRejected(
            f"the model is stored with Git LFS, and {source.host} does not say over ssh where: use its https URL"
        ) from error


def _batch(endpoint: str, headers: dict[str, str], pointers: list[Pointer], meter: Meter) -> dict[str, Any]:
    """The download action of each object by its oid."""
    body = orjson.dumps(
        {
            "operation": "download",
            "transfers": ["basic"],
            "objects": [{"oid": pointer.oid, "size": pointer.size} for pointer in pointers],
            "hash_algo": "sha256",
        }
    )
    url = f"{endpoint}/objects/batch"
    sent = {**headers, "Accept": _TYPE, "Content-Type": _TYPE, "Content-Length": str(len(body))}
    failures = 0
    while True:
        try:
            with web.request("POST", url, meter, sent, body) as (response, _):
                if response.status != 200:
                    raise web.refusal(url, response.status)
                return _actions(web.read(response, url, MAX_ANSWER_BYTES))
        except Interrupted as error:
            failures += 1
            again_or_raise(error, failures, meter)


def _actions(answer: bytes) -> dict[str, Any]:
    try:
        found = {}
        for entry in orjson.loads(answer)["objects"]:
            if "error" in entry:
                raise ArtifactRejected(f"the LFS server lacks {entry['oid'][:12]}: {entry['error'].get('message')}")
            found[entry["oid"]] = entry["actions"]["download"]
            str(found[entry["oid"]]["href"])
        return found
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactRejected("the LFS server's answer is not that of the batch API") from error


def _replace(pointer: Pointer, actions: dict[str, Any], meter: Meter) -> None:
    action = actions.get(pointer.oid)
    if action is None:
        raise ArtifactRejected(f"the LFS server does not offer {pointer.file.name} ({pointer.oid[:12]})")
    fresh = pointer.file.with_name(f".{pointer.oid}")
    download(web.opener(action["href"], meter, action.get("header"), announced=True), fresh, meter)
    with fresh.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != pointer.oid:
            raise ArtifactRejected(f"the LFS server sent something else for {pointer.file.name}")
    os.replace(fresh, pointer.file)
