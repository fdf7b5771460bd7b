"""Streams of requests, right and wrong, in pieces of every size: how they were cut must not change the answers."""

from __future__ import annotations

import asyncio
import random
import re

import pytest
import uvicorn
from uvicorn.server import ServerState

from forestflow.api.http.connection import Http1Connection
from forestflow.api.http.connection_limit import ConnectionLimit

HEAD = b"POST /%d HTTP/1.1\r\nHost: a\r\n"
PARTS = [
    HEAD + b"Content-Length: 5\r\n\r\nhello",
    HEAD + b"Content-Length: 0\r\n\r\n",
    HEAD + b"\r\n",
    b"\r\n\r\n"
    + HEAD
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 40\r\n\r\n"
    + b"GET /inside HTTP/1.1\r\nHost: a\r\n\r\n".ljust(40),
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10;a=b\r\n0123456789abcdef\r\n0\r\nX-Y: z\r\n\r\n",
    HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\r\r\n0\r\n\r\n",
    b"GET http://a/x%d HTTP/1.1\r\nHost: a\r\n\r\n",
]


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = False
        self.reading = True

    def write(self, data):
        self.written += bytes(data)

    def close(self):
        self.closing = True

    def is_closing(self):
        return self.closing

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def get_write_buffer_size(self):
        return 0


async def app(scope, receive, send):
    """Answers with the path and the body."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    answer = scope["raw_path"] + b" " + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


async def came_of(pieces):
    """Everything that the server writes, without ids, and whether it hangs up."""
    config = uvicorn.Config(app, loop="none", ws="none", lifespan="off", log_config=None)
    config.load()
    connection = Http1Connection(ConnectionLimit(1), config=config, server_state=ServerState(), app_state={})
    wire = Wire()
    connection.connection_made(wire)
    for piece in pieces:
        for _ in range(1000):
            if wire.reading or wire.closing:
                break
            await asyncio.sleep(0)
        if wire.closing:
            break
        connection.data_received(piece)
        await asyncio.sleep(0)
    for _ in range(200):
        await asyncio.sleep(0)
    ended = wire.closing
    connection.connection_lost(None)
    await asyncio.sleep(0)
    written = re.sub(rb"[0-9a-f]{32}", b"id", wire.written)
    return written, ended


def cut(stream, dice, sizes):
    at, pieces = 0, []
    while at < len(stream):
        size = dice.choice(sizes)
        pieces.append(stream[at : at + size])
        at += size
    return pieces


@pytest.mark.parametrize("seed", range(60))
async def test_any_cut_of_any_stream_gives_the_same(seed):
    dice = random.Random(seed)
    stream = b"".join(dice.choice(PARTS).replace(b"%d", b"%d" % n) for n in range(8))
    if seed % 3:  # and something is wrong with it
        for _ in range(dice.choice([1, 1, 3])):
            at = dice.randrange(len(stream))
            change = dice.choice([b"", b"\n", b"\r", b" ", b"\0", b":", b"9", b"x", b"\xff"])
            stream = stream[:at] + change + stream[at + dice.choice([0, 1]) :]
    whole = await came_of([stream])
    assert whole[0].startswith(b"HTTP/1.1 "), stream
    if not seed % 3:
        assert whole[0].count(b"HTTP/1.1 200 OK") == 8
    for sizes in ([1], [1, 2, 3], [7, 40], [100, 1]):
        written, ended = await came_of(cut(stream, dice, sizes))
        # A head that is wrong may be refused before it ends, with other words.
        assert re.findall(rb"HTTP/1.1 \d+", written) == re.findall(rb"HTTP/1.1 \d+", whole[0]), stream
        assert written.partition(b"HTTP/1.1 4")[0] == whole[0].partition(b"HTTP/1.1 4")[0]
        assert ended == whole[1]
