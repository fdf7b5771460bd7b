"""Settings that a command takes from a file, in the wire's form, and small texts that stand for values."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)?")
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_settings(file: str, name: str) -> Json:
    """The JSON object in ``file`` (``-``: stdin), bare or under the one key ``name``, as `forestflow settings` prints.

    Raises ValueError for a file that is none.
    """
    try:
        settings = json.loads(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as missing:
        raise ValueError(f"cannot read {file}: {missing.strerror}") from None
    except ValueError as bad:
        raise ValueError(f"{file} is not JSON: {bad}") from None
    if isinstance(settings, dict) and settings.keys() == {name}:
        settings = settings[name]
    if not isinstance(settings, dict):
        raise ValueError(f"{file} holds no JSON object")
    return settings


def pair(text: str, option: str) -> tuple[str, str]:
    """``NAME=VALUE`` as two; the name may hold no equals sign."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ValueError(f"{option} {text!r} is not NAME=VALUE")
    return name, value


def number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{option}: {text!r} is not a number") from None


def seconds(text: str) -> int:
    """Whole seconds from ``90``, ``90s``, ``15m``, ``1.5h`` or ``2d``."""
    given = _DURATION.fullmatch(text)
    if not given:
        raise ValueError(f"{text!r} is no duration; write 90s, 15m, 1.5h or 2d")
    return round(float(given[1]) * _SECONDS[given[2]])


def instant(text: str) -> str:
    """A time for the server: what has no offset is this machine's local time, as the tables print it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text  # milliseconds, or for the server to refuse
    if text.isdigit() or moment.tzinfo is not None:
        return text
    return str(round(moment.timestamp() * 1000))
