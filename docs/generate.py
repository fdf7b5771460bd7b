"""Write the tables that documents take from the code, or (``--check``) name the documents whose tables are stale.

A table stands between ``<!-- generated: NAME -->`` and ``<!-- generated: end -->``.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import get_args

from forestflow.domain.events import Event
from forestflow.settings.config import Settings

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "forestflow"
ROOMS = (
    *("domain", "codecs", "settings", "servables", "artifacts"),
    *("dataplane", "controlplane", "api", "cluster", "sdk", "cli"),
)
PLACES = {
    "forestflow/README.md": ("modules", "events"),
    "docs/settings.md": ("settings",),
}

_BLOCK = "<!-- generated: {} -->\n"
_END = "<!-- generated: end -->\n"
_SENTENCE_END = re.compile(r"(?<=[.?!])(?=\s+[A-Z`]|\s*$)")
_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")


def sentence(docstring: str | None) -> str:
    """Return the first sentence of a docstring as Markdown."""
    paragraph = " ".join((docstring or "").split("\n\n")[0].split())
    first = _SENTENCE_END.split(paragraph, maxsplit=1)[0]
    return _ROLE.sub(r"`\1`", first).replace("``", "`").replace("|", "\\|")


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    headings = list(headings)
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def modules() -> str:
    """Describe every module of every room by the first sentence of its docstring."""
    parts = []
    for room in ROOMS:
        rows = []
        for path in sorted((PACKAGE / room).rglob("*.py")):
            name = path.relative_to(PACKAGE / room).as_posix()
            said = sentence(ast.get_docstring(ast.parse(path.read_text("utf-8"))))
            if said and name != "__init__.py":
                rows.append((f"`{name.removesuffix('__init__.py')}`", said))
        room_said = sentence(ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text("utf-8"))))
        parts.append(f"### {room}/\n\n{room_said}\n\n{table(('module', 'what it is'), rows)}")
    return "\n".join(parts)


def events() -> str:
    """Describe every event of the journal by its docstring."""
    rows = (
        (f"`{kind.__name__}`", " ".join((kind.__doc__ or "").split()).replace("``", "`")) for kind in get_args(Event)
    )
    return table(("event", "says"), rows)


def settings() -> str:
    """Describe every setting of the server."""
    rows = (
        (f"`{row.name}`", f"`{row.default}`" if row.default else "", row.valid, row.description.replace("|", "\\|"))
        for row in Settings().describe()
    )
    return table(("setting", "default", "range", "meaning"), rows)


TABLES: dict[str, Callable[[], str]] = {"modules": modules, "events": events, "settings": settings}


def filled(text: str, names: Iterable[str]) -> str:
    """Return a document with its tables made anew. Raises ValueError where the marks of one are missing."""
    for name in names:
        before, begin, rest = text.partition(_BLOCK.format(name))
        _, end, after = rest.partition(_END)
        if not (begin and end):
            raise ValueError(f"there is no place for the table of {name}")
        text = f"{before}{begin}\n{TABLES[name]()}\n{end}{after}"
    return text


def stale() -> list[str]:
    """Name the documents whose tables are not those of the code."""
    return [
        place for place, names in PLACES.items() if filled(text := (ROOT / place).read_text("utf-8"), names) != text
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 and name the stale documents")
    if parser.parse_args().check:
        found = stale()
        if found:
            print(f"stale tables in {', '.join(found)}; run make gen", file=sys.stderr)
        return 1 if found else 0
    for place, names in PLACES.items():
        path = ROOT / place
        path.write_text(filled(path.read_text("utf-8"), names), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
