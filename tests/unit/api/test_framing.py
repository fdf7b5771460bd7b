"""Heads as RFC 9112 and RFC 9110 have them. Each case names the section that its answer comes from."""

from __future__ import annotations

import pytest

from forestflow.api.http.errors import HttpRefusal
from forestflow.api.http.framing import MAX_FIELDS, MAX_HEAD_BYTES, blank_lines, check_unfinished, read_head

HOST = "Host: localhost"


def head(*lines, first="POST /o/p/0/score HTTP/1.1"):
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


REFUSED = [
    # RFC 9112, 3.2: a server MUST answer 400 to a request without Host, with two, or with one that is no host.
    (400, head()),
    (400, head(HOST, HOST)),
    (400, head(HOST, "Host: evil.example")),
    (400, head(HOST, "host: localhost", first="GET / HTTP/1.0")),
    *[
        (400, head(f"Host: {host}"))
        for host in ("a b", "a/b", "u@localhost", "a,b", "a:b", "a:1:2", "[::1", "a?b", "%")
    ],
    # RFC 9112, 3.2.2: the target's host counts; one that disagrees with Host is an attempt at something.
    (400, head(HOST, first="GET http://evil.example/alive HTTP/1.1")),
    (400, head(HOST, first="GET http://localhost:81/alive HTTP/1.1")),
    (400, head("Host: evil.example", first="GET http://localhost/alive HTTP/1.1")),
    (400, head(HOST, first="GET http://u:p@localhost/alive HTTP/1.1")),
    (400, head(HOST, first="GET http:///alive HTTP/1.1")),
    (400, head(HOST, first="GET ftp://localhost/alive HTTP/1.1")),
    (400, head(HOST, first="GET alive HTTP/1.1")),
    # RFC 9112, 3: the request line has single spaces and a version; 2.3: of the versions there are, 1.x.
    *[
        (400, head(HOST, first=line))
        for line in ("GET  /a HTTP/1.1", "GET /a", "GET /a HTTP/1.1 ", "GET /a b HTTP/1.1", "get /a HTTP/1.1", "/a")
    ],
    (400, head(HOST, first="GET /a ICE/1.0")),
    (400, head(HOST, first="GET /a RTSP/1.0")),
    (505, head(HOST, first="GET /a HTTP/2.0")),
    (505, head(HOST, first="GET /a HTTP/0.9")),
    (501, head("Host: a:1", first="CONNECT a:1 HTTP/1.1")),  # RFC 9110, 9.3.6: for proxies
    # RFC 9112, 5.1: no whitespace before the colon; 5.2: no line folding; 2.2: no bare CR, no bare LF taken for CRLF.
    (400, head(HOST, "X-A : 1")),
    (400, head(HOST, "X-A: 1", " folded")),
    (400, head(HOST, "X-A: 1", "\tfolded")),
    (400, head(" X-A: 1", HOST)),
    (400, head(HOST, "X-A: 1\nX-B: 2")),
    (400, head(HOST, "X-A: 1\rX-B: 2")),
    (400, head(HOST, "X-A: a\0b")),
    (400, head(HOST, "X-A")),
    (400, head(HOST, ": a")),
    (400, head(HOST, "X A: a")),
    # RFC 9112, 6.1: an unknown coding is 501; 6.3: chunked not last, or not once, is 400; with a length, 400.
    (501, head(HOST, "Transfer-Encoding: gzip, chunked")),
    (501, head(HOST, "Transfer-Encoding: deflate , chunked")),
    (400, head(HOST, "Transfer-Encoding: gzip")),
    (400, head(HOST, "Transfer-Encoding: identity")),
    (400, head(HOST, "Transfer-Encoding: chunked, gzip")),
    (400, head(HOST, "Transfer-Encoding: chunked, chunked")),
    (400, head(HOST, "Transfer-Encoding: chunked;q=1")),
    (400, head(HOST, "Transfer-Encoding: xchunked")),
    (400, head(HOST, "Transfer-Encoding: \x0bchunked")),
    (400, head(HOST, "Transfer-Encoding:")),
    (400, head(HOST, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")),
    (400, head(HOST, "Transfer-Encoding: gzip", "Transfer-Encoding: chunked")),
    (400, head(HOST, "Transfer-Encoding: chunked", first="POST / HTTP/1.0")),
    (400, head(HOST, "Transfer-Encoding: chunked", "Content-Length: 3")),
    (400, head(HOST, "Content-Length: 3", "Transfer-Encoding: chunked")),
    # RFC 9110, 8.6: a length is digits, once.
    *[
        (400, head(HOST, f"Content-Length: {length}"))
        for length in ("", "-1", "+5", "1_0", "0x10", "1e2", "5, 5", "5 5", "5;", "\xb2", "9" * 19, "9" * 5000)
    ],
    (400, head(HOST, "Content-Length: 3", "Content-Length: 3")),
    (400, head(HOST, "Content-Length: 3", "Content-Length: 4")),
    # RFC 9110, 5.3: what may be there once must not be there twice.
    (400, head(HOST, "Content-Type: application/json", "Content-Type: text/csv")),
    (400, head(HOST, "Origin: http://localhost", "Origin: http://evil.example")),
    (400, head(HOST, "X-Request-Timeout: 1", "x-request-timeout: 2")),
    (400, head(HOST, "X-ForestFlow-Key: a", "X-ForestFlow-Key: b")),
    # RFC 6585, 5: 431 for a head that is too large, or has too many lines.
    (431, head(HOST, *["X-A: 1"] * MAX_FIELDS)),
    (431, head(HOST, "X-A: " + "x" * MAX_HEAD_BYTES)),
]


@pytest.mark.parametrize(("status", "data"), REFUSED, ids=lambda value: repr(value)[:80])
def test_what_rfc_9112_does_not_allow_is_refused_and_ends_the_connection(status, data):
    with pytest.raises(HttpRefusal) as refused:
        read_head(data)
    assert refused.value.status == status
    assert (b"connection", b"close") in refused.value.headers


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8090", "127.0.0.1", "[::1]:8090", "a_b.example", "LOCALHOST:"]
)
def test_hosts(host):
    assert read_head(head(f"Host: {host}")).headers == [(b"host", host.encode())]


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("http://localhost/o/p/0/score?a=b", b"/o/p/0/score?a=b"),
        ("HTTP://LOCALHOST:80/x", b"/x"),
        ("http://localhost", b"/"),
        ("http://localhost?a", b"/?a"),
        ("//o/p", b"//o/p"),
        ("/http://evil.example/", b"/http://evil.example/"),
    ],
)
def test_a_target_with_the_right_host_is_its_path(target, url):
    assert read_head(head(HOST, first=f"GET {target} HTTP/1.1")).url == url


