"""``python -m benchmarks``: run every session once a round, one server at a time, and print the table of ratios."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from benchmarks import report, wrk
from benchmarks.measures import MEASURES, Measure, results
from benchmarks.sessions import SESSIONS, Figures


def arguments() -> argparse.Namespace:
    """The command line."""
    names = [measure.name for measure in MEASURES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="NAME,...", help="measures to take: " + ", ".join(names))
    parser.add_argument("--runs", type=int, default=3, help="rounds; the table shows medians over them (3)")
    parser.add_argument("--seconds", type=float, default=5, help="of each load (5)")
    parser.add_argument("--quick", action="store_true", help="one round, 2 s loads, one composed Ray Serve variant")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every round")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as Markdown")
    options = parser.parse_args()
    options.names = options.only.split(",") if options.only else names
    if unknown := set(options.names) - set(names):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if options.quick:
        options.runs, options.seconds = 1, 2
    return options


def say(text: str) -> None:
    """Progress."""
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def order(sessions: list[str], round_number: int) -> list[str]:
    """The floor before and after ours; the two Plans change places every other round."""
    ours = [name for name in ("ours",) if name in sessions]
    plans = [name for name in ("plan", "plan-of-one") if name in sessions][:: 1 if round_number % 2 == 0 else -1]
    floor = ["floor"] if "floor" in sessions else []
    rest = [name for name in sessions if name not in {"floor", *ours, *plans}]
    return [*floor, *ours, *(floor if ours else []), *plans, *rest]


def one_round(number: int, sessions: list[str], wanted: set[str], seconds: float, problems: list[str]) -> Figures:
    """Every session once; what is taken twice (the floor) is averaged."""
    taken: dict[str, list[float]] = {}
    for name in order(sessions, number):
        began = time.monotonic()
        try:
            figures = SESSIONS[name](wanted, seconds)
        except Exception as error:
            problems.append(f"round {number + 1}, {name}: {error}")
            say(f"  {name}: FAILED: {error}")
            continue
        for key, value in figures.items():
            taken.setdefault(key, []).append(value)
        say(f"  {name} ({time.monotonic() - began:.0f} s): " + ", ".join(f"{k} {v:,.6g}" for k, v in figures.items()))
    return {key: fmean(values) for key, values in taken.items()}


def main() -> int:
    """Run, print, and answer 1 when something failed to run (a missed target is not a failure)."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    wrk.find_wrk()
    chosen: list[Measure] = [measure for measure in MEASURES if measure.name in options.names]
    wanted = {need for measure in chosen for need in measure.needs}
    if options.quick:
        wanted -= {"ray-batched.rate", "ray-haproxy.rate"}
    sessions = [name for name in SESSIONS if any(need.startswith(f"{name}.") for need in wanted)]
    busy = os.getloadavg()[0]
    if busy > 0.5:
        say(f"the machine is busy (load {busy:.1f}): figures are indicative only")
    problems: list[str] = []
    rounds = []
    for number in range(options.runs):
        say(f"round {number + 1} of {options.runs}: {', '.join(order(sessions, number))}")
        rounds.append(one_round(number, sessions, wanted, options.seconds, problems))
    found = results(chosen, rounds)
    caption = (
        f"{report.machine()}; medians of {options.runs} rounds (range in parentheses), {options.seconds:g} s a load; "
        f"load before the start {busy:.1f}; {datetime.now(UTC):%Y-%m-%d}."
    )
    report.terminal(found, caption)
    if options.markdown:
        options.markdown.write_text(report.markdown(found, caption))
    if options.json:
        document = {"caption": caption, "rounds": rounds, "problems": problems}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except wrk.LoadFailed as error:
        sys.exit(str(error))
