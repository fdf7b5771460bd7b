"""How a setting is shown to its operator: its value without secrets, its range, where it came from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import ByteSize
from pydantic.fields import FieldInfo

from forestflow.domain.ids import Contract

# Up to the last @: a password may hold one; better too much hidden than too little.
_SECRETS = re.compile(r"(?<=://)(?P<user>[^/@:]*):.*@|(?P<key>[?&](?:password|passwd|pwd|token|secret)=)[^&]*", re.I)
_RANGE_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as ``forestflow config`` shows it; secrets are left out of ``value``."""

    name: str
    flag: str
    env: str
    default: str
    value: str
    origin: str
    valid: str
    description: str


def shown(value: object) -> str:
    """The value as a user would write it, with passwords and tokens left out; empty for none."""
    if value is None:
        return ""
    if isinstance(value, ByteSize):
        return value.human_readable(separator=" ") if value % 1024 == 0 else str(int(value))
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={shown(contract)}" for name, contract in value.items())
    if isinstance(value, Contract):
        return f"{value.organization}/{value.project}/{value.contract_number}"
    if isinstance(value, bool):
        return str(value).lower()
    return _SECRETS.sub(lambda m: m["key"] + "***" if m["key"] else m["user"] + ":***@", str(value))


def range_of(field: FieldInfo) -> str:
    """The bounds of a number, in words of one sign each."""
    parts = []
    for constraint in field.metadata:
        for attribute, sign in _RANGE_SIGNS.items():
            bound = getattr(constraint, attribute, None)
            if bound is not None:
                text = shown(ByteSize(bound)) if isinstance(field.default, ByteSize) else str(bound)
                parts.append(f"{sign} {text}")
    return ", ".join(parts)
