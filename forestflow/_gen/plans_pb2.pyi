from forestflow._gen import contract_pb2 as _contract_pb2
from forestflow._gen import settings_pb2 as _settings_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricSample(_message.Message):
    __slots__ = ("name", "value", "time_ms", "count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    time_ms: int
    count: int
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., time_ms: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class MetricReports(_message.Message):
    __slots__ = ("metrics", "replace")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[MetricSample]
    replace: bool
    def __init__(self, metrics: _Optional[_Iterable[_Union[MetricSample, _Mapping]]] = ..., replace: _Optional[bool] = ...) -> None: ...

class RuleExplanation(_message.Message):
    __slots__ = ("rule", "holds", "detail", "changesAtMS")
    RULE_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CHANGESATMS_FIELD_NUMBER: _ClassVar[int]
    rule: str
    holds: bool
    detail: str
    changesAtMS: int
    def __init__(self, rule: _Optional[str] = ..., holds: _Optional[bool] = ..., detail: _Optional[str] = ..., changesAtMS: _Optional[int] = ...) -> None: ...

class ReleaseExplanation(_message.Message):
    __slots__ = ("fqrv", "weight", "share", "shadows", "valid", "becameValidAtMS", "phaseInPct", "rules", "reason", "changesAtMS")
    FQRV_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    BECAMEVALIDATMS_FIELD_NUMBER: _ClassVar[int]
    PHASEINPCT_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CHANGESATMS_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    weight: int
    share: float
    shadows: bool
    valid: bool
    becameValidAtMS: int
    phaseInPct: int
    rules: _containers.RepeatedCompositeFieldContainer[RuleExplanation]
    reason: str
    changesAtMS: int
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., weight: _Optional[int] = ..., share: _Optional[float] = ..., shadows: _Optional[bool] = ..., valid: _Optional[bool] = ..., becameValidAtMS: _Optional[int] = ..., phaseInPct: _Optional[int] = ..., rules: _Optional[_Iterable[_Union[RuleExplanation, _Mapping]]] = ..., reason: _Optional[str] = ..., changesAtMS: _Optional[int] = ...) -> None: ...

class PlanExplanation(_message.Message):
    __slots__ = ("contract", "atMS", "releases", "expiring")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    ATMS_FIELD_NUMBER: _ClassVar[int]
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    EXPIRING_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    atMS: int
    releases: _containers.RepeatedCompositeFieldContainer[ReleaseExplanation]
    expiring: _containers.RepeatedCompositeFieldContainer[_contract_pb2.FQRV]
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., atMS: _Optional[int] = ..., releases: _Optional[_Iterable[_Union[ReleaseExplanation, _Mapping]]] = ..., expiring: _Optional[_Iterable[_Union[_contract_pb2.FQRV, _Mapping]]] = ...) -> None: ...

class SimulationRequest(_message.Message):
    __slots__ = ("contract_settings", "policies", "horizon_secs", "step_secs", "events_per_second")
    class PoliciesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _settings_pb2.PolicySettings
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_settings_pb2.PolicySettings, _Mapping]] = ...) -> None: ...
    CONTRACT_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    HORIZON_SECS_FIELD_NUMBER: _ClassVar[int]
    STEP_SECS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    contract_settings: _settings_pb2.ContractSettings
    policies: _containers.MessageMap[str, _settings_pb2.PolicySettings]
    horizon_secs: int
    step_secs: int
    events_per_second: float
    def __init__(self, contract_settings: _Optional[_Union[_settings_pb2.ContractSettings, _Mapping]] = ..., policies: _Optional[_Mapping[str, _settings_pb2.PolicySettings]] = ..., horizon_secs: _Optional[int] = ..., step_secs: _Optional[int] = ..., events_per_second: _Optional[float] = ...) -> None: ...

class ReleaseShare(_message.Message):
    __slots__ = ("fqrv", "share")
    FQRV_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    share: float
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., share: _Optional[float] = ...) -> None: ...

class TimelinePoint(_message.Message):
    __slots__ = ("atMS", "shares", "valid", "expired")
    ATMS_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    atMS: int
    shares: _containers.RepeatedCompositeFieldContainer[ReleaseShare]
    valid: _containers.RepeatedCompositeFieldContainer[_contract_pb2.FQRV]
    expired: _containers.RepeatedCompositeFieldContainer[_contract_pb2.FQRV]
    def __init__(self, atMS: _Optional[int] = ..., shares: _Optional[_Iterable[_Union[ReleaseShare, _Mapping]]] = ..., valid: _Optional[_Iterable[_Union[_contract_pb2.FQRV, _Mapping]]] = ..., expired: _Optional[_Iterable[_Union[_contract_pb2.FQRV, _Mapping]]] = ...) -> None: ...

class Simulation(_message.Message):
    __slots__ = ("contract", "points")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    points: _containers.RepeatedCompositeFieldContainer[TimelinePoint]
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., points: _Optional[_Iterable[_Union[TimelinePoint, _Mapping]]] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...
