"""The script of a Python model: looked at without running it, then run as a module of its own."""

from __future__ import annotations

import ast
import importlib.util
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from forestflow.domain.errors import ArtifactRejected, LoadFailed
from forestflow.domain.requests import Python
from forestflow.servables.python.calling import foreign

PATH_VARIABLE = "MODEL_PATH"
MAX_BYTES = 2 << 20  # a syntax tree takes a hundred times as much memory

_log = logging.getLogger("forestflow.servable")


def check(root: Path, flavor: Python) -> None:
    """Check that the script is there, is Python and names the class at its top level. Raises ArtifactRejected."""
    script = _inside(root, flavor.script)
    if script.stat().st_size > MAX_BYTES:
        raise ArtifactRejected(f"{flavor.script} is larger than {MAX_BYTES} bytes; keep data in files beside it")
    try:
        tree = ast.parse(script.read_bytes(), flavor.script)
    except SyntaxError as error:
        raise ArtifactRejected(f"{flavor.script}, line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte, or far too deep
        raise ArtifactRejected(f"{flavor.script} is not Python: {error}") from None
    names = list(_names(tree.body))
    if flavor.class_name not in names and "*" not in names:
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        raise ArtifactRejected(
            f"{flavor.script} does not define {flavor.class_name!r}; its classes: {', '.join(classes) or 'none'}"
        )


def instantiate(root: Path, flavor: Python) -> Any:
    """Run the script and call the class without arguments.

    Raises LoadFailed with what was raised; the traceback goes to the log.
    """
    script = _inside(root, flavor.script)
    os.environ[PATH_VARIABLE] = str(root)
    sys.dont_write_bytecode = True  # an artifact stays as its hash says
    if str(script.parent) not in sys.path:
        sys.path.insert(0, str(script.parent))
    name = script.stem
    if name in sys.modules or not name.isidentifier():
        name = f"_model_{name}"
    try:
        with foreign():
            kind = getattr(_run(script, name), flavor.class_name)
            if not hasattr(kind, "path"):
                kind.path = str(root)
            return kind()
    except BaseException as error:  # a script may also exit
        sys.modules.pop(name, None)
        _log.error("%s did not load", flavor.script, exc_info=error)
        raise LoadFailed(f"{flavor.script}: {type(error).__name__}: {error}; its log has the traceback") from error


def _run(script: Path, name: str) -> Any:
    """The module of the script; its own name, where that is free, lets pickled objects find their classes."""
    spec = importlib.util.spec_from_file_location(name, script)
    if spec is None or spec.loader is None:
        raise ImportError(f"{script.name} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _inside(root: Path, relative: str) -> Path:
    path = (root / relative).resolve()
    if root.resolve() not in path.parents or not path.is_file():
        raise ArtifactRejected(f"script {relative!r} does not exist under the given path")
    if path.suffix != ".py":
        raise ArtifactRejected(f"script {relative!r} must end in .py")
    return path


def _names(body: Iterable[ast.stmt]) -> Iterator[str]:
    """What the statements of a module bind, those inside of ``if``, ``try`` and ``with`` among them."""
    waiting: list[Any] = list(body)
    while waiting:
        node = waiting.pop()
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.ImportFrom(names=names) | ast.Import(names=names):
                yield from (alias.asname or alias.name for alias in names)
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case _:
                for field in ("body", "orelse", "finalbody", "handlers"):
                    waiting += getattr(node, field, ())
