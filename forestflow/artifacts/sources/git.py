"""Git repositories, through the git command: one commit, without history, hooks or submodules.

A repository is somebody else's data. So only the protocol of its URL is allowed, redirects are not followed, nothing
is asked on a terminal, no filter or hook runs, and the folder is measured while git fills it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from forestflow.artifacts.sources.rules import SourceRules
from forestflow.artifacts.sources.transfer import MAX_FILES, Interrupted, Meter, again_or_raise
from forestflow.domain.errors import ArtifactRejected

POLL_SECONDS = 0.25

_SCP = re.compile(r"(?P<user>[A-Za-z0-9._][A-Za-z0-9._-]*)@(?P<host>[A-Za-z0-9._][A-Za-z0-9._-]*):(?P<path>[^/-].*)")
_BAD_REF = re.compile(r"^[-+/.]|\.\.|[\x00-\x20\x7f~^:?*\[\\]|@\{|//|[/.]$|\.lock$|^@$")
_PORTS = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
_MISSING = "couldn't find remote ref"
_PASSING = re.compile(
    r"could not resolve|timed out|early EOF|connection reset|RPC failed|hung up|error: 5\d\d|refused"
    r"|unexpected disconnect|bytes of body are still expected",
    re.I,
)
_OPTIONS = {
    "protocol.version": "2",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.autocrlf": "false",
    "gc.auto": "0",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "30",
    "submodule.recurse": "false",
    "advice.detachedHead": "false",
    # An installed git-lfs would fetch from wherever the repository says; see lfs.py
    "filter.lfs.smudge": "",
    "filter.lfs.process": "",
    "filter.lfs.required": "false",
}


@dataclass(frozen=True, slots=True)
class GitSource:
    """A repository's ``url`` as git takes it, with the ``ref`` (tag, branch or commit) after the ``#``, if any."""

    url: str
    scheme: str
    host: str
    port: int
    ref: str | None

    @property
    def over_http(self) -> bool:
        return self.scheme in ("http", "https")


def parse(path: str) -> GitSource | None:
    """``None`` for a path that is none of git's; raises ArtifactRejected for one that must not be."""
    url, hash_sign, ref = path.partition("#")
    if "::" in url and not url.startswith("s3::"):
        raise ArtifactRejected(f"path provided doesn't follow a supported protocol: {path[:200]!r}")  # git's ext::
    plain = url.startswith(("http://", "https://")) and url.endswith(".git")
    if not (plain or "://" not in url or url.startswith(("git+", "git://", "ssh://"))):
        return None
    _, at, address = url.partition("/")[0].partition("@")
    if "://" not in url and not (at and ":" in address):
        return None
    if hash_sign and (not ref or _BAD_REF.search(ref)):
        raise ArtifactRejected(f"after the # a git path names a tag, a branch or a full commit, not {ref[:100]!r}")
    url = url.removeprefix("git+")
    scp = _SCP.fullmatch(url)
    if scp is not None:
        return GitSource(url, "ssh", scp["host"], 22, ref or None)
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.hostname.startswith("-") or re.search(r"\s|/-", url):
        raise ArtifactRejected(f"{path[:200]!r} is no git URL; expected git@host:organization/project.git#tag or https")
    return GitSource(url, parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], ref or None)


def fetch(source: GitSource, tag: str | None, into: Path, meter: Meter) -> Path:
    """Check one commit out; the folder of its files. Without a ref: the ``tag`` if the repository has it, else HEAD.

    Raises ArtifactRejected, DeadlineExceeded.
    """
    repository, files = into / "repository", into / "files"
    files.mkdir(parents=True)
    git = _Git(source, {"GIT_DIR": str(repository), "GIT_WORK_TREE": str(files)}, into, meter)
    meter.tell("fetching the repository")
    git.run("init", "--quiet", "--template=")
    refs = [source.ref] if source.ref else ([f"refs/tags/{tag}"] if tag and not _BAD_REF.search(tag) else []) + ["HEAD"]
    for ref in refs:
        if _fetched(git, source, ref, meter):
            break
    else:
        wanted = source.ref or "HEAD"
        raise ArtifactRejected(f"{source.url} has no tag, branch or commit {wanted!r} (commits need all 40 digits)")
    meter.tell("checking out the files")
    git.run("checkout", "--quiet", "--detach", "FETCH_HEAD", "--")
    return files


