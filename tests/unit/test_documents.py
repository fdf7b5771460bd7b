"""The tables that documents take from the code are those of the code, and a stale one is found."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs/generate.py"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_current():
    check = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize(
    ("place", "said", "instead"),
    [
        ("docs/settings.md", "| `routers` | `1` |", "| `routers` | `2` |"),
        ("docs/settings.md", "Router processes per node", "Routers per node"),
        ("forestflow/README.md", "| `ContractSet` |", "| `ContractMade` |"),
        ("forestflow/README.md", "| `ids.py` |", "| `addresses_of_all.py` |"),
        ("forestflow/README.md", "### sdk/\n", ""),
    ],
)
def test_a_stale_table_is_found(generate, place, said, instead, tmp_path, monkeypatch):
    for name in generate.PLACES:
        text = (ROOT / name).read_text("utf-8")
        copy = tmp_path / name
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(text.replace(said, instead) if name == place else text, "utf-8")
        assert name != place or said in text
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.stale() == [place]


def test_a_document_without_a_place_for_its_table_is_refused(generate):
    with pytest.raises(ValueError, match="no place for the table of events"):
        generate.filled("<!-- generated: settings -->\n<!-- generated: end -->\n", ["settings", "events"])


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("One. Two.", "One."),
        ("Numbers such as 1.5 stay, and `.keras` files. More.", "Numbers such as 1.5 stay, and `.keras` files."),
        ("Over\ntwo lines\n\nand more.", "Over two lines"),
        ("A ``name`` of :class:`~a.b.Class`, a | b.", "A `name` of `Class`, a \\| b."),
        (None, ""),
    ],
)
def test_the_first_sentence(generate, docstring, sentence):
    assert generate.sentence(docstring) == sentence
