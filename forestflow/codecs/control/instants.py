"""Moments as users write them: milliseconds since 1970, or RFC 3339."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from forestflow.domain.errors import Malformed

_MILLISECONDS = re.compile(r"[0-9]{1,15}")
# In a URL's query an unescaped + reads as a space, so a space before the offset counts as +.
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+\- ])([0-9]{2}:[0-9]{2}))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_instant(text: str) -> int:
    """Milliseconds since 1970; what is finer is cut off. Raises Malformed."""
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    written = _RFC_3339.fullmatch(text)
    if written:
        day, clock, fraction, sign, offset = written.groups()
        zone = f"{'-' if sign == '-' else '+'}{offset}" if offset else "+00:00"
        try:
            whole = datetime.fromisoformat(f"{day}T{clock}{zone}")
            return (whole - _EPOCH) // timedelta(milliseconds=1) + int(((fraction or "") + "000")[:3])
        except (ValueError, OverflowError):
            pass  # a day or an hour that is none
    raise Malformed(f"{text[:40]!r} is no time: give milliseconds since 1970 or RFC 3339, as 2026-11-21T05:34:21Z")
