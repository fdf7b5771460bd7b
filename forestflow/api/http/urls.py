"""``{"url": …}`` in a request's body: fetched from hosts that the operator allows, and from nowhere else.

A name is resolved once, each of its addresses must be a public one, and the connection goes to the address that was
looked at, so that an answer of the name server that changes meanwhile leads nowhere. No redirects, no proxies.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import httpx

from forestflow.api.http.errors import HttpRefusal
from forestflow.codecs.json import nested
from forestflow.codecs.json.long_json import LONG
from forestflow.codecs.json.packed import short_parts
from forestflow.domain.addresses import Address, is_public
from forestflow.domain.errors import Code, InvalidInput

MAX_URLS = 32
MAX_BYTES = 10 << 20  # of all urls of a request
SECONDS = 3.0

_MAYBE = re.compile(rb'"url"|\\u00(?:75|72|6[cC])')  # its letters may be escaped

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class UrlFetcher:
    """``hosts`` are names, or ``name:port`` for other ports than 80 and 443; without any, urls are refused."""

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        resolve: Resolve = resolve,
        allowed: Callable[[Address], bool] = is_public,
    ) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._resolve = resolve
        self._allowed = allowed

    async def filled(self, body: bytes) -> bytes:
        """The body with ``{"b64": …}`` in the place of every url. Raises what ``fill`` does, and Malformed."""
        if not _MAYBE.search(body) or (len(body) > LONG and not await asyncio.to_thread(_any_url, body)):
            return body
        document = nested.loads(body)
        return nested.dumps(document) if await self.fill(document) else body

    async def fill(self, document: Any) -> bool:
        """Put ``{"b64": …}`` in the place of every url below the document's own objects; whether there was any.

        Raises HttpRefusal (403) for urls that are not allowed, InvalidInput for those that give nothing.
        """
        found = list(urls_of(document))
        if not found:
            return False
        if not self._hosts:
            raise HttpRefusal(403, Code.INVALID, (), "urls as inputs are off; the setting url_hosts allows hosts")
        if len(found) > MAX_URLS:
            raise InvalidInput(f"the request has {len(found)} urls; at most {MAX_URLS} are fetched")
        try:
            async with asyncio.timeout(SECONDS), httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
                left = [MAX_BYTES]
                contents = [await self._fetch(client, value["url"], left) for value in found]
        except TimeoutError:
            raise InvalidInput(f"the urls did not answer within {SECONDS:g} s") from None
        for value, content in zip(found, contents, strict=True):
            value.clear()
            value["b64"] = base64.b64encode(content).decode()
        return True

    async def _fetch(self, client: httpx.AsyncClient, text: str, left: list[int]) -> bytes:
        url = self._checked(text)
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            addresses = [ipaddress.ip_address(found) for found in await self._resolve(url.host, port)]
        except OSError:
            addresses = []
        if not addresses:
            raise InvalidInput(f"the host of the url {_short(text)} has no address")
        if not all(map(self._allowed, addresses)):
            raise HttpRefusal(403, Code.INVALID, (), f"the host of the url {_short(text)} has an address inside")
        host = f"[{addresses[0]}]" if addresses[0].version == 6 else str(addresses[0])
        content = bytearray()
        try:
            async with client.stream(
                "GET",
                url.copy_with(host=host),
                headers={"Host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": url.host},
                follow_redirects=False,
            ) as answer:
                if answer.status_code != 200:
                    raise InvalidInput(f"the url {_short(text)} answered {answer.status_code}")
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    left[0] -= len(chunk)
                    if left[0] < 0:
                        raise InvalidInput(f"the urls hold more than {MAX_BYTES} bytes")
        except httpx.HTTPError:
            raise InvalidInput(f"the url {_short(text)} cannot be fetched") from None
        return bytes(content)

    def _checked(self, text: str) -> httpx.URL:
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, UnicodeError):
            raise InvalidInput(f"{_short(text)} is no url") from None
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise InvalidInput(f"a url is http:// or https:// and has a host and no user, got {_short(text)}")
        host = url.host.lower()
        if (f"{host}:{url.port}" if url.port is not None else host) not in self._hosts:
            raise HttpRefusal(403, Code.INVALID, (), f"the host of the url {_short(text)} is not among url_hosts")
        return url


def _any_url(body: bytes) -> bool:
    """Return whether a long body names any URL; it is read part by part, so that other threads need not wait."""
    in_list = body.lstrip(b" \t\r\n").startswith(b"[")
    for part, level in short_parts(memoryview(body)):
        own = level == 0 or (level == 1 and in_list and isinstance(part, dict))
        if next(urls_of(part if own else {"": part}), None) is not None:
            return True
    return False


def urls_of(document: Any) -> Iterator[dict[str, Any]]:
    """Every ``{"url": "…"}`` among the values of an object, or of a list of objects, at any depth."""
    examples = document if isinstance(document, list) else [document]
    waiting = [value for example in examples if isinstance(example, dict) for value in example.values()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("url"), str):
                yield value
            else:
                waiting += value.values()
        elif isinstance(value, list):
            waiting += [entry for entry in value if isinstance(entry, (dict, list))]


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")
