from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NONE: _ClassVar[LogLevel]
    FULL: _ClassVar[LogLevel]
    SAMPLE: _ClassVar[LogLevel]

class UnknownFields(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IGNORE: _ClassVar[UnknownFields]
    WARN: _ClassVar[UnknownFields]
    REFUSE: _ClassVar[UnknownFields]

class Ordering(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DESC: _ClassVar[Ordering]
    ASC: _ClassVar[Ordering]

class Routing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BATCH: _ClassVar[Routing]
    RECORD: _ClassVar[Routing]
NONE: LogLevel
FULL: LogLevel
SAMPLE: LogLevel
IGNORE: UnknownFields
WARN: UnknownFields
REFUSE: UnknownFields
DESC: Ordering
ASC: Ordering
BATCH: Routing
RECORD: Routing

class ImmediatelyValid(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NeverValid(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TimeBasedValidity(_message.Message):
    __slots__ = ("validAfterMS",)
    VALIDAFTERMS_FIELD_NUMBER: _ClassVar[int]
    validAfterMS: int
    def __init__(self, validAfterMS: _Optional[int] = ...) -> None: ...

class PerformanceBasedValidity(_message.Message):
    __slots__ = ("minThreshold", "metric")
    MINTHRESHOLD_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    minThreshold: float
    metric: str
    def __init__(self, minThreshold: _Optional[float] = ..., metric: _Optional[str] = ...) -> None: ...

class MinServedEventsBasedValidity(_message.Message):
    __slots__ = ("validAfterMinServedEvents",)
    VALIDAFTERMINSERVEDEVENTS_FIELD_NUMBER: _ClassVar[int]
    validAfterMinServedEvents: int
    def __init__(self, validAfterMinServedEvents: _Optional[int] = ...) -> None: ...

class ValidityRuleShim(_message.Message):
    __slots__ = ("ImmediatelyValid", "NeverValid", "TimeBasedValidity", "PerformanceBasedValidity", "MinServedEventsBasedValidity")
    IMMEDIATELYVALID_FIELD_NUMBER: _ClassVar[int]
    NEVERVALID_FIELD_NUMBER: _ClassVar[int]
    TIMEBASEDVALIDITY_FIELD_NUMBER: _ClassVar[int]
    PERFORMANCEBASEDVALIDITY_FIELD_NUMBER: _ClassVar[int]
    MINSERVEDEVENTSBASEDVALIDITY_FIELD_NUMBER: _ClassVar[int]
    ImmediatelyValid: ImmediatelyValid
    NeverValid: NeverValid
    TimeBasedValidity: TimeBasedValidity
    PerformanceBasedValidity: PerformanceBasedValidity
    MinServedEventsBasedValidity: MinServedEventsBasedValidity
    def __init__(self, ImmediatelyValid: _Optional[_Union[ImmediatelyValid, _Mapping]] = ..., NeverValid: _Optional[_Union[NeverValid, _Mapping]] = ..., TimeBasedValidity: _Optional[_Union[TimeBasedValidity, _Mapping]] = ..., PerformanceBasedValidity: _Optional[_Union[PerformanceBasedValidity, _Mapping]] = ..., MinServedEventsBasedValidity: _Optional[_Union[MinServedEventsBasedValidity, _Mapping]] = ...) -> None: ...

class ImmediatePhaseIn(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LinearTimeBasedPhaseIn(_message.Message):
    __slots__ = ("phase_in_over_secs",)
    PHASE_IN_OVER_SECS_FIELD_NUMBER: _ClassVar[int]
    phase_in_over_secs: int
    def __init__(self, phase_in_over_secs: _Optional[int] = ...) -> None: ...

class PhaseInStep(_message.Message):
    __slots__ = ("afterSecs", "percent")
    AFTERSECS_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    afterSecs: int
    percent: int
    def __init__(self, afterSecs: _Optional[int] = ..., percent: _Optional[int] = ...) -> None: ...

class StepPhaseIn(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[PhaseInStep]
    def __init__(self, steps: _Optional[_Iterable[_Union[PhaseInStep, _Mapping]]] = ...) -> None: ...

class ManualPhaseIn(_message.Message):
    __slots__ = ("percent",)
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    percent: int
    def __init__(self, percent: _Optional[int] = ...) -> None: ...

class PhaseInPolicyShim(_message.Message):
    __slots__ = ("ImmediatePhaseIn", "LinearTimeBasedPhaseIn", "StepPhaseIn", "ManualPhaseIn")
    IMMEDIATEPHASEIN_FIELD_NUMBER: _ClassVar[int]
    LINEARTIMEBASEDPHASEIN_FIELD_NUMBER: _ClassVar[int]
    STEPPHASEIN_FIELD_NUMBER: _ClassVar[int]
    MANUALPHASEIN_FIELD_NUMBER: _ClassVar[int]
    ImmediatePhaseIn: ImmediatePhaseIn
    LinearTimeBasedPhaseIn: LinearTimeBasedPhaseIn
    StepPhaseIn: StepPhaseIn
    ManualPhaseIn: ManualPhaseIn
    def __init__(self, ImmediatePhaseIn: _Optional[_Union[ImmediatePhaseIn, _Mapping]] = ..., LinearTimeBasedPhaseIn: _Optional[_Union[LinearTimeBasedPhaseIn, _Mapping]] = ..., StepPhaseIn: _Optional[_Union[StepPhaseIn, _Mapping]] = ..., ManualPhaseIn: _Optional[_Union[ManualPhaseIn, _Mapping]] = ...) -> None: ...

class PolicySettings(_message.Message):
    __slots__ = ("validityPolicy", "phaseInPolicy")
    VALIDITYPOLICY_FIELD_NUMBER: _ClassVar[int]
    PHASEINPOLICY_FIELD_NUMBER: _ClassVar[int]
    validityPolicy: _containers.RepeatedCompositeFieldContainer[ValidityRuleShim]
    phaseInPolicy: PhaseInPolicyShim
    def __init__(self, validityPolicy: _Optional[_Iterable[_Union[ValidityRuleShim, _Mapping]]] = ..., phaseInPolicy: _Optional[_Union[PhaseInPolicyShim, _Mapping]] = ...) -> None: ...

class LoggingSettings(_message.Message):
    __slots__ = ("logLevel", "keyFeatures", "keyFeaturesSeparator")
    LOGLEVEL_FIELD_NUMBER: _ClassVar[int]
    KEYFEATURES_FIELD_NUMBER: _ClassVar[int]
    KEYFEATURESSEPARATOR_FIELD_NUMBER: _ClassVar[int]
    logLevel: LogLevel
    keyFeatures: _containers.RepeatedScalarFieldContainer[str]
    keyFeaturesSeparator: str
    def __init__(self, logLevel: _Optional[_Union[LogLevel, str]] = ..., keyFeatures: _Optional[_Iterable[str]] = ..., keyFeaturesSeparator: _Optional[str] = ...) -> None: ...

class Resources(_message.Message):
    __slots__ = ("cpu", "gpu", "memoryMB", "threads")
    CPU_FIELD_NUMBER: _ClassVar[int]
    GPU_FIELD_NUMBER: _ClassVar[int]
    MEMORYMB_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    cpu: float
    gpu: float
    memoryMB: int
    threads: int
    def __init__(self, cpu: _Optional[float] = ..., gpu: _Optional[float] = ..., memoryMB: _Optional[int] = ..., threads: _Optional[int] = ...) -> None: ...

class Merging(_message.Message):
    __slots__ = ("maxRows", "maxWaitMS", "independentRows")
    class IndependentRows(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        auto: _ClassVar[Merging.IndependentRows]
        yes: _ClassVar[Merging.IndependentRows]
        no: _ClassVar[Merging.IndependentRows]
    auto: Merging.IndependentRows
    yes: Merging.IndependentRows
    no: Merging.IndependentRows
    MAXROWS_FIELD_NUMBER: _ClassVar[int]
    MAXWAITMS_FIELD_NUMBER: _ClassVar[int]
    INDEPENDENTROWS_FIELD_NUMBER: _ClassVar[int]
    maxRows: int
    maxWaitMS: float
    independentRows: Merging.IndependentRows
    def __init__(self, maxRows: _Optional[int] = ..., maxWaitMS: _Optional[float] = ..., independentRows: _Optional[_Union[Merging.IndependentRows, str]] = ...) -> None: ...

class DeploymentSettings(_message.Message):
    __slots__ = ("replicas", "resources", "maxQueued", "timeoutSeconds", "merging")
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    MAXQUEUED_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTSECONDS_FIELD_NUMBER: _ClassVar[int]
    MERGING_FIELD_NUMBER: _ClassVar[int]
    replicas: int
    resources: Resources
    maxQueued: int
    timeoutSeconds: float
    merging: Merging
    def __init__(self, replicas: _Optional[int] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., maxQueued: _Optional[int] = ..., timeoutSeconds: _Optional[float] = ..., merging: _Optional[_Union[Merging, _Mapping]] = ...) -> None: ...

class ShadowSettings(_message.Message):
    __slots__ = ("enabled", "samplePercent", "maxBacklog")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    SAMPLEPERCENT_FIELD_NUMBER: _ClassVar[int]
    MAXBACKLOG_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    samplePercent: int
    maxBacklog: int
    def __init__(self, enabled: _Optional[bool] = ..., samplePercent: _Optional[int] = ..., maxBacklog: _Optional[int] = ...) -> None: ...

class ServableSettings(_message.Message):
    __slots__ = ("policySettings", "loggingSettings", "deploymentSettings", "shadow", "unknownFields")
    POLICYSETTINGS_FIELD_NUMBER: _ClassVar[int]
    LOGGINGSETTINGS_FIELD_NUMBER: _ClassVar[int]
    DEPLOYMENTSETTINGS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    UNKNOWNFIELDS_FIELD_NUMBER: _ClassVar[int]
    policySettings: PolicySettings
    loggingSettings: LoggingSettings
    deploymentSettings: DeploymentSettings
    shadow: ShadowSettings
    unknownFields: UnknownFields
    def __init__(self, policySettings: _Optional[_Union[PolicySettings, _Mapping]] = ..., loggingSettings: _Optional[_Union[LoggingSettings, _Mapping]] = ..., deploymentSettings: _Optional[_Union[DeploymentSettings, _Mapping]] = ..., shadow: _Optional[_Union[ShadowSettings, _Mapping]] = ..., unknownFields: _Optional[_Union[UnknownFields, str]] = ...) -> None: ...

class KeepLatest(_message.Message):
    __slots__ = ("servablesToKeep",)
    SERVABLESTOKEEP_FIELD_NUMBER: _ClassVar[int]
    servablesToKeep: int
    def __init__(self, servablesToKeep: _Optional[int] = ...) -> None: ...

class KeepTopRanked(_message.Message):
    __slots__ = ("servablesToKeep", "metricToEvaluate", "ordering")
    SERVABLESTOKEEP_FIELD_NUMBER: _ClassVar[int]
    METRICTOEVALUATE_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    servablesToKeep: int
    metricToEvaluate: str
    ordering: Ordering
    def __init__(self, servablesToKeep: _Optional[int] = ..., metricToEvaluate: _Optional[str] = ..., ordering: _Optional[_Union[Ordering, str]] = ...) -> None: ...

class KeepAll(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MaxAge(_message.Message):
    __slots__ = ("maxAgeSecs",)
    MAXAGESECS_FIELD_NUMBER: _ClassVar[int]
    maxAgeSecs: int
    def __init__(self, maxAgeSecs: _Optional[int] = ...) -> None: ...

class ExpirationPolicyShim(_message.Message):
    __slots__ = ("KeepLatest", "KeepTopRanked", "KeepAll", "MaxAge")
    KEEPLATEST_FIELD_NUMBER: _ClassVar[int]
    KEEPTOPRANKED_FIELD_NUMBER: _ClassVar[int]
    KEEPALL_FIELD_NUMBER: _ClassVar[int]
    MAXAGE_FIELD_NUMBER: _ClassVar[int]
    KeepLatest: KeepLatest
    KeepTopRanked: KeepTopRanked
    KeepAll: KeepAll
    MaxAge: MaxAge
    def __init__(self, KeepLatest: _Optional[_Union[KeepLatest, _Mapping]] = ..., KeepTopRanked: _Optional[_Union[KeepTopRanked, _Mapping]] = ..., KeepAll: _Optional[_Union[KeepAll, _Mapping]] = ..., MaxAge: _Optional[_Union[MaxAge, _Mapping]] = ...) -> None: ...

class FairPhaseInPctBasedRouter(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LatestPhaseInPctBasedRouter(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PerformanceRouter(_message.Message):
    __slots__ = ("metric", "epsilon", "ordering")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    metric: str
    epsilon: float
    ordering: Ordering
    def __init__(self, metric: _Optional[str] = ..., epsilon: _Optional[float] = ..., ordering: _Optional[_Union[Ordering, str]] = ...) -> None: ...

class StickyRouter(_message.Message):
    __slots__ = ("keyConfig",)
    KEYCONFIG_FIELD_NUMBER: _ClassVar[int]
    keyConfig: str
    def __init__(self, keyConfig: _Optional[str] = ...) -> None: ...

class RouterTypeShim(_message.Message):
    __slots__ = ("FairPhaseInPctBasedRouter", "LatestPhaseInPctBasedRouter", "PerformanceRouter", "StickyRouter")
    FAIRPHASEINPCTBASEDROUTER_FIELD_NUMBER: _ClassVar[int]
    LATESTPHASEINPCTBASEDROUTER_FIELD_NUMBER: _ClassVar[int]
    PERFORMANCEROUTER_FIELD_NUMBER: _ClassVar[int]
    STICKYROUTER_FIELD_NUMBER: _ClassVar[int]
    FairPhaseInPctBasedRouter: FairPhaseInPctBasedRouter
    LatestPhaseInPctBasedRouter: LatestPhaseInPctBasedRouter
    PerformanceRouter: PerformanceRouter
    StickyRouter: StickyRouter
    def __init__(self, FairPhaseInPctBasedRouter: _Optional[_Union[FairPhaseInPctBasedRouter, _Mapping]] = ..., LatestPhaseInPctBasedRouter: _Optional[_Union[LatestPhaseInPctBasedRouter, _Mapping]] = ..., PerformanceRouter: _Optional[_Union[PerformanceRouter, _Mapping]] = ..., StickyRouter: _Optional[_Union[StickyRouter, _Mapping]] = ...) -> None: ...

class MetricSettings(_message.Message):
    __slots__ = ("default", "window", "alpha")
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    default: str
    window: int
    alpha: float
    def __init__(self, default: _Optional[str] = ..., window: _Optional[int] = ..., alpha: _Optional[float] = ...) -> None: ...

class ContractSettings(_message.Message):
    __slots__ = ("expirationPolicy", "router", "routing", "metrics")
    EXPIRATIONPOLICY_FIELD_NUMBER: _ClassVar[int]
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    ROUTING_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    expirationPolicy: ExpirationPolicyShim
    router: RouterTypeShim
    routing: Routing
    metrics: MetricSettings
    def __init__(self, expirationPolicy: _Optional[_Union[ExpirationPolicyShim, _Mapping]] = ..., router: _Optional[_Union[RouterTypeShim, _Mapping]] = ..., routing: _Optional[_Union[Routing, str]] = ..., metrics: _Optional[_Union[MetricSettings, _Mapping]] = ...) -> None: ...
