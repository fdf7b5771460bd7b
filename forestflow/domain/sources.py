"""What the path of a deploy request says by itself: what lies below it, which release its git tag names, no secret.

A path is read by the process that serves everybody, before anything else is known of it. So it has a bound, and no
search here takes more than a few steps a character.
"""

from __future__ import annotations

import re
from itertools import pairwise

from forestflow.domain.errors import Malformed
from forestflow.domain.ids import Contract, Fqrv

MAX_PATH_LENGTH = 4096

# The original's convention: git@host:<organization>/<project>.git#v<contract number>.<release version>
_GIT_TAG = re.compile(
    r"(?:[^@/\s]+@[^:/\s]+:|(?:git\+)?(?:ssh|https?)://[^/\s]+/)"
    r"(?P<organization>[^/#\s]+)/(?P<project>[^/#\s]+)\.git#v(?P<number>[0-9]{1,20})\.(?P<release>\S+)"
)
_USER = re.compile(r"[^/?#@\s]*@")
_HOST = re.compile(r"[^/@]*")
_PORT = re.compile(r"\d+")
_PASSWORD = re.compile(r"[^/@:\s]+:[^/@:\s][^@\s]*@")
_SECRET_KEY = re.compile(
    r"[?&](password|passwd|pwd|(access_|auth_|private_|id_)?token|auth|api_?key|access_?key|secret|sig|signature"
    r"|awsaccesskeyid|x-(amz|goog)-(signature|credential|security-token))=",
    re.I,
)
_WORD = re.compile(r"\S+")
_S3_WORD = re.compile(r"(?:bucket|region)=[a-z0-9.-]+")  # after the URL of an S3 path
_SCHEME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-"
# There a name before the @ is part of the address. For the others it could be a token.
_NAMED_USERS = frozenset({"ssh", "git+ssh", "sftp", "abfs", "abfss", "hdfs", "webhdfs"})


def fqrv_of(path: str) -> Fqrv | None:
    """The release that a git path with a tag of the convention names; ``None`` for any other path.

    Raises :class:`~forestflow.domain.errors.InvalidIdentifier` when its parts cannot be names.
    """
    match = _GIT_TAG.fullmatch(path)
    if match is None:
        return None
    return Fqrv(Contract(match["organization"], match["project"], int(match["number"])), match["release"])


def below(path: str, name: str) -> str:
    """The path of what lies by that name in the folder ``path``: an S3 path keeps the words after its URL."""
    at = len(path)
    if path.startswith("s3:"):
        at = max(word.end() for word in _WORD.finditer(path) if not _S3_WORD.fullmatch(word[0]))
    return f"{path[:at].rstrip('/')}/{name}{path[at:]}"


def check_length(path: str) -> None:
    """Raise :class:`~forestflow.domain.errors.Malformed` for a path that is longer than any of a file or an object."""
    if len(path) > MAX_PATH_LENGTH:
        raise Malformed(f"the path has {len(path)} characters; at most {MAX_PATH_LENGTH} are allowed")


def refuse_secrets(path: str) -> None:
    """Raise :class:`~forestflow.domain.errors.Malformed` for a path with a password, token or signature in it.

    A path is stored in the journal and shown to everybody who may look; the error says nothing of it.
    """
    if _PASSWORD.match(path) or _names_user(path) or any(map(_holds_password, path.split())):
        raise Malformed(
            "the path holds a user name or password, and paths are stored and shown: leave them out. The server takes "
            "credentials from ~/.netrc and git's credential helpers (https), ssh keys (git@), AWS_… variables or "
            "the setting s3_credentials_file (S3), and what the storage's own client reads"
        )
    secret = _SECRET_KEY.search(path)
    if secret is not None:
        raise Malformed(
            f"the path holds a secret (parameter {secret[1]!r}), and paths are stored and shown: leave it out; "
            "name the object itself, and give the server credentials by its environment or settings"
        )


def _names_user(path: str) -> bool:
    """Whether a URL names a user where that could be a token."""
    parts = path.split("://")
    for before, after in pairwise(parts):
        scheme = before[len(before.rstrip(_SCHEME)) :]
        if scheme and scheme.lower() not in _NAMED_USERS and _USER.match(after):
            return True
    return False


def _holds_password(word: str) -> bool:
    """Whether a URL has a colon before its @ that is not a port's: a password may hold a slash, a port ends at one."""
    last = word.rfind("@")
    start = word.find("://")
    while 0 <= start < last:
        host = _HOST.match(word, start + 3)
        assert host is not None
        name, colon, rest = host[0].rpartition(":")
        port = word[host.end() : host.end() + 1] == "/" and _PORT.fullmatch(rest) is not None
        if colon and (not port or ":" in name):
            return True
        start = word.find("://", start + 3)
    return False
