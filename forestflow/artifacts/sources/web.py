"""Files over HTTP: the address that was checked is the one connected to, and every redirect is checked again.

Requests go straight to the server; the proxy variables of the environment are not read.
"""

from __future__ import annotations

import base64
import netrc
import os
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote, urljoin, urlsplit

import httpcore

from forestflow.artifacts.sources.rules import SourceRules
from forestflow.artifacts.sources.transfer import Interrupted, Meter, Opener, TimedOut
from forestflow.domain.errors import ArtifactRejected

MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


class WebStore:
    """Single files; there is nothing to list over HTTP."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def find(self, path: str) -> Mapping[str, int | None]:
        return {"": None}

    def opener(self, path: str) -> Opener:
        return opener(path, self._meter)

    def join(self, path: str, name: str) -> str:
        parts = urlsplit(path)
        return parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}").geturl()


def opener(url: str, meter: Meter, headers: Mapping[str, str] | None = None, *, announced: bool = False) -> Opener:
    """A URL for :func:`~forestflow.artifacts.sources.transfer.download`; resumed while it stays the same.

    ``announced`` says that the meter expects its size already.
    """
    validator: str | None = None
    sized = announced

    @contextmanager
    def open_at(offset: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        nonlocal validator, sized
        wanted = dict(headers or {})
        if offset and validator:
            wanted |= {"Range": f"bytes={offset}-", "If-Range": validator}
        with request("GET", url, meter, wanted) as (response, answered):
            if response.status not in (200, 206):
                if response.status == 416:
                    validator = None  # the next try takes the whole
                raise refusal(url, response.status)
            start = offset if answered.get("content-range", "").startswith(f"bytes {offset}-") else 0
            if response.status == 206 and not start:
                validator = None
                raise Interrupted(f"{url} answered with another range than asked for")
            length = answered.get("content-length", "")
            if not sized:
                sized = True
                meter.expect(int(length) if length.isdecimal() else None)
            etag = answered.get("etag", "")
            validator = etag if etag and not etag.startswith("W/") else answered.get("last-modified")
            yield start, _translated(response, url)

    return open_at


@contextmanager
def request(
    method: str, url: str, meter: Meter, headers: Mapping[str, str] | None = None, content: bytes | None = None
) -> Iterator[tuple[httpcore.Response, dict[str, str]]]:
    """The answer, of whatever status but a redirect, and its headers by lower-case name.

    Raises ArtifactRejected for a host or scheme that is not allowed, Interrupted when it did not come.
    """
    backend = _CheckedBackend(meter.rules)
    with httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=backend) as pool:
        for _ in range(MAX_REDIRECTS + 1):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ArtifactRejected(f"{_shown(url)} is not an http(s) URL")
            meter.rules.check_scheme(parts.scheme)
            sent = {"Host": parts.netloc, "Accept-Encoding": "identity", "User-Agent": "forestflow"}
            sent |= _authorization(parts.hostname) | dict(headers or {})
            limits = {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS, "pool": CONNECT_SECONDS}
            timeouts = {name: min(seconds, meter.remaining) for name, seconds in limits.items()}
            with _as_interruption(url):
                response = pool.handle_request(
                    httpcore.Request(
                        method,
                        url.partition("#")[0],
                        headers=list(sent.items()),
                        content=content,
                        extensions={"timeout": timeouts},
                    )
                )
            try:
                answered = {name.decode().lower(): value.decode("latin-1") for name, value in response.headers}
                if response.status not in _REDIRECTS:
                    yield response, answered
                    return
                url = _redirected(url, answered.get("location", ""))
                headers = None  # what was meant for one host is not for the next
            finally:
                response.close()
    raise ArtifactRejected(f"{_shown(url)} is redirected more than {MAX_REDIRECTS} times")


def refusal(url: str, status: int) -> Exception:
    """What an answer other than the file means."""
    host = urlsplit(url).hostname
    if status in _LATER or status == 416:
        return Interrupted(f"{host} answered {status}")
    hint = {
        401: f"; give the server a login for {host} in ~/.netrc",
        403: f"; perhaps the server needs a login for {host} in ~/.netrc",
        404: "; the path is that of the model's file or archive, or of the folder that holds it",
    }.get(status, "")
    return ArtifactRejected(f"{_shown(url)} answered {status}{hint}")


class _CheckedBackend(httpcore.SyncBackend):
    """Connects to the address that was checked, not to what the name means a moment later."""

    def __init__(self, rules: SourceRules) -> None:
        self._rules = rules

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return super().connect_tcp(self._rules.address(host, port), port, timeout, local_address, socket_options)


def _redirected(url: str, location: str) -> str:
    target = urljoin(url, location)
    scheme = urlsplit(target).scheme
    if scheme not in ("http", "https") or (url.startswith("https:") and scheme != "https"):
        raise ArtifactRejected(f"{_shown(url)} is redirected to {_shown(target)}, which is not https")
    return target


def _authorization(host: str) -> dict[str, str]:
    """The login for a host in ``~/.netrc`` (or ``$NETRC``)."""
    login = netrc_login(host)
    if login is None:
        return {}
    return {"Authorization": basic(*login)}


def basic(user: str, password: str) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def read(response: httpcore.Response, url: str, limit: int) -> bytes:
    """A short answer whole; raises ArtifactRejected when it is not short."""
    answer = bytearray()
    for chunk in _translated(response, url):
        answer += chunk
        if len(answer) > limit:
            raise ArtifactRejected(f"{_shown(url)} answered with more than {limit} bytes")
    return bytes(answer)


def netrc_login(host: str) -> tuple[str, str] | None:
    """User and password for a host from the file that ``$NETRC`` names, else ``~/.netrc``."""
    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except FileNotFoundError:
        return None
    except (netrc.NetrcParseError, OSError) as error:
        raise ArtifactRejected(f"the server's .netrc cannot be read: {getattr(error, 'msg', error)}") from error
    return (found[0], found[2] or "") if found else None


def _translated(response: httpcore.Response, url: str) -> Iterator[bytes]:
    with _as_interruption(url):
        yield from response.iter_stream()


@contextmanager
def _as_interruption(url: str) -> Iterator[None]:
    host = urlsplit(url).hostname
    try:
        yield
    except httpcore.TimeoutException as error:
        raise TimedOut(f"{host} did not answer in time") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise Interrupted(f"the connection to {host} failed: {error or type(error).__name__}") from error


def _shown(url: str) -> str:
    """Without its query: a redirect's often holds a signature."""
    return url.partition("?")[0][:200]
