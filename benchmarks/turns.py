"""Two rates of one ratio, taken in turns: what the machine does meanwhile then slows both alike."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from benchmarks import wrk

Rate = Callable[[float], float]  # of so many seconds

TURN_SECONDS = 1.0


def in_turns(one: Rate, other: Rate, seconds: float) -> tuple[float, float]:
    """The mean rates of both, each taken for ``seconds`` in turns of a second: one, other, other, one, and so on."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(max(1, round(seconds / (2 * TURN_SECONDS)))):
        for who in (0, 1, 1, 0) if number % 2 == 0 else (1, 0, 0, 1):
            taken[who].append((one, other)[who](TURN_SECONDS))
    return fmean(taken[0]), fmean(taken[1])


def of_wrk(url: str, body: bytes, connections: int, headers: dict[str, str] | None = None, warm_up: float = 2) -> Rate:
    """Requests a second of a server that is up, after it was warmed up here."""
    wrk.run(url, body, connections=connections, seconds=warm_up, warm_up=0, headers=headers)

    def rate(seconds: float) -> float:
        return wrk.run(url, body, connections=connections, seconds=seconds, warm_up=0.0, headers=headers).per_second

    return rate