def _fetched(git: _Git, source: GitSource, ref: str, meter: Meter) -> bool:
    """Whether the repository has that ref; it then is FETCH_HEAD."""
    failures = 0
    while True:
        try:
            git.run("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", source.url, ref)
            return True
        except GitFailed as error:
            if _MISSING in str(error):
                return False
            if not _PASSING.search(str(error)):
                raise
            failures += 1
            again_or_raise(Interrupted(str(error)), failures, meter)


class GitFailed(ArtifactRejected):
    """What git said: ``GitFailed(message)``."""


class _Git:
    """The git command with its settings for one repository."""

    def __init__(self, source: GitSource, variables: Mapping[str, str], folder: Path, meter: Meter) -> None:
        self._meter = meter
        self._folder = folder
        self._source = source
        address = reachable(source.host, source.port, meter.rules, resolve=source.scheme != "ssh")
        options = dict(_OPTIONS)
        if address and source.over_http:
            shown = f"[{address}]" if ":" in address else address
            options["http.curloptResolve"] = f"{source.host}:{source.port}:{shown}"
        self._options = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._environment = {**environment(source.scheme), **variables}

    def run(self, *arguments: str) -> None:
        """Raises GitFailed with what git said; ArtifactRejected, DeadlineExceeded when it took too much."""
        with (
            tempfile.TemporaryFile() as said,
            running(["git", *self._options, *arguments], self._environment, said.fileno()) as process,
        ):
            while process.poll() is None:
                self._measure()
                try:
                    process.wait(min(POLL_SECONDS, self._meter.remaining))
                except subprocess.TimeoutExpired:
                    continue
            self._measure()
            if process.returncode:
                said.seek(0)
                raise GitFailed(self._explained(said.read(8192).decode(errors="replace")))

    def _measure(self) -> None:
        size = count = 0
        for folder, _, names in os.walk(self._folder):
            count += len(names)
            size += sum(_size(Path(folder) / name) for name in names)
        if count > 2 * MAX_FILES:
            raise ArtifactRejected(f"the repository has more than {MAX_FILES} files")
        if size > 2 * self._meter.rules.max_bytes:  # the objects and the files made from them
            raise ArtifactRejected(
                f"the repository is larger than {self._meter.rules.max_bytes} bytes (setting artifact_max_bytes)"
            )
        if size > 1_000_000:
            self._meter.tell(f"fetching the repository: {size / 1e6:.0f} MB")

    def _explained(self, said: str) -> str:
        lines = [line.strip() for line in said.replace(str(self._folder), "").splitlines() if line.strip()]
        text = "; ".join(lines)[-500:] or "no reason given"
        hint = ""
        if self._source.scheme == "ssh":
            hint = " (the server needs an ssh key for it, and the host in known_hosts)"
        elif re.search(r"could not read Username|Authentication failed|terminal prompts disabled", said):
            hint = f" (give the server a login for {self._source.host} in ~/.netrc or a git credential helper)"
        elif "unable to update url base from redirection" in said or re.search(r"error: 30\d", said):
            hint = " (redirects are not followed: name the repository where it is now)"
        return f"git: {text}{hint}"


def reachable(host: str, port: int, rules: SourceRules, *, resolve: bool) -> str | None:
    """Check a host; its address, unless it is listed and only ssh need know what it means (an alias of its config)."""
    if rules.check_host(host) and not resolve:
        return None
    try:
        return rules.address(host, port)
    except OSError as error:
        raise ArtifactRejected(f"the host {host!r} has no address: {error.strerror}") from error


def environment(scheme: str) -> dict[str, str]:
    """Return the environment of git's processes: the server's credentials, no repository of its own, no questions."""
    inherited = (
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_ASKPASS",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_SSL_CAINFO",
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in inherited}
    return {
        **kept,
        "GIT_ALLOW_PROTOCOL": scheme,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "LC_ALL": "C",
    }


@contextmanager
def running(command: list[str], environment: Mapping[str, str], stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process without terminal or input, which ends with all it started when the block is left."""
    try:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise ArtifactRejected(f"the server has no {command[0]} command, which paths of this kind need") from error
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # git moves its temporary files
        return 0
