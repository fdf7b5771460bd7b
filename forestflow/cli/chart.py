"""A timeline of shares as stacked areas in the terminal: half blocks in colour, or one sign per release without."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from forestflow.cli.session import printable
from forestflow.cli.timeline import COLOURS, Timeline, span

if TYPE_CHECKING:
    from rich.text import Text

HEIGHT = 12
SIGNS = "█░▓▒#o+."
_MARGIN = 6  # the labels of the shares


def draw(timeline: Timeline, width: int, *, colour: bool) -> Text:
    """The chart, ``width`` characters wide, with the times below it and a legend."""
    from rich.text import Text

    columns = max(10, width - _MARGIN - 1)
    per_row = 2 if colour else 1
    bands = [_bands(shares, HEIGHT * per_row) for shares in _sampled(timeline, columns)]
    chart = Text(no_wrap=True, overflow="crop")
    for row in range(HEIGHT):
        chart.append(f"{_LABELS.get(row, ''):>{_MARGIN - 1}} ")
        for band in bands:
            _cell(chart, [band[row * per_row + i] for i in range(per_row)])
        chart.append("\n")
    chart.append(_times(timeline, columns) + "\n")
    first, last = timeline.at(timeline.start_ms), timeline.at(timeline.end_ms)
    for i, release in enumerate(timeline.releases):
        chart.append("\n" + " " * _MARGIN)
        _cell(chart, [i] * per_row)
        chart.append(f" {printable(release)}: {_percent(first[i])}")
        chart.append("" if first[i] == last[i] else f" → {_percent(last[i])}")
    return chart


_LABELS = {0: "100 %", HEIGHT // 2: "50 %", HEIGHT - 1: "0 %"}


def _sampled(timeline: Timeline, columns: int) -> list[tuple[float, ...]]:
    length = timeline.end_ms - timeline.start_ms
    return [timeline.at(timeline.start_ms + length * (column + 0.5) / columns) for column in range(columns)]


def _bands(shares: Sequence[float], cells: int) -> list[int | None]:
    """Whose each of the cells is, from the top; the first release lies lowest. ``None``: nobody answers."""
    bounds = list(accumulate(shares))
    heights = [(cells - cell - 0.5) / cells for cell in range(cells)]
    return [next((i for i, bound in enumerate(bounds) if height <= bound + 1e-9), None) for height in heights]


def _cell(chart: Text, owners: Sequence[int | None]) -> None:
    """One character: one owner's sign, or two owners as the colours of its halves."""
    if len(owners) == 1:
        chart.append(" " if owners[0] is None else SIGNS[owners[0] % len(SIGNS)])
        return
    upper, lower = (None if owner is None else COLOURS[owner % len(COLOURS)] for owner in owners)
    if upper == lower:
        chart.append("█" if upper else " ", upper or "")
    elif upper is None:
        chart.append("▄", lower or "")
    else:
        chart.append("▀", f"{upper} on {lower}" if lower else upper)


def _times(timeline: Timeline, columns: int) -> str:
    """``now``, the end, and the time at each quarter between them as far as it fits."""
    length = timeline.end_ms - timeline.start_ms
    line, last = " " * _MARGIN + "now", "+" + span(length)
    last_begin = _MARGIN + columns - len(last)
    for quarter in (1, 2, 3):
        label = "+" + span(length * quarter / 4)
        begin = _MARGIN + columns * quarter // 4 - (len(label) + 1) // 2
        if len(line) < begin and begin + len(label) < last_begin:
            line = line.ljust(begin) + label
    return line.ljust(last_begin) + last if len(line) < last_begin else line


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"
