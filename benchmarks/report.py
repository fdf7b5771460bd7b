"""The table of results, for a terminal and as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measures import Measure, Result

HEADINGS = ("measure", "value", "ratio", "target", "stretch", "verdict")


def rows(found: Sequence[Result | Measure]) -> list[tuple[str, ...]]:
    """The cells of the table."""
    cells: list[tuple[str, ...]] = []
    for each in found:
        if isinstance(each, Measure):
            cells.append((each.title, "—", "—", each.bound(each.target), each.bound(each.stretch), "NOT MEASURED"))
            continue
        of = each.measure
        ratio = f"{each.value:.3g}{of.unit}" if each.value < 1000 else f"{each.value:,.0f}{of.unit}"
        if each.low != each.high:
            ratio += f" ({each.low:.3g} to {each.high:.3g})"
        verdict = of.verdict(each.value)
        cells.append((of.title, each.shown, ratio, of.bound(of.target), of.bound(of.stretch), verdict))
    return cells


def machine() -> str:
    """What this ran on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{len(os.sched_getaffinity(0))} cores, {model}, Python {platform.python_version()}"


def terminal(found: Sequence[Result | Measure], caption: str) -> None:
    """Print the table to standard output."""
    console = Console()
    table = Table(*HEADINGS, caption=caption)
    for cells in rows(found):
        bad = cells[-1].isupper()
        table.add_row(*cells, style="red" if bad else None)
    (console if console.is_terminal else Console(width=170)).print(table)


def markdown(found: Sequence[Result | Measure], caption: str) -> str:
    """The table for the README."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows(found)]
    return "\n".join([*lines, "", caption, ""])
