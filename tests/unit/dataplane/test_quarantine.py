"""Which requests are suspected, cleared, refused and forgotten."""

from __future__ import annotations

import pytest

from forestflow.dataplane import quarantine as module
from forestflow.dataplane.link import Pending
from forestflow.dataplane.quarantine import REFUSE_SECONDS, Quarantine


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def quarantine(clock):
    return Quarantine(clock)


def request(payload, codec=1):
    return Pending(lambda _: None, codec, payload, b"id", 10.0)


def test_the_same_bytes_in_the_same_protocol_are_the_same_request(quarantine):
    quarantine.suspect([request(b"bad")])
    quarantine.suspect([request(b"bad")])
    assert quarantine.victims(request(b"bad")) == 2
    assert quarantine.victims(request(b"bad", codec=2)) == 0
    assert quarantine.victims(request(b"dab")) == 0
    assert quarantine.victims(request(b"other")) == 0


def test_twice_the_same_in_one_process_is_one_victim(quarantine):
    quarantine.suspect([request(b"bad"), request(b"bad"), request(b"by")])
    assert quarantine.victims(request(b"bad")) == 1


def test_an_answer_clears(quarantine):
    quarantine.suspect([request(b"popular"), request(b"another")])
    quarantine.clear(request(b"popular"))
    quarantine.clear(request(b"unknown"))
    quarantine.suspect([request(b"popular")])
    assert quarantine.victims(request(b"popular")) == 1
    assert quarantine.victims(request(b"another")) == 1


def test_it_is_forgotten_after_a_while(quarantine, clock):
    quarantine.suspect([request(b"bad")])
    clock.now += REFUSE_SECONDS - 1
    quarantine.suspect([request(b"bad")])
    clock.now += REFUSE_SECONDS - 1
    quarantine.expire()
    assert quarantine.victims(request(b"bad")) == 2
    clock.now += 2
    quarantine.expire()
    assert not quarantine.suspects
    assert quarantine.victims(request(b"bad")) == 0


def test_it_is_bounded_and_the_oldest_goes(quarantine, monkeypatch):
    monkeypatch.setattr(module, "MAX_SUSPECTS", 3)
    for number in range(5):
        quarantine.suspect([request(b"%d" % number)])
    assert [quarantine.victims(request(b"%d" % number)) for number in range(5)] == [0, 0, 1, 1, 1]


def test_nothing_is_hashed_but_what_is_as_long_as_a_suspect(quarantine, monkeypatch):
    quarantine.suspect([request(b"bad")])
    monkeypatch.setattr(module, "_key_of", None)
    assert quarantine.victims(request(b"longer")) == 0
    quarantine.clear(request(b"longer"))
