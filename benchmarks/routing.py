"""Decisions of one router core, without a network: ``python -m benchmarks.routing``.

How many releases a second each way of choosing names, among eight releases, and how much more memory the process holds
after millions of decisions.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from itertools import cycle

from forestflow.domain.routing import StickyChooser, WeightedChooser

RELEASES = 8
DECISIONS = 5_000_000
CHANGES = 200_000
KEYS = 200_000


def steady() -> Callable[[], object]:
    """Exact split, weights that stay."""
    return WeightedChooser({f"v{n}": 10 * (n + 1) for n in range(RELEASES)}).next


def moving() -> Callable[[], object]:
    """Exact split, weights that move every second decision: none is looked up."""
    chooser = WeightedChooser({f"v{n}": n + 1 for n in range(RELEASES)})
    weights = cycle([{f"v{n}": 1 + (n * step) % 7 for n in range(RELEASES)} for step in range(1, 8)])

    def decide() -> object:
        chooser.change(next(weights))
        chooser.next()
        return chooser.next()

    return decide


def phasing_in() -> Callable[[], object]:
    """Exact split as in a phase-in: the weights move once in a thousand decisions."""
    chooser = WeightedChooser({f"v{n}": 100 for n in range(RELEASES)})
    percents = cycle(range(1, 101))

    def decide() -> object:
        chooser.change({f"v{n}": 100 if n else next(percents) for n in range(RELEASES)})
        for _ in range(999):
            chooser.next()
        return chooser.next()

    return decide


def sticky() -> Callable[[], object]:
    """By key, another one each time."""
    choose = StickyChooser({f"v{n}": 10 * (n + 1) for n in range(RELEASES)}, str).choose
    numbers = iter(range(1 << 62))
    return lambda: choose(str(next(numbers)))


def rate(decide: Callable[[], object], decisions: int, each: int = 1) -> tuple[float, int]:
    """Decisions a second, and KiB that the process grew by after the first tenth of them."""
    calls = decisions // each
    for _ in range(calls // 10):
        decide()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    for _ in range(calls):
        decide()
    seconds = time.perf_counter() - began
    return calls * each / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def main() -> None:
    """Print a line per way of choosing."""
    print(f"{'among 8 releases':<40} {'decisions/s':>12} {'growth':>10}")
    for name, figures in (
        ("exact, steady weights", rate(steady(), DECISIONS)),
        ("exact, weights move every 1000", rate(phasing_in(), DECISIONS, 1000)),
        ("exact, weights move every 2", rate(moving(), CHANGES, 2)),
        ("sticky, each key new", rate(sticky(), KEYS)),
    ):
        print(f"{name:<40} {figures[0]:>12,.0f} {figures[1]:>6} KiB")


if __name__ == "__main__":
    main()
