"""Numbered versions in a base directory, as TensorFlow Serving has them: which are releases of a contract, and when.

``plan_versions`` is the whole policy, a pure function of what was found, what is deployed and now. It gives a verdict
for every version: what to do, or why nothing is to be done.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.lifecycle import ServableState
from forestflow.domain.requests import Flavor, ServeRequest
from forestflow.domain.settings import ContractSettings, ServableSettings
from forestflow.domain.sources import below

MAX_VERSION = 2**63 - 1
MAX_POLL_SECONDS = 86_400.0
DEFAULT_POLL_SECONDS = 2.0
RETRY_FIRST_MS = 5_000
RETRY_MAX_MS = 300_000

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class LatestVersions:
    """The ``count`` highest numbers."""

    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InvalidSettings(f"versions: latest.count must be at least 1, got {self.count}")


@dataclass(frozen=True, slots=True)
class AllVersions:
    """Every number there is."""


@dataclass(frozen=True, slots=True)
class SpecificVersions:
    """These numbers, where they are there."""

    versions: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.versions:
            raise InvalidSettings("versions: specific names no version")
        for version in self.versions:
            if not 0 <= version <= MAX_VERSION:
                raise InvalidSettings(f"versions: specific holds {version}, which is not in 0..{MAX_VERSION}")


VersionPolicy = LatestVersions | AllVersions | SpecificVersions


@dataclass(frozen=True, slots=True)
class Watch:
    """A base directory whose versions are releases of ``contract``: version N is its release ``N``.

    ``flavor`` and ``servable_settings`` are those of every version; the flavor's path is relative to the version's own
    directory. ``poll_seconds`` lie between two looks; 0: nothing is looked for once every version there was has been
    tried.
    """

    contract: Contract
    path: str
    flavor: Flavor
    policy: VersionPolicy = field(default_factory=LatestVersions)
    poll_seconds: float = DEFAULT_POLL_SECONDS
    servable_settings: ServableSettings = field(default_factory=ServableSettings)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.poll_seconds) and 0 <= self.poll_seconds <= MAX_POLL_SECONDS):
            raise InvalidSettings(f"pollSeconds must be in 0..{MAX_POLL_SECONDS:.0f}, got {self.poll_seconds}")

    def directory(self, version: int) -> str:
        """Where that version lies."""
        return below(self.path, str(version))

    def fqrv(self, version: int) -> Fqrv:
        return Fqrv(self.contract, str(version))

    def request(self, version: int) -> ServeRequest:
        """The deploy of one version."""
        return ServeRequest(
            self.directory(version), self.fqrv(version), self.flavor, self.servable_settings, None, self.tags
        )

    def version_of(self, request: ServeRequest) -> int | None:
        """Which of this watch's versions a release is; ``None``: somebody deployed it from elsewhere."""
        version = version_number(request.fqrv.release_version)
        ours = version is not None and request.fqrv.contract == self.contract
        return version if ours and version is not None and request.path == self.directory(version) else None


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Begin a watch, or replace the contract's. ``contract_settings`` only for a contract that does not exist yet."""

    watch: Watch
    contract_settings: ContractSettings | None = None


def version_number(name: str) -> int | None:
    """The number that a directory's name is: digits without sign or leading zero; ``None`` for any other name."""
    return int(name) if _NUMBER.fullmatch(name) and int(name) <= MAX_VERSION else None


def wanted_versions(policy: VersionPolicy, found: Iterable[int]) -> frozenset[int]:
    """Which of the versions found the policy wants served."""
    match policy:
        case LatestVersions(count):
            return frozenset(sorted(found)[-count:])
        case AllVersions():
            return frozenset(found)
        case SpecificVersions(versions):
            return frozenset(found) & frozenset(versions)


# --- what is known, and what follows --------------------------------------------------------------------------------


def retry_pause_ms(count: int) -> int:
    """How long to leave alone what has failed that many times in a row: 5, 10, 20, … 300 s."""
    return min(RETRY_MAX_MS, RETRY_FIRST_MS << min(count - 1, 10))


@dataclass(frozen=True, slots=True)
class Failure:
    """Deploys of a version that failed ``count`` times in a row; ``fingerprint`` is of the content that was tried."""

    fingerprint: str | None
    count: int
    at_ms: int
    message: str

    @property
    def retry_at_ms(self) -> int:
        """When to try the same content again."""
        return self.at_ms + retry_pause_ms(self.count)


@dataclass(frozen=True, slots=True)
class ObservedVersions:
    """What is known of the versions of one watch at one instant.

    ``found`` has the versions that are there with a fingerprint of their content, ``None`` where that was not looked
    at or could not be told; ``before`` the same of the look before. ``deployed`` are the watch's releases: whether
    each can answer users now. ``others_answer``: a release that is not the watch's can. ``occupied`` are the numbers
    of such releases. ``taken`` were deployed since they were found, though some may be expired or deleted by now.
    """

    found: Mapping[int, str | None]
    before: Mapping[int, str | None] = field(default_factory=dict)
    deployed: Mapping[int, bool] = field(default_factory=dict)
    others_answer: bool = False
    occupied: AbstractSet[int] = frozenset()
    taken: AbstractSet[int] = frozenset()
    loading: AbstractSet[int] = frozenset()
    failures: Mapping[int, Failure] = field(default_factory=dict)


