"""One word names one thing: no two public classes of the rooms have the same name, nor two functions of one room."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "forestflow"
ROOMS = ("domain", "codecs", "settings", "artifacts", "controlplane", "dataplane")
# In codecs each protocol offers the same functions, and readers are called by their module (``nested.loads``).
FUNCTIONS_OF = ("domain", "settings", "controlplane", "dataplane")


def public(room: str, kinds: tuple[type[ast.stmt], ...]) -> dict[str, list[str]]:
    """The places of each public name."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted((ROOT / room).rglob("*.py")):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, kinds) and not node.name.startswith("_"):  # type: ignore[attr-defined]
                found[node.name].append(str(file.relative_to(ROOT)))  # type: ignore[attr-defined]
    return found


def test_no_two_classes_have_one_name() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for room in ROOMS:
        for name, places in public(room, (ast.ClassDef,)).items():
            found[name] += places
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
    assert len(found) > 100


@pytest.mark.parametrize("room", FUNCTIONS_OF)
def test_no_two_functions_of_a_room_have_one_name(room: str) -> None:
    found = public(room, (ast.FunctionDef, ast.AsyncFunctionDef))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
