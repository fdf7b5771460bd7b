"""What the path of a deploy request says by itself: what lies below it, which release its git tag names, no secret."""

from __future__ import annotations

import re

from forestflow.domain.errors import Malformed
from forestflow.domain.ids import Contract, Fqrv

# The original's convention: git@host:<organization>/<project>.git#v<contract number>.<release version>
_GIT_TAG = re.compile(
    r"(?:[^@/\s]+@[^:/\s]+:|(?:git\+)?(?:ssh|https?)://[^/\s]+/)"
    r"(?P<organization>[^/#\s]+)/(?P<project>[^/#\s]+)\.git#v(?P<number>[0-9]+)\.(?P<release>\S+)"
)
_USER = re.compile(r"(?P<scheme>[a-z0-9+.-]+)://(?P<user>[^/?#@\s]*)@", re.I)
# Up to the @, for a password may hold a slash; a port and its slash are none.
_PASSWORD = re.compile(r"://[^/@\s]*:(?!\d+/)[^@\s]*@|^[^/@:\s]+:[^/@:\s][^@\s]*@")
_SECRET_KEY = re.compile(
    r"[?&](password|passwd|pwd|(access_|auth_|private_|id_)?token|auth|api_?key|access_?key|secret|sig|signature"
    r"|awsaccesskeyid|x-(amz|goog)-(signature|credential|security-token))=",
    re.I,
)
# The words after the URL of an S3 path
_S3_WORDS = re.compile(r"(?:\s+(?:bucket|region)=[a-z0-9.-]+)*\s*$")
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
    words = _S3_WORDS.search(path) if path.startswith("s3:") else None
    at = words.start() if words is not None else len(path)
    return f"{path[:at].rstrip('/')}/{name}{path[at:]}"


def refuse_secrets(path: str) -> None:
    """Raise :class:`~forestflow.domain.errors.Malformed` for a path with a password, token or signature in it.

    A path is stored in the journal and shown to everybody who may look; the error says nothing of it.
    """
    user = _USER.search(path)
    if _PASSWORD.search(path) or (user is not None and user["scheme"].lower() not in _NAMED_USERS):
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
