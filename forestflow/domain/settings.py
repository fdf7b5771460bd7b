"""Settings that users give to contracts and servables: policies, routers, logging and deployment."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

from forestflow.domain.errors import InvalidSettings

# --- validity -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ImmediatelyValid:
    """Valid as soon as it is loaded."""


@dataclass(frozen=True, slots=True)
class NeverValid:
    """Never answers users; it may shadow."""


@dataclass(frozen=True, slots=True)
class TimeBasedValidity:
    """Valid ``valid_after_ms`` milliseconds after the release was created."""

    valid_after_ms: int

    def __post_init__(self) -> None:
        if self.valid_after_ms < 0:
            raise InvalidSettings(f"validAfterMS must not be negative, got {self.valid_after_ms}")


@dataclass(frozen=True, slots=True)
class PerformanceBasedValidity:
    """Valid once a reported metric reaches ``min_threshold``."""

    min_threshold: float

    def __post_init__(self) -> None:
        if math.isnan(self.min_threshold):
            raise InvalidSettings("minThreshold must be a number")


@dataclass(frozen=True, slots=True)
class MinServedEventsBasedValidity:
    """Valid once the release has scored plus shaded this many requests."""

    valid_after_min_served_events: int

    def __post_init__(self) -> None:
        if self.valid_after_min_served_events < 0:
            raise InvalidSettings("validAfterMinServedEvents must not be negative")


ValidityRule = (
    ImmediatelyValid | NeverValid | TimeBasedValidity | PerformanceBasedValidity | MinServedEventsBasedValidity
)

# --- phase-in -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ImmediatePhaseIn:
    """100 % of its share from the moment the release is valid."""


@dataclass(frozen=True, slots=True)
class LinearTimeBasedPhaseIn:
    """From 0 to 100 % in ``phase_in_over_secs`` seconds after the release became valid."""

    phase_in_over_secs: int

    def __post_init__(self) -> None:
        if self.phase_in_over_secs < 0:
            raise InvalidSettings("phaseInOverSecs must not be negative")


PhaseInPolicy = ImmediatePhaseIn | LinearTimeBasedPhaseIn

# --- expiration -----------------------------------------------------------------------------------------------------


class Ordering(enum.IntEnum):
    """Which end of a metric is the good one: DESC keeps the highest, ASC the lowest."""

    DESC = 1
    ASC = 2


def _check_keep(servables_to_keep: int) -> None:
    if servables_to_keep < 1:
        raise InvalidSettings(f"servablesToKeep must be at least 1, got {servables_to_keep}")


@dataclass(frozen=True, slots=True)
class KeepLatest:
    """Keep the valid releases that became valid last."""

    servables_to_keep: int

    def __post_init__(self) -> None:
        _check_keep(self.servables_to_keep)


@dataclass(frozen=True, slots=True)
class KeepTopRanked:
    """Keep the best valid releases by a reported metric."""

    servables_to_keep: int
    metric_to_evaluate: str
    ordering: Ordering = Ordering.DESC

    def __post_init__(self) -> None:
        _check_keep(self.servables_to_keep)
        if not self.metric_to_evaluate:
            raise InvalidSettings("metricToEvaluate must not be empty")


ExpirationPolicy = KeepLatest | KeepTopRanked

# --- contract routers -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FairPhaseInPctBasedRouter:
    """Share traffic among all valid releases in proportion to their phase-in percent."""


@dataclass(frozen=True, slots=True)
class LatestPhaseInPctBasedRouter:
    """All traffic to the release that became valid last; shared with the one before it until fully phased in."""


ContractRouter = FairPhaseInPctBasedRouter | LatestPhaseInPctBasedRouter


@dataclass(frozen=True, slots=True)
class ContractSettings:
    """How a contract expires and routes; the defaults are the original's for a deploy that gives none."""

    expiration_policy: ExpirationPolicy = KeepLatest(1)
    router: ContractRouter = FairPhaseInPctBasedRouter()


# --- servables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """All ``validity_policy`` rules must hold before ``phase_in_policy`` starts."""

    validity_policy: tuple[ValidityRule, ...] = (ImmediatelyValid(),)
    phase_in_policy: PhaseInPolicy = ImmediatePhaseIn()


class LogLevel(enum.IntEnum):
    """How much of a release's predictions is logged; the numbers are the original's."""

    NONE = 1
    FULL = 2
    SAMPLE = 3


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """What is logged and which request configs form the log key, joined by ``key_features_separator``."""

    log_level: LogLevel = LogLevel.NONE
    key_features: tuple[str, ...] = ()
    key_features_separator: str = "."


@dataclass(frozen=True, slots=True)
class Resources:
    """What Ray reserves for one replica; ``memory_mb`` also caps the heap of a JVM. ``None``: not reserved."""

    cpu: float | None = None
    gpu: float | None = None
    memory_mb: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("cpu", self.cpu), ("gpu", self.gpu), ("memoryMB", self.memory_mb)):
            if value is not None and (value < 0 or not math.isfinite(value)):
                raise InvalidSettings(f"resources.{name} must be a finite number of at least 0, got {value}")


@dataclass(frozen=True, slots=True)
class DeploymentSettings:
    """How a release is hosted.

    ``max_queued`` bounds the user requests waiting for one replica; over it the answer is 429. ``timeout_seconds``
    is the deadline of requests that give none (``None``: the server's setting).
    """

    replicas: int = 1
    resources: Resources = field(default_factory=Resources)
    max_queued: int | None = None
    timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.replicas <= 1000:
            raise InvalidSettings(f"deploymentSettings.replicas must be in 1..1000, got {self.replicas}")
        if self.max_queued is not None and self.max_queued < 1:
            raise InvalidSettings(f"deploymentSettings.maxQueued must be at least 1, got {self.max_queued}")
        if self.timeout_seconds is not None and not 0 < self.timeout_seconds <= 86_400:
            raise InvalidSettings("deploymentSettings.timeoutSeconds must be over 0 and at most 86400")


@dataclass(frozen=True, slots=True)
class ServableSettings:
    """All settings of one release. ``logging_settings`` ``None`` means: nothing is logged."""

    policy_settings: PolicySettings = field(default_factory=PolicySettings)
    logging_settings: LoggingSettings | None = None
    deployment_settings: DeploymentSettings = field(default_factory=DeploymentSettings)

    def __post_init__(self) -> None:
        logging = self.logging_settings
        if logging is not None and logging.log_level is not LogLevel.NONE and not logging.key_features:
            raise InvalidSettings(
                "LogLevel cannot be specified without defining set of features that define the key for logged messages"
            )
