from forestflow._gen import contract_pb2 as _contract_pb2
from forestflow._gen import plans_pb2 as _plans_pb2
from forestflow._gen import responses_pb2 as _responses_pb2
from forestflow._gen import servable_pb2 as _servable_pb2
from forestflow._gen import serve_request_pb2 as _serve_request_pb2
from forestflow._gen import settings_pb2 as _settings_pb2
from forestflow._gen import versions_pb2 as _versions_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ContractRequest(_message.Message):
    __slots__ = ("contract",)
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ...) -> None: ...

class ServableRequest(_message.Message):
    __slots__ = ("fqrv",)
    FQRV_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ...) -> None: ...

class ListContractsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ContractSettingsRequest(_message.Message):
    __slots__ = ("contract", "settings")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    settings: _settings_pb2.ContractSettings
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., settings: _Optional[_Union[_settings_pb2.ContractSettings, _Mapping]] = ...) -> None: ...

class DeployResponse(_message.Message):
    __slots__ = ("created", "versions")
    CREATED_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    created: _responses_pb2.ServableCreatedSuccessfully
    versions: _versions_pb2.VersionsStatus
    def __init__(self, created: _Optional[_Union[_responses_pb2.ServableCreatedSuccessfully, _Mapping]] = ..., versions: _Optional[_Union[_versions_pb2.VersionsStatus, _Mapping]] = ...) -> None: ...

class UpdateServableRequest(_message.Message):
    __slots__ = ("fqrv", "policy", "logging", "shadow")
    FQRV_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    LOGGING_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    policy: _settings_pb2.PolicySettings
    logging: _settings_pb2.LoggingSettings
    shadow: _settings_pb2.ShadowSettings
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., policy: _Optional[_Union[_settings_pb2.PolicySettings, _Mapping]] = ..., logging: _Optional[_Union[_settings_pb2.LoggingSettings, _Mapping]] = ..., shadow: _Optional[_Union[_settings_pb2.ShadowSettings, _Mapping]] = ...) -> None: ...

class ReportMetricsRequest(_message.Message):
    __slots__ = ("fqrv", "reports")
    FQRV_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    reports: _plans_pb2.MetricReports
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., reports: _Optional[_Union[_plans_pb2.MetricReports, _Mapping]] = ...) -> None: ...

class UpdateVersionsRequest(_message.Message):
    __slots__ = ("contract", "update")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    update: _versions_pb2.VersionsUpdate
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., update: _Optional[_Union[_versions_pb2.VersionsUpdate, _Mapping]] = ...) -> None: ...

class SimulateRequest(_message.Message):
    __slots__ = ("contract", "simulation")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    SIMULATION_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    simulation: _plans_pb2.SimulationRequest
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., simulation: _Optional[_Union[_plans_pb2.SimulationRequest, _Mapping]] = ...) -> None: ...

class RollbackContractRequest(_message.Message):
    __slots__ = ("contract", "rollback")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    rollback: _plans_pb2.RollbackRequest
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., rollback: _Optional[_Union[_plans_pb2.RollbackRequest, _Mapping]] = ...) -> None: ...

class ReleaseState(_message.Message):
    __slots__ = ("status", "valid", "became_valid_at_ms", "phase_in_pct", "weight", "share", "shadows")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    BECAME_VALID_AT_MS_FIELD_NUMBER: _ClassVar[int]
    PHASE_IN_PCT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    status: _servable_pb2.ServableStatus
    valid: bool
    became_valid_at_ms: int
    phase_in_pct: int
    weight: int
    share: float
    shadows: bool
    def __init__(self, status: _Optional[_Union[_servable_pb2.ServableStatus, _Mapping]] = ..., valid: _Optional[bool] = ..., became_valid_at_ms: _Optional[int] = ..., phase_in_pct: _Optional[int] = ..., weight: _Optional[int] = ..., share: _Optional[float] = ..., shadows: _Optional[bool] = ...) -> None: ...

class ContractState(_message.Message):
    __slots__ = ("contract", "settings", "releases", "deleted")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    settings: _settings_pb2.ContractSettings
    releases: _containers.RepeatedCompositeFieldContainer[ReleaseState]
    deleted: bool
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., settings: _Optional[_Union[_settings_pb2.ContractSettings, _Mapping]] = ..., releases: _Optional[_Iterable[_Union[ReleaseState, _Mapping]]] = ..., deleted: _Optional[bool] = ...) -> None: ...

class ServableDescription(_message.Message):
    __slots__ = ("status", "settings")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    status: _servable_pb2.ServableStatus
    settings: _settings_pb2.ServableSettings
    def __init__(self, status: _Optional[_Union[_servable_pb2.ServableStatus, _Mapping]] = ..., settings: _Optional[_Union[_settings_pb2.ServableSettings, _Mapping]] = ...) -> None: ...

class ReplicasResponse(_message.Message):
    __slots__ = ("replicas",)
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    replicas: _containers.RepeatedCompositeFieldContainer[_servable_pb2.ReplicaStatus]
    def __init__(self, replicas: _Optional[_Iterable[_Union[_servable_pb2.ReplicaStatus, _Mapping]]] = ...) -> None: ...
