"""A router's end of the wire against replicas that break the protocol."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from forestflow.dataplane import link as module
from forestflow.dataplane import wire
from forestflow.dataplane.link import Link, Pending
from forestflow.domain.plan import ReplicaAddress
from tests.unit.dataplane.test_dispatch import SECRET, A

NONCE = b"n" * wire.NONCE_BYTES
WELCOME = json.dumps({"servables": {str(A): 1}}).encode()


class Owner:
    fqrv = A

    def __init__(self):
        self.ups, self.downs, self.lost, self.answers = 0, 0, [], []

    def link_up(self, link):
        self.ups += 1

    def link_down(self, link, lost):
        self.downs += 1
        self.lost += lost

    def replied(self, pending, code, rows):
        self.answers.append((code, rows))


class Impostor:
    """A replica that says what a test wants. ``script(reader, writer)`` runs for each connection."""

    def __init__(self, path, script):
        self.path, self.script, self.connections = path, script, 0

    async def __aenter__(self):
        async def serve(reader, writer):
            self.connections += 1
            try:
                await self.script(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        self.server = await asyncio.start_unix_server(serve, self.path)
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()


async def handshake(reader, writer, *, payload=WELCOME, secret=SECRET):
    writer.write(wire.hello(NONCE))
    length = int.from_bytes(await reader.readexactly(4), "little")
    proof = await reader.readexactly(length)
    wire.check_mac(SECRET, b"router", NONCE, proof[1:33])
    writer.write(wire.welcome(secret, proof[33:], payload))


@pytest.fixture
async def linked(tmp_path, monkeypatch):
    """``linked()`` makes a link to the socket of the test."""
    links = []

    def make(**options):
        address = ReplicaAddress("1", "here", str(tmp_path / "r.sock"), "127.0.0.1:1")
        owner = Owner()
        links.append(Link(owner, address, node_id="here", secret=SECRET, max_frame=1000, **options))
        return links[-1], owner

    yield make
    for link in links:
        link.close()
        await link.wait_closed()
    await asyncio.sleep(0)


@pytest.mark.parametrize("wide", [False, True])
async def test_the_kernel_holds_more_of_what_a_wide_link_sends(linked, tmp_path, wide):
    async def script(reader, writer):
        await handshake(reader, writer)
        await reader.read()

    with socket.socket(socket.AF_UNIX) as plain:
        usual = plain.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    async with Impostor(tmp_path / "r.sock", script):
        link, owner = linked(wide=wide)
        while not owner.ups:
            await asyncio.sleep(0.01)
        size = link._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    assert (size > usual) is wide


def pending(outcomes):
    return Pending(outcomes.append, 1, b"{}", b"id", asyncio.get_running_loop().time() + 10)


BAD_WELCOMES = {
    "no hello": wire.reply(0, 1, b""),
    "a request": wire.request(0, 1, 1, 1, 1, b"", b""),
    "empty frame": b"\0\0\0\0",
    "too long": b"\xff\xff\xff\x7f",
    "welcome before proof": wire.welcome(b"x" * 32, NONCE, WELCOME),
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("name", BAD_WELCOMES)
async def test_who_does_not_shake_hands_is_hung_up_on(linked, tmp_path, name):
    async def script(reader, writer):
        writer.write(BAD_WELCOMES[name])
        assert await reader.read() == b""

    async with Impostor(tmp_path / "r.sock", script):
        _, owner = linked()
        await asyncio.sleep(0.05)
    assert owner.ups == 0
    assert owner.downs >= 1


@pytest.mark.parametrize(
    "options",
    [
        {"secret": b"x" * 32},
        {"payload": b"not json"},
        {"payload": b"[]"},
        {"payload": b'{"servables": {}}'},
        {"payload": b'{"servables": {"o.p.0.a": null}}'},
        {"payload": b'{"servables": []}'},
        {"payload": b"\xff"},
    ],
)
async def test_a_welcome_that_proves_or_names_nothing_is_none(linked, tmp_path, options):
    async def script(reader, writer):
        await handshake(reader, writer, **options)
        assert await reader.read() == b""

    async with Impostor(tmp_path / "r.sock", script):
        _, owner = linked()
        await asyncio.sleep(0.05)
    assert owner.ups == 0


@pytest.mark.parametrize(
    "answer",
    [wire.reply(0, 77, b"for nobody"), b"\x01\0\0\0\x05", wire.hello(NONCE), b"\xff\xff\xff\xff"],
    ids=["unknown number", "short reply", "no reply", "too long"],
)
async def test_a_replica_that_goes_mad_loses_its_requests_to_others(linked, tmp_path, answer):
    async def script(reader, writer):
        await handshake(reader, writer)
        await reader.read(10)
        writer.write(answer)
        await reader.read()

    async with Impostor(tmp_path / "r.sock", script):
        link, owner = linked()
        while not link.up:
            await asyncio.sleep(0.01)
        outcomes = []
        request = pending(outcomes)
        link.send(request, wire.HIGH, 0)
        while not owner.downs:
            await asyncio.sleep(0.01)
    assert owner.lost == [request]
    assert owner.answers == []
    assert outcomes == []


async def test_pauses_between_tries_grow_whether_nobody_is_there_or_somebody_hangs_up(linked, tmp_path, monkeypatch):
    pauses = []
    sleep = asyncio.sleep

    async def remember(seconds):
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(module.asyncio, "sleep", remember)
    link, owner = linked()
    while len(pauses) < 8:
        await sleep(0.001)
    assert pauses[:6] == [0.01, 0.02, 0.04, 0.08, 0.16, 0.25]
    monkeypatch.setattr(module.asyncio, "sleep", sleep)

    async def hang_up(reader, writer):
        pass

    async with Impostor(tmp_path / "r.sock", hang_up) as impostor:
        await sleep(0.5)
        assert 1 < impostor.connections < 20, "no storm of connections"

    async def welcome(reader, writer):
        await handshake(reader, writer)
        await reader.read()

    (tmp_path / "r.sock").unlink(missing_ok=True)
    async with Impostor(tmp_path / "r.sock", welcome):
        await sleep(0.4)
        assert link.up
        assert owner.ups == 1
        link.close()
        await link.wait_closed()
