"""Addresses: the contract that clients call, and the fully qualified version of one release under it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from forestflow.domain.errors import InvalidIdentifier

MAX_NAME_LENGTH = 255
MAX_CONTRACT_NUMBER = 2**31 - 1

# First path segments the server itself answers on; an organization of that name could never be reached.
RESERVED_ORGANIZATIONS = frozenset(
    {
        "alive", "ready", "contract", "contracts", "servable", "docs", "redoc", "openapi.json",
        "v1", "v2", "web", "metrics", "hopsworks-api",
    }
)  # fmt: skip

_FORBIDDEN = re.compile(r"[/\x00-\x1f\x7f\ud800-\udfff]")


def check_name(what: str, name: str) -> str:
    """Return ``name`` if it can stand in a URL path and a log line, else raise :class:`InvalidIdentifier`."""
    if not name:
        raise InvalidIdentifier(f"{what} must not be empty")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidIdentifier(f"{what} has {len(name)} characters; at most {MAX_NAME_LENGTH} are allowed")
    if _FORBIDDEN.search(name) or name in (".", ".."):
        raise InvalidIdentifier(f"{what} {name!r} holds a slash or a control character, or is a dot name")
    return name


@dataclass(frozen=True, slots=True, order=True)
class Contract:
    """The address of a use case: ``organization/project/contract_number``."""

    organization: str
    project: str
    contract_number: int

    def __post_init__(self) -> None:
        check_name("organization", self.organization)
        check_name("project", self.project)
        if self.organization in RESERVED_ORGANIZATIONS:
            raise InvalidIdentifier(f"organization {self.organization!r} is a path of the server itself")
        if not 0 <= self.contract_number <= MAX_CONTRACT_NUMBER:
            raise InvalidIdentifier(f"contract_number {self.contract_number} is not in 0..{MAX_CONTRACT_NUMBER}")

    def __str__(self) -> str:
        return f"{self.organization}.{self.project}.{self.contract_number}"


@dataclass(frozen=True, slots=True, order=True)
class Fqrv:
    """Fully qualified release version: unique per servable."""

    contract: Contract
    release_version: str

    def __post_init__(self) -> None:
        check_name("release_version", self.release_version)

    def __str__(self) -> str:
        return f"{self.contract}.{self.release_version}"
