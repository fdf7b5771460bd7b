"""Damaged GraphPipe messages, the same ones each time: nothing but our errors, little memory, nothing read outside."""

from __future__ import annotations

import random
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from graphpipe import convert

from forestflow.codecs.graphpipe.codec import GraphPipeCodec, payload_of
from forestflow.codecs.graphpipe.reader import read_infer
from forestflow.domain.errors import InvalidInput, Malformed
from forestflow.domain.ids import Contract, Fqrv

SLACK_BYTES = 1 << 16  # Python's objects for a message of nearly no bytes
TEXTS = np.array([["mail", "mon"], ["web", "naïve 😀"], ["", "a" * 40]], dtype=object)
SEEDS = [
    bytes(convert.serialize_infer_request(convert.InferReq(config, tensors, names, outputs)))
    for config, tensors, names, outputs in [
        ("a:b,c:d", [TEXTS, np.arange(12.0).reshape(3, 4)], ["categorical", "numeric"], ["prediction"]),
        ("", [np.arange(6, dtype=np.int8)], [], []),
        ("", [np.float16(1.5), np.zeros((0, 3), np.uint64)], ["x", "y"], ["FQRV"]),
    ]
]


def damaged(seed: bytes, random: random.Random) -> bytes:
    """A few bytes changed, most often to what counts in offsets and lengths; cut off, or with something in between."""
    body = bytearray(seed)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(body))
        match random.randrange(5):
            case 0:
                body[place] = random.randrange(256)
            case 1:
                body[place] ^= 1 << random.randrange(8)
            case 2:
                value = random.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, len(seed), len(seed) - 1))
                place -= place % 4
                body[place : place + 4] = value.to_bytes(4, "little")
            case 3:
                del body[random.randint(1, len(body)) :]
            case _:
                other = random.randrange(len(body))
                body[place : place + 8] = body[other : other + 8]
    return bytes(body)


def test_damaged_messages() -> None:
    generator = random.Random(20261121)
    codec = GraphPipeCodec(Fqrv(Contract("o", "p", 0), "v"))
    outcomes = {"read": 0, "refused": 0}
    for i in range(20_000):
        body = damaged(SEEDS[i % len(SEEDS)], generator)
        try:
            batch = codec.decode(payload_of(body)).batch
        except (Malformed, InvalidInput):
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        assert sum(c.data.nbytes for c in batch.columns) <= 8 * len(body)
        assert batch.rows <= max(1, len(body))
    assert min(outcomes.values()) > 1_000  # or the damage is too little, or too much, to say anything


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_every_byte_at_its_extremes(seed: int) -> None:
    for place in range(len(SEEDS[seed])):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            body = bytearray(SEEDS[seed])
            body[place] = value
            with suppress(Malformed, InvalidInput):
                read_infer(bytes(body))


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_every_beginning_of_a_message_is_refused(seed: int) -> None:
    whole = SEEDS[seed]
    last = max(place + 1 for place, byte in enumerate(whole) if byte)  # behind it is padding, and perhaps a NUL
    for length in range(0, last - 8, 1):
        with pytest.raises((Malformed, InvalidInput)):
            read_infer(whole[:length])


def test_memory_stays_below_four_times_the_message() -> None:
    generator = random.Random(1)
    tracemalloc.start()
    try:
        for i in range(1_500):
            body = damaged(SEEDS[i % len(SEEDS)], generator)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with suppress(Malformed, InvalidInput):
                read_infer(body)
            assert tracemalloc.get_traced_memory()[1] - before <= 4 * len(body) + SLACK_BYTES
    finally:
        tracemalloc.stop()


def test_memory_of_many_strings() -> None:
    texts = np.array([f"{i:08d}" for i in range(60_000)], dtype=object)
    body = bytes(convert.serialize_infer_request(convert.InferReq("", [texts])))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        read_infer(body)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak <= 4 * len(body) + (1 << 20)
