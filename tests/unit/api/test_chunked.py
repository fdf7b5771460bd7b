"""Chunked bodies as RFC 9112, 7.1 has them, however they are cut; what is not the body has its limits."""

from __future__ import annotations

import random
import time
import tracemalloc

import pytest

from forestflow.api.http.chunked import MAX_EXTENSION_BYTES, MAX_TRAILER_BYTES, ChunkedBody
from forestflow.api.http.errors import HttpRefusal
from forestflow.api.http.framing import MAX_FIELDS

# The first is the example of Wikipedia's article on chunked transfer encoding.
WHOLE = [
    (b"4\r\nWiki\r\n7\r\npedia i\r\nB\r\nn \r\nchunks.\r\n0\r\n\r\n", b"Wikipedia in \r\nchunks."),
    (b"0\r\n\r\n", b""),
    (b"000000000000000a\r\n0123456789\r\n00\r\n\r\n", b"0123456789"),
    (b'3;a\r\nabc\r\n2 ; b="c;d"; e=f\r\nde\r\n0;last\r\n\r\n', b"abcde"),
    (b"2\r\n\r\n\r\n2\r\n0\r\r\n0\r\nX-Sum: 1\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\n", b"\r\n0\r"),
]


def feed(reader, sent, size, note=lambda read: None):
    for start in range(0, len(sent), size):
        note(start)
        reader.feed(sent[start : start + size])


@pytest.mark.parametrize(("sent", "body"), WHOLE)
def test_a_body_is_put_together_however_it_was_cut(sent, body):
    behind = b"GET /alive HTTP/1.1\r\n\r\n"
    for size in range(1, len(sent) + len(behind) + 1):
        reader, read, further = ChunkedBody(), b"", b""
        stream = sent + behind
        for start in range(0, len(stream), size):
            if reader.whole:
                further += stream[start : start + size]
            else:
                read += reader.feed(stream[start : start + size])
                further = reader.further
        assert (read, reader.whole, further) == (body, True, behind), size
    for end in range(len(sent)):
        reader = ChunkedBody()
        reader.feed(sent[:end])
        assert not reader.whole


def test_random_bodies():
    dice = random.Random(3)
    for _ in range(200):
        body = dice.randbytes(dice.randrange(2000))
        sent, at = b"", 0
        while at < len(body):
            piece = body[at : at + dice.choice([1, 2, 15, 16, 17, 300])]
            sent += b"%x\r\n%b\r\n" % (len(piece), piece)
            at += len(piece)
        sent += b"0\r\n\r\n"
        reader, read, at = ChunkedBody(), b"", 0
        while at < len(sent):
            size = dice.choice([1, 2, 3, 7, 40, 1000])
            read += reader.feed(sent[at : at + size])
            at += size
        assert (read, reader.whole, reader.further) == (body, True, b"")


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n",
        b"\r\n3\r\nabc\r\n0\r\n\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+5\r\nabcde",
        b"0x3\r\nabc",
        b"1_0\r\n",
        b" 3\r\nabc",
        b"3 \r\nabc",
        b"11111111111111111\r\n",  # 17 digits
        b"3\nabc\r\n",
        b"3\r\r\nabc",
        b"3;a\nb\r\nabc",
        b"3;a\0b\r\nabc",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"0\r\n\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n folded: 1\r\n\r\n",
        b"0\r\nA : 1\r\n\r\n",
        b"0\r\nA: \0\r\n\r\n",
        b"0\r\nGET /alive HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_chunked_is_refused_however_it_was_cut(sent):
    for size in (1, 2, len(sent)):
        with pytest.raises(HttpRefusal) as refused:
            feed(ChunkedBody(), sent + b"\r\n", size)
        assert refused.value.status == 400


def one_trailer(size):
    return b"0\r\nX: " + b"x" * size


def many_trailers(size):
    return b"0\r\n" + b"X: y\r\n" * (size // 6)


def one_extension(size):
    return b"1;" + b"x" * size


def many_extensions(size):
    return b"1;a=b\r\nx\r\n" * (size // 10)


ENDLESS = [one_trailer, many_trailers, one_extension, many_extensions]


@pytest.mark.parametrize("endless", ENDLESS)
@pytest.mark.parametrize("size", [1, 100, 65_536])
def test_what_is_not_the_body_is_read_up_to_a_limit_in_little_memory(endless, size):
    sent, fed = endless(1 << 20), [0]

    def note(start):
        fed[0] = start

    tracemalloc.start()
    try:
        with pytest.raises(HttpRefusal) as refused:
            feed(ChunkedBody(), sent, size, note)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.status == 431
    assert fed[0] <= 6 * max(MAX_EXTENSION_BYTES, MAX_TRAILER_BYTES)
    assert peak < 4 * (65_536 + MAX_TRAILER_BYTES)


def test_a_few_trailers_and_extensions_are_nobodys_fault():
    reader = ChunkedBody()
    chunks = b"1;signature=%b\r\nx\r\n" % (b"f" * 64) * 100
    trailers = b"".join(b"X-%d: y\r\n" % n for n in range(MAX_FIELDS))
    assert reader.feed(chunks + b"0\r\n" + trailers + b"\r\n") == b"x" * 100
    assert reader.whole


def test_the_work_grows_with_the_length_and_not_with_its_square():
    def seconds(chunks, size):
        sent = b"1\r\nx\r\n" * chunks + b"0\r\n\r\n"
        best = float("inf")
        for _ in range(5):
            reader, started = ChunkedBody(), time.thread_time()
            feed(reader, sent, size)
            best = min(best, time.thread_time() - started)
            assert reader.whole
        return best

    for size in (1, 3, 65_536):
        assert seconds(32_000, size) < 20 * seconds(4_000, size) + 0.01  # 8 times as long; the square would be 64
