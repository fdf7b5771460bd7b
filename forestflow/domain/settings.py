"""Settings that users give to contracts and servables: which policies, how they are hosted, logged and shadowed."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.independence import IndependentRows
from forestflow.domain.policies.expiration import ExpirationPolicy, KeepLatest
from forestflow.domain.policies.phase_in import ImmediatePhaseIn, PhaseInPolicy
from forestflow.domain.policies.routers import ContractRouter, FairPhaseInPctBasedRouter, PerformanceRouter
from forestflow.domain.policies.validity import ImmediatelyValid, ValidityRule


class Routing(enum.IntEnum):
    """What is routed as one: a whole batch, or each record of it."""

    BATCH = 1
    RECORD = 2


MAX_WINDOW = 1000


@dataclass(frozen=True, slots=True)
class MetricSettings:
    """How reported values become one number: the mean of the last ``window`` reports, weighted by their counts, or
    (with ``alpha``) an exponential mean in which each report has that weight. ``default`` names the metric meant where
    none is named.
    """

    default: str | None = None
    window: int = 100
    alpha: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.window <= MAX_WINDOW:
            raise InvalidSettings(f"window must be in 1..{MAX_WINDOW}, got {self.window}")
        if self.alpha is not None and not 0 < self.alpha <= 1:
            raise InvalidSettings(f"alpha must be over 0 and at most 1, got {self.alpha}")
        if self.default == "":
            raise InvalidSettings("the default metric must not be empty")


@dataclass(frozen=True, slots=True)
class ContractSettings:
    """How a contract expires and routes; the defaults are the original's for a deploy that gives none."""

    expiration_policy: ExpirationPolicy = field(default_factory=lambda: KeepLatest(1))
    router: ContractRouter = field(default_factory=FairPhaseInPctBasedRouter)
    routing: Routing = Routing.BATCH
    metrics: MetricSettings = MetricSettings()

    def __post_init__(self) -> None:
        if isinstance(self.router, PerformanceRouter) and self.router.metric is None and self.metrics.default is None:
            raise InvalidSettings("PerformanceRouter needs a metric, of its own or the contract's default")


# --- servables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """All ``validity_policy`` rules must hold before ``phase_in_policy`` starts."""

    validity_policy: tuple[ValidityRule, ...] = (ImmediatelyValid(),)
    phase_in_policy: PhaseInPolicy = field(default_factory=ImmediatePhaseIn)


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
    """What Ray reserves for one replica; ``memory_mb`` also caps the heap of a JVM. ``None``: not reserved.

    ``threads`` is how many the model computes with; ``None``: one per CPU reserved, at least one, so that the replicas
    of a node do not fight for its cores.
    """

    cpu: float | None = None
    gpu: float | None = None
    memory_mb: int | None = None
    threads: int | None = None

    @property
    def compute_threads(self) -> int:
        """How many threads the model may compute with."""
        return self.threads or max(1, int(self.cpu or 1))

    def __post_init__(self) -> None:
        if self.threads is not None and not 1 <= self.threads <= 4096:
            raise InvalidSettings(f"resources.threads must be in 1..4096, got {self.threads}")
        for name, value in (("cpu", self.cpu), ("gpu", self.gpu), ("memoryMB", self.memory_mb)):
            if value is not None and (value < 0 or not math.isfinite(value)):
                raise InvalidSettings(f"resources.{name} must be a finite number of at least 0, got {value}")


@dataclass(frozen=True, slots=True)
class Merging:
    """How requests that wait in a replica run as one batch.

    ``max_rows`` of one batch (``None``: as many as the model scores in a few milliseconds; 1: nothing is merged).
    ``max_wait_ms`` that a request waits for others though the model is free. ``independent_rows`` says whether rows
    may be merged, and long requests cut into slices, at all.
    """

    max_rows: int | None = None
    max_wait_ms: float = 0.0
    independent_rows: IndependentRows = IndependentRows.AUTO

    def __post_init__(self) -> None:
        if self.max_rows is not None and not 1 <= self.max_rows <= 1_000_000:
            raise InvalidSettings(f"merging.maxRows must be in 1..1000000, got {self.max_rows}")
        if not 0 <= self.max_wait_ms <= 10_000:
            raise InvalidSettings(f"merging.maxWaitMS must be in 0..10000, got {self.max_wait_ms:g}")


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
    merging: Merging = field(default_factory=Merging)

    def __post_init__(self) -> None:
        if not 1 <= self.replicas <= 1000:
            raise InvalidSettings(f"deploymentSettings.replicas must be in 1..1000, got {self.replicas}")
        if self.max_queued is not None and self.max_queued < 1:
            raise InvalidSettings(f"deploymentSettings.maxQueued must be at least 1, got {self.max_queued}")
        if self.timeout_seconds is not None and not 0 < self.timeout_seconds <= 86_400:
            raise InvalidSettings("deploymentSettings.timeoutSeconds must be over 0 and at most 86400")


@dataclass(frozen=True, slots=True)
class ShadowSettings:
    """Whether and how much a release shadows the requests that others answer.

    ``enabled`` ``None``: as in the original, when its predictions are logged. ``sample_percent`` of the requests are
    shadowed; at most ``max_backlog`` shadows wait in a replica, then the oldest is dropped.
    """

    enabled: bool | None = None
    sample_percent: int = 100
    max_backlog: int = 256

    def __post_init__(self) -> None:
        if not 0 <= self.sample_percent <= 100:
            raise InvalidSettings(f"samplePercent must be in 0..100, got {self.sample_percent}")
        if not 0 <= self.max_backlog <= 1_000_000:
            raise InvalidSettings(f"maxBacklog must be in 0..1000000, got {self.max_backlog}")


class UnknownFields(enum.IntEnum):
    """What becomes of a request with fields that the model does not have, beside some that it has.

    IGNORE and WARN score it without them; WARN reports them in the answer and in the log. REFUSE answers an error, as
    all do where no field is one of the model's.
    """

    IGNORE = 1
    WARN = 2
    REFUSE = 3


@dataclass(frozen=True, slots=True)
class ServableSettings:
    """All settings of one release. ``logging_settings`` ``None`` means: nothing is logged."""

    policy_settings: PolicySettings = field(default_factory=PolicySettings)
    logging_settings: LoggingSettings | None = None
    deployment_settings: DeploymentSettings = field(default_factory=DeploymentSettings)
    shadow: ShadowSettings = field(default_factory=ShadowSettings)
    unknown_fields: UnknownFields = UnknownFields.WARN

    def __post_init__(self) -> None:
        logging = self.logging_settings
        if logging is not None and logging.log_level is not LogLevel.NONE and not logging.key_features:
            raise InvalidSettings(
                "LogLevel cannot be specified without defining set of features that define the key for logged messages"
            )

    @property
    def shadows(self) -> bool:
        """Whether the release shadows while another one answers."""
        if self.shadow.enabled is not None:
            return self.shadow.enabled
        return self.logging_settings is not None and self.logging_settings.log_level is not LogLevel.NONE