def test_http_1_0_needs_no_host_and_the_target_s_host_counts_where_there_is_none():
    assert read_head(head(first="GET /alive HTTP/1.0")).headers == []
    absolute = read_head(head(first="GET http://evil.example/alive HTTP/1.0"))
    assert absolute.headers == [(b"host", b"evil.example")]


@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.0", "h2c, websocket", "something/7"])
@pytest.mark.parametrize("framing", [("Content-Length: 7", 7), ("Transfer-Encoding: chunked", None), ("X: y", 0)])
def test_an_offered_upgrade_changes_nothing(offer, framing):
    line, length = framing
    read = read_head(head(HOST, "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {offer}", "HTTP2-Settings: AA", line))
    assert (read.length, read.keep_alive, read.method, read.url) == (length, True, "POST", b"/o/p/0/score")
    assert read_head(head(HOST, "Connection: close, Upgrade", f"Upgrade: {offer}", line)).keep_alive is False


@pytest.mark.parametrize("body", ["Content-Length: 0", "Content-Length: 5", "X: y"])
def test_who_says_close_means_it(body):
    for value in ("close", "Close", "keep-alive, close", "close , x"):
        assert not read_head(head(HOST, body, f"Connection: {value}")).keep_alive
    assert not read_head(head(HOST, "Connection: keep-alive", "Connection: close", body)).keep_alive
    assert read_head(head(HOST, body, "Connection: keep-alive")).keep_alive
    assert not read_head(head(HOST, body, "Connection: keep-alive", first="GET / HTTP/1.0")).keep_alive


def test_te_is_legal_and_says_nothing_of_this_body():
    """RFC 9110, 10.1.4: TE says what the client takes."""
    assert read_head(head(HOST, "TE: gzip, chunked", "Connection: TE", "Content-Length: 3")).length == 3


def test_expectations_are_those_of_http_1_1():
    """RFC 9110, 10.1.1: ignored in a request of HTTP/1.0."""
    assert read_head(head(HOST, "Expect: 100-Continue", "Content-Length: 3")).awaits_continue
    assert not read_head(head(HOST, "Expect: 100-continue", first="POST / HTTP/1.0")).awaits_continue


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"\x16\x03\x01\x02"),  # TLS
        (400, b"\n"),
        (400, b"hello"),
        (400, b"GET / HTTP/1.1\nHost: a\n\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\nX: y"),
        (400, b"A" * 30),
        (431, b"GET /" + b"x" * MAX_HEAD_BYTES),
    ],
)
def test_a_head_that_cannot_end_well_is_refused_before_it_ends(status, data):
    for start in (0, len(data) // 2):
        if start:
            check_unfinished(bytearray(b"GET /\r"), 0)
        with pytest.raises(HttpRefusal) as refused:
            check_unfinished(bytearray(data), 0)
        assert refused.value.status == status


def test_every_begin_of_a_head_may_go_on():
    whole = head(HOST, "X-A: 1")
    for length in range(1, len(whole) - 3):
        check_unfinished(bytearray(whole[:length]), length - 1)
    check_unfinished(bytearray(b"\r"), 0)
    assert blank_lines(b"\r\n\r\nGET") == 4
    assert blank_lines(b"GET\r\n") == 0
