"""A timeline of shares as a figure in a file, PNG or SVG, by matplotlib (the extra ``charts``)."""

from __future__ import annotations

import warnings
from pathlib import Path

from forestflow.cli.session import printable
from forestflow.cli.timeline import COLOURS, Timeline, span


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def save(timeline: Timeline, title: str, file: Path, kind: str) -> None:
    """Write the chart as ``kind``, png or svg. Raises OSError."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

    colours = [COLOURS[i % len(COLOURS)] for i in range(len(timeline.releases))]
    figure = Figure(figsize=(10, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    times = [(at_ms - timeline.start_ms) / 1000 for at_ms in (*timeline.times_ms, timeline.end_ms)]
    shares = [*timeline.shares, timeline.shares[-1]]
    if timeline.releases:
        axes.stackplot(times, *zip(*shares, strict=True), colors=colours, step="post", linewidth=0)
    for at_ms in sorted({at_ms for at_ms, _ in timeline.happens}):
        axes.axvline((at_ms - timeline.start_ms) / 1000, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, times[-1])
    axes.set_ylim(0, 1)
    axes.set_xlabel("from now")
    axes.set_ylabel("share of users' requests")
    axes.set_title(printable(title), parse_math=False)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(steps=[1, 1.5, 2, 3, 6, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: span(seconds * 1000)))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    # the space: matplotlib hides what begins with an underscore
    handles = [
        Patch(color=colour, label=f" {printable(name)}")
        for name, colour in zip(timeline.releases, colours, strict=True)
    ]
    legend = axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name in a script that the font lacks
        figure.savefig(file, format=kind)
