"""Tables on stdout: aligned and coloured on a terminal, plain and unwrapped when piped."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from forestflow.cli.session import printable

PIPED_WIDTH = 10_000
_STYLES = {"AVAILABLE": "green", "LOADING": "yellow", "FAILED": "red", "RETIRED": "dim"}


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str, right: Sequence[str] = ()
) -> None:
    """Print rows under ``columns``, those in ``right`` aligned to the right; ``empty`` instead of no rows."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    listed = list(rows)
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else PIPED_WIDTH)
    if not listed:
        console.print(Text(empty))
        return
    table = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in listed:
        cells = [printable(_text(cell)) for cell in row]
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in cells))
    console.print(table)


def time_of(milliseconds: str | int | None) -> str:
    """Milliseconds since 1970 in local time, to the second."""
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(int(milliseconds) / 1000).isoformat(" ", "seconds")


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    return repr(cell) if isinstance(cell, float) else str(cell)
