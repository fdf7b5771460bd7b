"""How many rows a slice may have, of models whose time we make up."""

from __future__ import annotations

import time

import pytest

from forestflow.servables import warming


class Clock:
    """``time.perf_counter`` that only a model moves on: ``call`` seconds a call and ``row`` seconds a row."""

    def __init__(self, call: float, row: float) -> None:
        self.now, self.call, self.row = 0.0, call, row
        self.asked: list[int] = []

    def run(self, rows: int) -> None:
        self.asked.append(rows)
        self.now += self.call + self.row * rows


@pytest.mark.parametrize(
    ("call", "row", "most", "expected"),
    [
        (0, 1e-3, 16_384, 4),  # four rows in four milliseconds
        (0, 1e-5, 16_384, 400),
        (0, 1e-5, 100, 100),
        (0, 1e-9, 16_384, 16_384),
        (0, 1.0, 16_384, 1),
        (1.0, 0, 16_384, 1),
        (0, 1e-9, 1, 1),
    ],
)
def test_as_many_rows_as_take_four_milliseconds(monkeypatch, call, row, most, expected):
    clock = Clock(call, row)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    assert warming.slice_rows(clock.run, most, settle_seconds=0) == pytest.approx(expected, rel=0.01)
    assert set(clock.asked) <= set(range(1, most + 1))


def test_a_model_settles_before_it_is_measured(monkeypatch):
    clock = Clock(0.011, 0)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    warming.slice_rows(clock.run, settle_seconds=0.1)
    assert clock.asked == [1] + [16] * 9 + [1] * 3
    assert clock.now == pytest.approx(0.143)
