"""Urls in requests: what is fetched, and what nobody must be made to fetch. The server is a real one on loopback."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from forestflow.api.http import urls
from forestflow.api.http.errors import HttpRefusal
from forestflow.api.http.urls import UrlFetcher, urls_of
from forestflow.domain.addresses import is_public
from forestflow.domain.errors import InvalidInput


class Pages(BaseHTTPRequestHandler):
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Host"]))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/picture")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"\xff\xd8 picture" if self.path == "/picture" else b"x" * 4000)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def pages() -> Iterator[ThreadingHTTPServer]:
    Pages.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def names(*addresses: str) -> Callable[[str, int], Any]:
    """A name server that says the same of every name."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


def fetcher(pages: ThreadingHTTPServer, **more: Any) -> tuple[UrlFetcher, str]:
    """One that takes loopback for public, and the address of the pages under a name."""
    port = pages.server_address[1]
    more = {"resolve": names("127.0.0.1"), "allowed": lambda address: True, **more}
    return UrlFetcher([f"pages.example:{port}"], **more), f"http://pages.example:{port}"


async def test_a_url_becomes_its_bytes(pages: ThreadingHTTPServer) -> None:
    fetch, base = fetcher(pages)
    document = [{"image": [[{"url": f"{base}/picture"}]]}, {"image": [[{"b64": ""}]], "url": "an input of that name"}]
    assert await fetch.fill(document)
    encoded = base64.b64encode(b"\xff\xd8 picture").decode()
    assert document == [{"image": [[{"b64": encoded}]]}, {"image": [[{"b64": ""}]], "url": "an input of that name"}]
    assert Pages.seen == [("/picture", base.removeprefix("http://"))]


async def test_no_host_is_allowed_until_one_is_named(pages: ThreadingHTTPServer) -> None:
    document = {"image": {"url": fetcher(pages)[1]}}
    with pytest.raises(HttpRefusal, match="urls as inputs are off") as caught:
        await UrlFetcher([]).fill(document)
    assert caught.value.status == 403
    assert Pages.seen == []


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.example:{port}/picture",
        "http://pages.example/picture",
        "http://pages.example:{port}.elsewhere.example/",
        "http://sub.pages.example:{port}/",
        "http://127.0.0.1:{port}/picture",
    ],
)
async def test_other_hosts(pages: ThreadingHTTPServer, url: str) -> None:
    fetch, _ = fetcher(pages)
    with pytest.raises((HttpRefusal, InvalidInput), match=r"not among url_hosts|is no url"):
        await fetch.fill({"image": {"url": url.format(port=pages.server_address[1])}})
    assert Pages.seen == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://pages.example/", "http://", "picture", "http://a\x00"])
async def test_what_is_no_url(pages: ThreadingHTTPServer, url: str) -> None:
    with pytest.raises(InvalidInput):
        await fetcher(pages)[0].fill({"image": {"url": url}})


async def test_a_user_in_a_url(pages: ThreadingHTTPServer) -> None:
    fetch, base = fetcher(pages)
    with pytest.raises(InvalidInput, match="no user"):
        await fetch.fill({"image": {"url": base.replace("://", "://me:secret@")}})


async def test_an_allowed_name_that_leads_inside(pages: ThreadingHTTPServer) -> None:
    """The guard itself: the same request as the one that succeeds above, with the real rule for addresses."""
    for addresses in (("127.0.0.1",), ("93.184.216.34", "127.0.0.1")):
        fetch, base = fetcher(pages, resolve=names(*addresses), allowed=is_public)
        with pytest.raises(HttpRefusal, match="an address inside"):
            await fetch.fill({"image": {"url": f"{base}/picture"}})
    assert Pages.seen == []


async def test_a_name_is_resolved_once(pages: ThreadingHTTPServer) -> None:
    asked = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    fetch, base = fetcher(pages, resolve=resolve)
    await fetch.fill({"image": {"url": f"{base}/picture"}})
    assert asked == ["pages.example"]  # which no name server knows: the connection went to the address


async def test_a_name_without_an_address(pages: ThreadingHTTPServer) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "unknown")

    fetch, base = fetcher(pages, resolve=resolve)
    with pytest.raises(InvalidInput, match="has no address"):
        await fetch.fill({"image": {"url": base}})


async def test_redirects_are_not_followed(pages: ThreadingHTTPServer) -> None:
    fetch, base = fetcher(pages)
    with pytest.raises(InvalidInput, match="answered 302"):
        await fetch.fill({"image": {"url": f"{base}/moved"}})
    assert [path for path, _ in Pages.seen] == ["/moved"]


async def test_too_much(pages: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "MAX_BYTES", 5000)
    fetch, base = fetcher(pages)
    assert await fetch.fill({"a": {"url": f"{base}/long"}})
    with pytest.raises(InvalidInput, match="more than 5000 bytes"):
        await fetch.fill({"a": {"url": f"{base}/long"}, "b": {"url": f"{base}/long"}})
    with pytest.raises(InvalidInput, match="33 urls; at most 32"):
        await fetch.fill({"a": [{"url": base}] * 33})


def test_where_urls_are_looked_for() -> None:
    assert list(urls_of("text")) == list(urls_of([1, "a", None])) == list(urls_of({"url": "http://a"})) == []
    deep: Any = {"url": "http://a"}
    for _ in range(900):
        deep = [deep]
    assert list(urls_of({"x": deep})) == [{"url": "http://a"}]


LONG = [{"image": ["a" * 50]}] * 2000


@pytest.mark.parametrize(
    "document",
    [
        [*LONG, {"image": [{"url": "URL"}]}],
        {"a": LONG, "b": [[{"u\u0072l": "URL"}]]},
        [{"a": LONG, "b": {"url": "URL"}}],
    ],
)
async def test_urls_in_long_bodies(pages: ThreadingHTTPServer, document: Any) -> None:
    fetch, base = fetcher(pages)
    body = json.dumps(document).replace("URL", f"{base}/picture").encode()
    filled = json.loads(await fetch.filled(body))
    assert json.dumps(filled) == json.dumps(document).replace('{"url": "URL"}', '{"b64": "/9ggcGljdHVyZQ=="}')
    assert len(Pages.seen) == 1


@pytest.mark.parametrize(
    "document", [[*LONG, {"url": "an input of that name"}], {"a": LONG, "url": "an input"}, [{"a": LONG, "url": "x"}]]
)
async def test_inputs_of_that_name_are_no_urls(document: Any) -> None:
    body = json.dumps(document).encode()
    assert await UrlFetcher([]).filled(body) is body
