"""S3, as ``s3://bucket/key`` or in the original's form, which names the service: ``s3::https://host/bucket bucket=…``.

Credentials for a named service come from the first of three levels that has them: of the object, of the bucket, of
the service. Each is a variable of the server, or a line of its credentials file, named after what it is for.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from forestflow.artifacts.sources.rules import SourceRules
from forestflow.artifacts.sources.transfer import CHUNK_BYTES, MAX_FILES, Interrupted, Meter, Opener, TimedOut
from forestflow.domain.errors import ArtifactRejected

_NAMED_SERVICE = re.compile(
    r"(?P<url>s3:(?::https?:)?//\S+)\s+bucket=(?P<bucket>[a-z0-9.-]+)(?:\s+region=(?P<region>[a-z0-9-]+))?\s*"
)
_PLAIN = re.compile(r"s3://(?P<bucket>[A-Za-z0-9._-]+)(?:/(?P<key>[^?#]*))?")
_REGION = re.compile(r"region=([a-z0-9-]+)")
MAX_PAGES = 10_000  # of a listing; a page has up to 1000 objects
_SHAPE = "s3://bucket/folder or s3::https://host/bucket bucket=<bucket> [region=<region>]"


@dataclass(frozen=True, slots=True)
class S3Location:
    """``endpoint`` is the service's URL, without the bucket; ``None`` for the one that the AWS settings name.

    ``key`` is a prefix of the keys of the model. ``levels`` are what credentials may be named after, the service first.
    """

    endpoint: str | None
    bucket: str
    key: str
    region: str | None
    path_style: bool
    levels: tuple[str, ...]


def parse(path: str) -> S3Location:
    """Raises ArtifactRejected for a path that is of neither form."""
    named = _NAMED_SERVICE.fullmatch(path)
    if named is not None:
        return _parse_named(named["url"], named["bucket"], named["region"])
    url, *words = path.rsplit(None, 1)
    region = _REGION.fullmatch(words[0]) if words else None
    plain = _PLAIN.fullmatch(url if region else path.rstrip())
    if plain is None or " bucket=" in path:
        raise ArtifactRejected(f"an S3 path is {_SHAPE}, not {path[:200]!r}")
    return S3Location(None, plain["bucket"], (plain["key"] or "").strip("/"), region and region[1], False, ())


def _parse_named(url: str, bucket: str, region: str | None) -> S3Location:
    parts = urlsplit(url.removeprefix("s3::"))
    scheme = "https" if parts.scheme == "s3" else parts.scheme
    first, _, key = parts.path.strip("/").partition("/")
    host = parts.netloc
    in_path = first == bucket
    if not in_path:
        key = parts.path.strip("/")
    levels = [parts.netloc, f"{parts.netloc}/{bucket}" if in_path else parts.netloc]
    if not in_path and host.startswith(f"{bucket}."):  # the bucket is part of the host: its service is the rest
        host = host.removeprefix(f"{bucket}.")
        levels.insert(0, host)
    elif host == bucket:
        raise ArtifactRejected(f"{host!r} is the bucket itself; an S3 path names the service: {_SHAPE}")
    path_style = in_path or not host.partition(":")[0].endswith(".amazonaws.com")
    return S3Location(f"{scheme}://{host}", bucket, key.strip("/"), region, path_style, tuple(dict.fromkeys(levels)))


def credentials(
    location: S3Location, artifact: str, file: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[str, str] | None:
    """Access key and secret of the most specific level that has both; a line of the file counts before a variable."""
    names = (
        environment.get("S3_ACCESS_KEY_ID_POSTFIX_CONFIG", "aws_access_key_id"),
        environment.get("S3_SECRET_ACCESS_KEY_POSTFIX_CONFIG", "aws_secret_access_key"),
    )
    for level in candidates(location, artifact):
        key, secret = (file.get(f"{level}_{name}") or environment.get(f"{level}_{name}") for name in names)
        if key and secret:
            return key, secret
    return None


def candidates(location: S3Location, artifact: str) -> list[str]:
    """What credentials may be named after, most specific first: ``host_port_bucket_object`` and so on."""
    if not location.levels:
        return []
    levels = [f"{location.levels[-1]}/{artifact}", *reversed(location.levels)]
    return [re.sub(r"[^A-Za-z0-9]+", "_", level).strip("_") for level in levels]


def read_credentials_file(path: Path | None) -> dict[str, str]:
    """The lines of the TOML file ``s3_credentials_file``. Raises ArtifactRejected, silent about its content."""
    if path is None:
        return {}
    try:
        return {name: str(value) for name, value in tomllib.loads(path.read_text()).items()}
    except (OSError, ValueError) as error:
        raise ArtifactRejected("the file that the setting s3_credentials_file names cannot be read as TOML") from error


class S3Store:
    """A bucket; paths are keys."""

    def __init__(self, location: S3Location, artifact: str, meter: Meter) -> None:
        self._bucket = location.bucket
        self._hint = _hint(location, artifact)
        self._client = _client(location, artifact, meter.rules)

    def find(self, path: str) -> Mapping[str, int | None]:
        refused = None
        if path:
            try:
                return {"": self._call("head_object", Key=path)["ContentLength"]}
            except ArtifactRejected as error:  # no such object, or no right to know: perhaps it is a folder
                refused = error
        found: dict[str, int | None] = {name: entry["Size"] for name, entry in self._objects(path)}
        if not found and refused is not None:
            raise refused
        return found

    def folders(self, path: str) -> list[str]:
        prefix = _folder(path)
        pages = list(self._pages(prefix, Delimiter="/"))
        if not any(page.get("CommonPrefixes") or page.get("Contents") for page in pages):
            raise ArtifactRejected(f"nothing lies under s3://{self._bucket}/{prefix}")
        return [e["Prefix"][len(prefix) :].rstrip("/") for page in pages for e in page.get("CommonPrefixes", ())]

    def stamps(self, path: str) -> dict[str, str]:
        return {name: f"{entry['Size']} {entry['ETag']}" for name, entry in self._objects(path)}

    def _objects(self, path: str) -> Iterator[tuple[str, Any]]:
        """The entries of all objects below a folder by their names there."""
        prefix = _folder(path)
        for page in self._pages(prefix):
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):  # an empty object that stands for a folder
                    yield entry["Key"][len(prefix) :], entry

    def _pages(self, prefix: str, **arguments: str) -> Iterator[Any]:
        count, more = 0, dict[str, Any]()
        for _ in range(MAX_PAGES):  # a service could go on for ever with empty ones
            page = self._call("list_objects_v2", Prefix=prefix, **arguments, **more)
            count += len(page.get("Contents", ())) + len(page.get("CommonPrefixes", ()))
            if count > MAX_FILES:
                break
            yield page
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}
        raise ArtifactRejected(f"more than {MAX_FILES} objects lie under s3://{self._bucket}/{prefix}")

    def opener(self, path: str) -> Opener:
        etag: str | None = None

        @contextmanager
        def open_at(offset: int) -> Iterator[tuple[int, Iterator[bytes]]]:
            nonlocal etag
            wanted: dict[str, Any] = {"Range": f"bytes={offset}-", "IfMatch": etag} if offset and etag else {}
            answer = self._call("get_object", Key=path, **wanted)
            etag = answer["ETag"]
            with closing(answer["Body"]) as body:
                yield (offset if wanted else 0), self._chunks(body)

        return open_at

    def _chunks(self, body: Any) -> Iterator[bytes]:
        with self._translated():
            yield from body.iter_chunks(CHUNK_BYTES)

    def join(self, path: str, name: str) -> str:
        return f"{path}/{name}".strip("/")

    def _call(self, operation: str, **arguments: Any) -> Any:
        with self._translated():
            return getattr(self._client, operation)(Bucket=self._bucket, **arguments)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from botocore import exceptions

        try:
            yield
        except (exceptions.ReadTimeoutError, exceptions.ConnectTimeoutError) as error:
            raise TimedOut("S3 did not answer in time") from error
        except (exceptions.HTTPClientError, exceptions.IncompleteReadError) as error:
            raise Interrupted(f"the connection to S3 failed: {error}") from error
        except exceptions.ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            code = error.response["Error"].get("Code", "")
            said = f"S3 answered {code if code == str(status) else f'{status} {code}'}, bucket {self._bucket!r}"
            if status >= 500 or status == 429:
                raise Interrupted(said) from error
            raise ArtifactRejected(said + (self._hint if status in (400, 401, 403) else "")) from error
        except exceptions.BotoCoreError as error:
            raise ArtifactRejected(f"S3: {error}") from error


def _folder(path: str) -> str:
    """What the keys below a folder begin with."""
    return f"{path}/" if path else ""


def _client(location: S3Location, artifact: str, rules: SourceRules) -> Any:
    try:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise ArtifactRejected("S3 needs boto3, which is not installed: pip install 'forestflow[sources]'") from error
    if location.endpoint is not None:
        parts = urlsplit(location.endpoint)
        _check_host(parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443), rules)
    found = credentials(location, artifact, read_credentials_file(rules.s3_credentials_file), os.environ)
    try:
        session = boto3.session.Session(*found) if found else boto3.session.Session()
        unsigned = {"signature_version": UNSIGNED} if session.get_credentials() is None else {}
        config = Config(
            connect_timeout=10,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 3},
            s3={"addressing_style": "path" if location.path_style else "auto"},
            **unsigned,
        )
        region = location.region or session.region_name or "us-east-1"
        return session.client("s3", endpoint_url=location.endpoint, region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        raise ArtifactRejected(f"S3: {error}") from error


def _check_host(host: str, port: int, rules: SourceRules) -> None:
    try:
        rules.address(host, port)
    except OSError as error:
        raise ArtifactRejected(f"the host {host!r} has no address: {error.strerror}") from error


def _hint(location: S3Location, artifact: str) -> str:
    names = [f"{level}_aws_access_key_id" for level in candidates(location, artifact)]
    if not names:
        return "; give the server AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role"
    return (
        f"; credentials are looked for in {', '.join(names)} (each with its …_aws_secret_access_key), then as AWS's own"
    )
