"""Downloads that break, end, or take too much; time and bytes without a network."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from forestflow.artifacts.sources import transfer
from forestflow.artifacts.sources.rules import SourceRules
from forestflow.artifacts.sources.transfer import Interrupted, Meter, TimedOut, download, safe_name
from forestflow.domain.errors import ArtifactRejected, DeadlineExceeded

CONTENT = bytes(range(250)) * 100


@pytest.fixture
def clock(monkeypatch):
    """Time that only passes in pauses."""

    class Clock:
        now = 100.0
        pauses: list[float] = []  # noqa: RUF012

        def sleep(self, seconds):
            self.pauses = [*self.pauses, seconds]
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(transfer.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(transfer.time, "sleep", clock.sleep)
    return clock


def meter(max_bytes=1_000_000, timeout=100, report=lambda text: None):
    return Meter(SourceRules((), (), timeout, max_bytes), report)


def source(*breaks, resumable=True, error=Interrupted):
    """An opener whose answers break after so many bytes, one after the other; the offsets that were asked for."""
    left, asked = list(breaks), []

    @contextmanager
    def open_at(offset):
        asked.append(offset)
        start = offset if resumable else 0

        def chunks():
            size = left.pop(0) if left else len(CONTENT)
            data = CONTENT[start:][:size]
            for first in range(0, len(data), 1000):
                yield data[first : first + 1000]
            if start + len(data) < len(CONTENT):
                raise error("it broke")

        yield start, chunks()

    return open_at, asked


def test_it_goes_on_where_it_broke(tmp_path, clock):
    open_at, asked = source(10_000, 5_000)
    download(open_at, tmp_path / "a" / "file", meter(len(CONTENT)))
    assert (tmp_path / "a" / "file").read_bytes() == CONTENT
    assert asked == [0, 10_000, 15_000]


def test_it_starts_again_where_it_must_and_counts_nothing_twice(tmp_path, clock):
    open_at, asked = source(10_000, 5_000, resumable=False)
    download(open_at, tmp_path / "file", meter(len(CONTENT)))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert asked == [0, 10_000, 5_000]


@pytest.mark.parametrize(("error", "raised"), [(Interrupted, ArtifactRejected), (TimedOut, DeadlineExceeded)])
def test_it_gives_up_after_some_tries_without_a_byte(tmp_path, clock, error, raised):
    open_at, asked = source(1000, 0, 0, 0, 0, 0, error=error)
    with pytest.raises(raised, match="it broke; given up after 4 tries"):
        download(open_at, tmp_path / "file", meter())
    assert asked == [0, 1000, 1000, 1000]
    assert clock.pauses == [0.25, 0.5, 1.0]


def test_the_deadline_ends_it_also_between_tries(tmp_path, clock):
    open_at, _ = source(0, 0, 0)
    with pytest.raises(DeadlineExceeded, match=r"not fetched within 0\.3 s \(setting fetch_timeout_seconds\)"):
        download(open_at, tmp_path / "file", meter(timeout=0.3))


def test_more_than_allowed_is_not_written(tmp_path, clock):
    open_at, _ = source()
    with pytest.raises(ArtifactRejected, match=r"larger than 9999 bytes \(setting artifact_max_bytes\)"):
        download(open_at, tmp_path / "file", meter(9_999))
    assert (tmp_path / "file").stat().st_size <= 9_999
    with pytest.raises(ArtifactRejected, match="larger"):
        meter(9_999).expect(10_000)


def test_progress_is_told_in_megabytes(clock):
    told = []
    one = meter(100_000_000, report=told.append)
    one.add(1_000_000)
    one.expect(80_000_000)
    one.add(11_000_000)
    one.add(1)
    one.expect(None)
    one.add(1_000_000)
    assert told == ["downloading 1 MB", "downloading 12 of 80 MB", "downloading 13 MB"]


@pytest.mark.parametrize("name", ["a", "a/b.zip", "./a", "a//b", "ü ", "..a/b.."])
def test_names_that_stay_inside(name):
    assert ".." not in safe_name(name).split("/")


@pytest.mark.parametrize("name", ["", "/a", "..", "a/../b", "a\\b", "c:x", "a\0", "a\nb"])
def test_names_that_do_not(name):
    with pytest.raises(ArtifactRejected, match="leads out of it"):
        safe_name(name)


@pytest.mark.parametrize("name", ["a/" * 101 + "a", "a" * 1025, "a/" * 2000, "a/" * 1_000_000])
def test_names_that_are_too_long_or_too_deep(name):
    """Folders are made by a function that calls itself."""
    with pytest.raises(ArtifactRejected, match="too long, or in too many folders"):
        safe_name(name)
    assert safe_name("a/" * 100 + "a") == "a/" * 100 + "a"
