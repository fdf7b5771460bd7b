"""Values in the short forms of policies, ``kind:value``, as the command line takes them."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def whole(text: str) -> int | None:
    """Return the number that ASCII digits write, or ``None``."""
    return int(text) if text.isascii() and text.isdigit() else None


def decimal(text: str) -> float | None:
    """Return the number that decimal digits write, or ``None``."""
    return float(text) if _NUMBER.fullmatch(text) else None


def ascending(text: str) -> tuple[str, bool]:
    """Return the text without its ``,asc``, and whether it had that."""
    rest = text.removesuffix(",asc")
    return rest, rest != text
