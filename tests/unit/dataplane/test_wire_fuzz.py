"""Any bytes at all: a peer of the data plane is dropped, and nothing else happens."""

from __future__ import annotations

import contextlib
import struct

from hypothesis import example, given
from hypothesis import strategies as st

from forestflow.dataplane import wire
from forestflow.dataplane.host import ReplicaProtocol
from forestflow.dataplane.replica import Replica
from forestflow.domain.ids import Contract, Fqrv
from tests.unit.dataplane.models import SumModel

SECRET = b"s" * 32
junk = st.binary(max_size=200)


class Pipe:
    """A transport that remembers."""

    def get_extra_info(self, name):
        """Not a socket."""

    def __init__(self):
        self.written, self.aborted = b"", False

    def write(self, data):
        self.written += data

    def abort(self):
        self.aborted = True

    def is_closing(self):
        return self.aborted


def connected(secret=SECRET):
    soon = []
    replica = Replica(
        SumModel(),
        Fqrv(Contract("o", "p", 0), "a"),
        max_queued=10,
        call_soon=soon.append,
        call_later=lambda _, call: soon.append(call),
    )
    protocol, pipe = ReplicaProtocol(replica, secret, 1000), Pipe()
    protocol.connection_made(pipe)
    return protocol, pipe, replica, soon


def receive(protocol, data):
    """As a transport does, in as many steps as its buffers take."""
    while data:
        buffer = protocol.get_buffer(-1)
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        data = data[size:]
        protocol.buffer_updated(size)


def frame(body):
    return wire.LENGTH.pack(len(body)) + body


@given(st.lists(junk, max_size=5), st.integers(0, 300))
def test_a_reader_gives_frames_or_a_frame_error(pieces, limit):
    reader = wire.FrameReader(limit)
    with contextlib.suppress(wire.FrameError):
        for piece in pieces:
            assert all(len(body) <= limit for body in reader.feed(piece))


@given(junk)
def test_parsers_raise_what_their_callers_expect(body):
    for parse in (wire.parse_request, wire.parse_reply, wire.parse_backlog):
        with contextlib.suppress(struct.error):
            parse(body)


@given(st.lists(junk, max_size=5))
@example([b"\0\0\0\0"])  # an empty frame has no kind
def test_nobody_gets_in_without_the_secret(pieces):
    protocol, pipe, replica, soon = connected()
    for piece in pieces:
        receive(protocol, piece)
        if pipe.aborted:
            break
    assert len(pipe.written) == 4 + 1 + wire.NONCE_BYTES, "HELLO and nothing else"
    assert replica.idle
    assert soon == []


@given(st.lists(junk, max_size=4), st.booleans())
@example([b""], True)
@example([wire.backlog(1, 2**32 - 1)[4:], wire.backlog(2, 1)[4:]], True)
def test_a_trusted_peer_that_goes_mad_is_dropped_or_answered(bodies, framed):
    protocol, pipe, _, soon = connected()
    nonce = pipe.written[5:]
    receive(protocol, wire.proof(SECRET, nonce, b"n" * wire.NONCE_BYTES))
    assert not pipe.aborted
    welcome = len(pipe.written)
    for body in bodies:
        receive(protocol, frame(body) if framed else body)
        while soon:
            soon.pop(0)()
        if pipe.aborted:
            break
    for answer in wire.FrameReader(1 << 20).feed(pipe.written[welcome:]):
        assert answer[0] == wire.REPLY
        assert wire.parse_reply(answer)[0] != 0