class Step(enum.Enum):
    """What becomes of a version now. The first four change something."""

    DEPLOY = "DEPLOY"
    CANCEL = "CANCEL"  # its load: it is no longer wanted
    RETIRE = "RETIRE"  # delete its release
    FORGET = "FORGET"  # that it was ever deployed: should it be wanted again, it is new
    SERVE = "SERVE"
    KEEP = "KEEP"  # it should go, but stays until others can do without it
    LOAD = "LOAD"
    WAIT = "WAIT"  # until its directory rests, or for its turn
    RETRY = "RETRY"  # later: it failed
    REST = "REST"  # not served: not wanted, or expired or deleted since


@dataclass(frozen=True, slots=True)
class Verdict:
    """One version, what becomes of it, and why."""

    version: int
    step: Step
    reason: str | None = None


def plan_versions(policy: VersionPolicy, seen: ObservedVersions, now_ms: int) -> list[Verdict]:
    """A verdict for every version, by number.

    One version is deployed at a time, lowest first, so that the highest becomes valid last. A directory must look the
    same in two looks in succession before it is deployed. No release goes unless one that stays can answer; one that
    is there but no longer wanted goes once all that are wanted have had their turn.
    """
    wanted = wanted_versions(policy, seen.found)
    kept = _kept(wanted, seen)
    successor = _successor(wanted, seen, now_ms) if kept else None
    verdicts: list[Verdict] = []
    busy = bool(seen.loading)
    for version in sorted(seen.found.keys() | seen.deployed.keys() | seen.loading | seen.taken):
        verdict = _verdict(version, wanted, kept, successor, seen, now_ms)
        if verdict.step is Step.DEPLOY:
            if busy:
                verdict = Verdict(version, Step.WAIT, "waits for its turn")
            busy = True
        verdicts.append(verdict)
    return verdicts


def _kept(wanted: frozenset[int], seen: ObservedVersions) -> dict[int, str]:
    """Releases that should go and may not yet, with the reason."""
    going = seen.deployed.keys() - wanted
    due = wanted - seen.deployed.keys() - seen.taken - seen.occupied
    someone_answers = seen.others_answer or any(seen.deployed[n] for n in seen.deployed.keys() & wanted)
    kept: dict[int, str] = {}
    for version in going:
        why = "is no longer wanted" if version in seen.found else "is gone from the directory"
        if not someone_answers:
            kept[version] = f"{why}, but no other release can answer: it stays until one can"
        elif due and version in seen.found:
            kept[version] = f"{why}, and goes when {', '.join(map(str, sorted(due)))} can answer"
    return kept


def _successor(wanted: frozenset[int], seen: ObservedVersions, now_ms: int) -> int | None:
    """The version to bring back for those that may go only then: the highest wanted one that expired or was deleted."""
    if wanted & (seen.deployed.keys() | seen.loading):
        return None
    return max((n for n in wanted & seen.taken if not _pausing(n, seen, now_ms)), default=None)


def _pausing(version: int, seen: ObservedVersions, now_ms: int) -> bool:
    failure = seen.failures.get(version)
    return failure is not None and failure.fingerprint == seen.found.get(version) and now_ms < failure.retry_at_ms


def _verdict(
    version: int,
    wanted: frozenset[int],
    kept: Mapping[int, str],
    successor: int | None,
    seen: ObservedVersions,
    now_ms: int,
) -> Verdict:
    if version in seen.deployed:
        if version in wanted:
            return Verdict(version, Step.SERVE)
        return Verdict(version, Step.KEEP, kept[version]) if version in kept else Verdict(version, Step.RETIRE)
    if version in seen.loading:
        return Verdict(version, Step.LOAD if version in wanted else Step.CANCEL)
    if version not in wanted:
        if version in seen.taken:
            return Verdict(version, Step.FORGET)
        return Verdict(version, Step.REST, "the version policy does not want it")
    if version in seen.occupied:
        return Verdict(version, Step.REST, f"a release {version} that came from elsewhere is there already")
    if version in seen.taken and version != successor:
        return Verdict(version, Step.REST, "expired or deleted since it was deployed")
    fingerprint = seen.found[version]
    if fingerprint is None or fingerprint != seen.before.get(version):
        return Verdict(version, Step.WAIT, "its directory must be the same in two looks in succession")
    if _pausing(version, seen, now_ms):
        return Verdict(version, Step.RETRY, seen.failures[version].message)
    return Verdict(version, Step.DEPLOY)


# --- what users are told --------------------------------------------------------------------------------------------


class VersionState(enum.Enum):
    """Where a version stands."""

    WAITING = "WAITING"  # found, not yet deployed
    LOADING = ServableState.LOADING.value
    AVAILABLE = ServableState.AVAILABLE.value
    FAILED = ServableState.FAILED.value
    RETIRED = ServableState.RETIRED.value  # there, but not served


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version: where it stands, and why if that is not plain."""

    version: int
    state: VersionState
    message: str | None = None


@dataclass(frozen=True, slots=True)
class VersionsReport:
    """A watch and its versions. ``looked_at_ms``: the last look that could read the directory; ``message``: why none
    can now.
    """

    watch: Watch
    versions: tuple[VersionStatus, ...] = ()
    looked_at_ms: int | None = None
    message: str | None = None
