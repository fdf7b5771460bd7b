"""Git LFS: the files that a repository holds as pointers, by the batch API, without the git-lfs command.

Formats: github.com/git-lfs/git-lfs, docs/spec.md (pointers), docs/api/batch.md and docs/api/server-discovery.md. A
repository may name another LFS server in its ``.lfsconfig``; that has to be on a host that models may come from, too.
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

from forestflow.artifacts.sources import git, web
from forestflow.artifacts.sources.git import GitSource
from forestflow.artifacts.sources.transfer import Interrupted, Meter, again_or_raise, download
from forestflow.domain.errors import ArtifactRejected
from forestflow.domain.sources import refuse_secrets

MAX_POINTER_BYTES = 1024
MAX_ANSWER_BYTES = 16 << 20
OBJECTS_AT_ONCE = 100

# As git-lfs reads them: under its former names, too, and with any white space around.
_POINTER = re.compile(
    rb"\s*version (?:https://(?:git-lfs|hawser)\.github\.com/spec/v1|http://git-media\.io/v/2)\r?\n(?P<extensions>(?:ext-.*\n)*)"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\r?\nsize (?P<size>\d{1,18})\s*"
)
MAX_CONFIG_BYTES = 1 << 16
_TYPE = "application/vnd.git-lfs+json"


@dataclass(frozen=True, slots=True)
class Pointer:
    """A file that stands for the content with this SHA-256."""

    file: Path
    oid: str
    size: int


def fill(folder: Path, root: Path, source: GitSource, meter: Meter) -> None:
    """Put the content in place of each pointer at or below ``folder``; ``root`` has all files of the commit.

    Raises ArtifactRejected, DeadlineExceeded.
    """
    pointers = list(_pointers(folder))
    if not pointers:
        return
    for pointer in pointers:
        meter.expect(pointer.size)
    endpoint, headers = _endpoint(source, _configured(root), meter)
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
            if match["extensions"]:
                raise ArtifactRejected(
                    f"{path.name} is stored with a Git LFS extension, whose program the server does not run: store the "
                    "model without it"
                )
            yield Pointer(path, match["oid"].decode(), int(match["size"]))


def _configured(root: Path) -> str | None:
    """The LFS server that the repository names itself."""
    file = root / ".lfsconfig"
    if file.is_symlink() or not file.is_file() or file.stat().st_size > MAX_CONFIG_BYTES:
        return None
    answer = subprocess.run(
        ["git", "config", "--no-includes", "--file", str(file), "--get", "lfs.url"],
        env=git.environment("https"),
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip().rstrip("/") or None


def _endpoint(source: GitSource, configured: str | None, meter: Meter) -> tuple[str, dict[str, str]]:
    """Where the LFS server is, and what it must be told to let us in."""
    if configured is not None:
        if not configured.startswith(("https://", "http://")):
            raise ArtifactRejected(f"the repository's .lfsconfig names no http(s) server: {configured[:200]!r}")
        refuse_secrets(configured)
        return configured, _login(configured, meter)
    if source.scheme == "ssh":
        return _over_ssh(source, meter)
    if not source.over_http:
        raise ArtifactRejected(
            f"the model is stored with Git LFS, which {source.scheme}:// cannot fetch: use https or ssh"
        )
    base = source.url.rstrip("/")
    return f"{base if base.endswith('.git') else base + '.git'}/info/lfs", _login(source.url, meter)


def _login(url: str, meter: Meter) -> dict[str, str]:
    """From git's credential helpers, if models may come from there; ``~/.netrc`` is looked at with each request."""
    parts = urlsplit(url)
    meter.rules.check_scheme(parts.scheme)
    meter.rules.check_host(parts.hostname or "")
    if web.netrc_login(parts.hostname or ""):
        return {}
    asked = f"protocol={parts.scheme}\nhost={parts.netloc}\n\n"
    try:
        answer = subprocess.run(
            ["git", "credential", "fill"],
            input=asked.encode(),
            env={**git.environment(parts.scheme), "GIT_ASKPASS": "/bin/false"},
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
                said = str(entry["error"].get("message"))[:200]
                raise ArtifactRejected(f"the LFS server lacks {entry['oid'][:12]}: {said}")
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
