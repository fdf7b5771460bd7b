"""Frames: laid out as documented, cut from any chunking, refused when hostile."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestflow.dataplane import wire


def test_request_layout():
    frame = wire.request(wire.LOW, 1, 7, 2**40, 30_000, b"id-1", b"{}")
    assert frame == struct.pack("<IBBBBIQI", 26, 4, 1, 1, 4, 7, 2**40, 30_000) + b"id-1{}"
    assert wire.parse_request(frame[4:]) == (1, 1, 7, 2**40, 30_000, b"id-1", b"{}")


def test_reply_layout():
    frame = wire.reply(7, 3, b"full", rows=9, retry_after_ms=1000)
    assert frame == struct.pack("<IBBHIQ", 20, 5, 7, 1000, 9, 3) + b"full"
    assert wire.parse_reply(frame[4:]) == (7, 1000, 9, 3, b"full")


def test_backlog_layout():
    frame = wire.backlog(1, 64)
    assert frame == struct.pack("<IBII", 9, 6, 1, 64)
    assert wire.parse_backlog(frame[4:]) == (1, 64)


@pytest.mark.parametrize("long_frame", [1, 20, 1000])
@given(st.lists(st.binary(max_size=50), max_size=10), st.data())
def test_any_chunking_gives_the_same_frames(long_frame, bodies, data):
    stream = b"".join(struct.pack("<I", len(b)) + b for b in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = wire.FrameReader(100)
    frames = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "LONG_FRAME", long_frame)
        for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            frames += reader.feed(stream[start:stop])
    assert frames == bodies


@pytest.mark.parametrize("long_frame", [4, 20, 1000])
@given(st.lists(st.binary(max_size=50), max_size=10), st.data())
def test_frames_received_in_place_are_the_same(long_frame, bodies, data):
    stream = b"".join(struct.pack("<I", len(b)) + b for b in bodies)
    frames = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "LONG_FRAME", long_frame)
        reader = wire.InPlaceReader(100)
        while stream:
            buffer = reader.buffer()
            size = data.draw(st.integers(1, min(len(stream), len(buffer))))
            buffer[:size] = stream[:size]
            stream = stream[size:]
            frames += reader.received(size)
    assert frames == bodies
    assert all(len(frame) >= long_frame for frame in frames if isinstance(frame, memoryview))


def test_a_long_frame_is_not_overwritten_by_the_next():
    reader = wire.InPlaceReader(1 << 20)
    bodies = [bytes([n]) * wire.LONG_FRAME for n in range(3)]
    frames = []
    for body in bodies:
        for piece in (struct.pack("<I", len(body)) + body[:10], body[10:]):
            reader.buffer()[: len(piece)] = piece
            frames += reader.received(len(piece))
    assert frames == bodies
    assert all(isinstance(frame, memoryview) for frame in frames)


def test_the_payload_of_a_view_is_a_view():
    frame = memoryview(wire.request(wire.HIGH, 5, 1, 1, 1, b"id", b"payload")[4:])
    *_, request_id, payload = wire.parse_request(frame)
    assert (request_id, payload) == (b"id", b"payload")
    assert isinstance(request_id, bytes)
    assert payload.obj is frame.obj


def test_a_frame_over_the_limit_is_refused_before_it_arrives():
    reader = wire.FrameReader(10)
    assert reader.feed(struct.pack("<I", 10)) == []
    assert reader.feed(b"x" * 10) == [b"x" * 10]
    with pytest.raises(wire.FrameError, match="over the limit"):
        reader.feed(struct.pack("<I", 11))


def test_only_who_knows_the_secret_passes_and_roles_cannot_be_swapped():
    nonce = b"n" * 16
    wire.check_mac(b"secret", b"router", nonce, wire.mac(b"secret", b"router", nonce))
    for answer in (wire.mac(b"other", b"router", nonce), wire.mac(b"secret", b"replica", nonce), b""):
        with pytest.raises(wire.FrameError, match="secret"):
            wire.check_mac(b"secret", b"router", nonce, answer)


def test_a_cancel_names_a_request():
    (frame,) = wire.FrameReader(100).feed(wire.cancel(2**63 + 7))
    assert frame[0] == wire.CANCEL
    assert wire.parse_cancel(frame) == 2**63 + 7
    with pytest.raises(struct.error):
        wire.parse_cancel(frame + b"x")
