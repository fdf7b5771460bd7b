"""Contracts and releases under the names that protocols with a flat list of models give them.

A model is a contract: ``organization.project.contract_number``, an alias from the configuration, or the project alone
where only one organization has it (then its highest contract number). A version is a release: one whose release version
is a whole number has that number, any other a number made from its name, the same in every process and at every time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from forestflow.domain.ids import Contract
from forestflow.domain.plan import ReleasePlan

STABLE, CANARY, LATEST = "stable", "canary", "latest"
LABELS = (STABLE, CANARY, LATEST)

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_MAX_NUMBER = 2**63 - 1
_NAMED = 1 << 47  # numbers made from names have this bit: over every counted version, exact in a double


class ModelNames:
    """The contracts that there are, by the names of their models."""

    def __init__(self, contracts: Iterable[Contract], aliases: Mapping[str, Contract]) -> None:
        self._aliases = aliases
        self._full: dict[str, Contract | None] = {}  # None: dots leave it open which contract is meant
        projects: dict[str, list[Contract]] = {}
        for contract in contracts:
            name = str(contract)
            self._full[name] = None if name in self._full else contract
            projects.setdefault(contract.project, []).append(contract)
        self._projects = {
            project: max(owned, key=lambda contract: contract.contract_number)
            for project, owned in projects.items()
            if len({contract.organization for contract in owned}) == 1
        }

    def find(self, name: str) -> Contract | None:
        """The contract of that name; an alias goes first, then the full name."""
        return self._aliases.get(name) or self._full.get(name) or self._projects.get(name)


def version_of_name(release_version: str) -> int:
    """The release's number among a model's versions, in 0..2**63-1."""
    if _NUMBER.fullmatch(release_version) and int(release_version) <= _MAX_NUMBER:
        return int(release_version)
    digest = blake2b(release_version.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") | _NAMED


def find_version(version: str, releases: Iterable[ReleasePlan]) -> ReleasePlan | None:
    """The release of that release version, or of that number."""
    by_number = None
    for release in releases:
        name = release.fqrv.release_version
        if name == version:
            return release
        if str(version_of_name(name)) == version:
            by_number = release
    return by_number


def find_label(label: str, releases: Sequence[ReleasePlan]) -> ReleasePlan | None:
    """The release that a label means; ``releases`` in the order of their deployment. ``None`` for an unknown label.

    ``stable`` has the greatest weight, of several the newest. ``canary`` is the newest that is still phasing in, else
    the stable one. ``latest`` was deployed last, and may be one that the policies let nobody see.
    """
    if label == LATEST:
        return releases[-1] if releases else None
    if label not in LABELS:
        return None
    weighty = [release for release in releases if release.weight > 0]
    phasing_in = [release for release in weighty if release.weight < 100]
    if label == CANARY and phasing_in:
        return phasing_in[-1]
    return speaker(weighty)


def speaker(releases: Iterable[ReleasePlan]) -> ReleasePlan | None:
    """The release whose signatures stand for the contract: of the greatest weight, of several the newest."""
    return max(reversed(tuple(releases)), key=lambda release: release.weight, default=None)
