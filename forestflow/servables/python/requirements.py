"""The pip requirements of a Python model, with ``-r file`` replaced by that file's lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from forestflow.domain.errors import ArtifactRejected

_FILE = re.compile(r"(?:-r|--requirement)[\s=]*(.+)")
_COMMENT = re.compile(r"(^|\s)#.*")


MAX_BYTES = 1 << 20  # of all lines, those of a file once for each time that it is read
_LINE_BYTES = 64  # that a line counts beside its text


def read_requirements(root: Path, given: Iterable[str]) -> tuple[str, ...]:
    """One line each, as pip reads them; files lie in ``root``. Raises ArtifactRejected."""
    return tuple(_Reader(root).expand(root, given, ()))


class _Reader:
    """Reads lines and the files that they name, until that is too much: files may name each other many times."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._left = MAX_BYTES

    def expand(self, base: Path, lines: Iterable[str], open_files: tuple[Path, ...]) -> Iterator[str]:
        for raw in lines:
            self._spend(len(raw) + _LINE_BYTES)
            line = _COMMENT.sub("", raw).strip()
            if not line:
                continue
            if "\n" in line or "\0" in line:
                raise ArtifactRejected(f"requirement {raw[:80]!r} is more than one line")
            named = _FILE.fullmatch(line)
            if named is None:
                yield line
                continue
            file = (base / named[1].strip()).resolve()
            if self._root not in file.parents or not file.is_file():
                raise ArtifactRejected(f"requirements file {named[1][:80]!r} does not exist under the given path")
            if file in open_files:
                raise ArtifactRejected(f"requirements file {named[1][:80]!r} includes itself")
            yield from self.expand(file.parent, self._text(file).splitlines(), (*open_files, file))

    def _text(self, file: Path) -> str:
        self._spend(file.stat().st_size)
        try:
            return file.read_text("utf-8")
        except UnicodeDecodeError:
            raise ArtifactRejected(f"requirements file {file.name!r} is not UTF-8") from None

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ArtifactRejected(f"the requirements are more than {MAX_BYTES} bytes, or name files too many times")
