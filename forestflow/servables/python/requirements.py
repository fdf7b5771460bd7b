"""The pip requirements of a Python model, with ``-r file`` replaced by that file's lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from forestflow.domain.errors import ArtifactRejected

_FILE = re.compile(r"(?:-r|--requirement)[\s=]*(.+)")


def read_requirements(root: Path, given: Iterable[str]) -> tuple[str, ...]:
    """One line each, as pip reads them; files lie in ``root``. Raises ArtifactRejected."""
    return tuple(_expand(root, root, given, ()))


def _expand(root: Path, base: Path, lines: Iterable[str], open_files: tuple[Path, ...]) -> Iterator[str]:
    for raw in lines:
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        if not line:
            continue
        if "\n" in line or "\0" in line:
            raise ArtifactRejected(f"requirement {raw[:80]!r} is more than one line")
        named = _FILE.fullmatch(line)
        if named is None:
            yield line
            continue
        file = (base / named[1].strip()).resolve()
        if root.resolve() not in file.parents or not file.is_file():
            raise ArtifactRejected(f"requirements file {named[1]!r} does not exist under the given path")
        if file in open_files:
            raise ArtifactRejected(f"requirements file {named[1]!r} includes itself")
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            raise ArtifactRejected(f"requirements file {named[1]!r} is not UTF-8") from None
        yield from _expand(root, file.parent, text.splitlines(), (*open_files, file))
