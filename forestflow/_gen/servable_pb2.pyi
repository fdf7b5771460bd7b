from forestflow._gen import contract_pb2 as _contract_pb2
from forestflow._gen import inference_pb2 as _inference_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ServableMetrics(_message.Message):
    __slots__ = ("fqrv", "scoreCount", "shadeCount", "createdAtMS", "performanceMetrics", "becameValidAtMS", "currentPhaseInPct", "shadowDropCount", "unscoredCount", "refusedCount")
    class PerformanceMetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    FQRV_FIELD_NUMBER: _ClassVar[int]
    SCORECOUNT_FIELD_NUMBER: _ClassVar[int]
    SHADECOUNT_FIELD_NUMBER: _ClassVar[int]
    CREATEDATMS_FIELD_NUMBER: _ClassVar[int]
    PERFORMANCEMETRICS_FIELD_NUMBER: _ClassVar[int]
    BECAMEVALIDATMS_FIELD_NUMBER: _ClassVar[int]
    CURRENTPHASEINPCT_FIELD_NUMBER: _ClassVar[int]
    SHADOWDROPCOUNT_FIELD_NUMBER: _ClassVar[int]
    UNSCOREDCOUNT_FIELD_NUMBER: _ClassVar[int]
    REFUSEDCOUNT_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    scoreCount: int
    shadeCount: int
    createdAtMS: int
    performanceMetrics: _containers.ScalarMap[str, float]
    becameValidAtMS: int
    currentPhaseInPct: int
    shadowDropCount: int
    unscoredCount: int
    refusedCount: int
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., scoreCount: _Optional[int] = ..., shadeCount: _Optional[int] = ..., createdAtMS: _Optional[int] = ..., performanceMetrics: _Optional[_Mapping[str, float]] = ..., becameValidAtMS: _Optional[int] = ..., currentPhaseInPct: _Optional[int] = ..., shadowDropCount: _Optional[int] = ..., unscoredCount: _Optional[int] = ..., refusedCount: _Optional[int] = ...) -> None: ...

class BasicIOMetadata(_message.Message):
    __slots__ = ("name", "description", "shape", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    type: _inference_pb2.TensorType
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., type: _Optional[_Union[_inference_pb2.TensorType, str]] = ...) -> None: ...

class RowIndependence(_message.Message):
    __slots__ = ("signature", "independent", "reason")
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    INDEPENDENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    signature: str
    independent: bool
    reason: str
    def __init__(self, signature: _Optional[str] = ..., independent: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class BasicMetaData(_message.Message):
    __slots__ = ("fqrv", "name", "server", "description", "inputs", "outputs", "rows", "warnings")
    FQRV_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    name: str
    server: str
    description: str
    inputs: _containers.RepeatedCompositeFieldContainer[BasicIOMetadata]
    outputs: _containers.RepeatedCompositeFieldContainer[BasicIOMetadata]
    rows: _containers.RepeatedCompositeFieldContainer[RowIndependence]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., name: _Optional[str] = ..., server: _Optional[str] = ..., description: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[BasicIOMetadata, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[BasicIOMetadata, _Mapping]]] = ..., rows: _Optional[_Iterable[_Union[RowIndependence, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ServableMetaDataShim(_message.Message):
    __slots__ = ("BasicMetaData",)
    BASICMETADATA_FIELD_NUMBER: _ClassVar[int]
    BasicMetaData: BasicMetaData
    def __init__(self, BasicMetaData: _Optional[_Union[BasicMetaData, _Mapping]] = ...) -> None: ...

class ServableStatus(_message.Message):
    __slots__ = ("fqrv", "state", "desiredReplicas", "replicas", "message", "rows")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LOADING: _ClassVar[ServableStatus.State]
        AVAILABLE: _ClassVar[ServableStatus.State]
        FAILED: _ClassVar[ServableStatus.State]
        RETIRED: _ClassVar[ServableStatus.State]
    LOADING: ServableStatus.State
    AVAILABLE: ServableStatus.State
    FAILED: ServableStatus.State
    RETIRED: ServableStatus.State
    class Replica(_message.Message):
        __slots__ = ()
        class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            STARTING: _ClassVar[ServableStatus.Replica.State]
            LOADING: _ClassVar[ServableStatus.Replica.State]
            READY: _ClassVar[ServableStatus.Replica.State]
            LOST: _ClassVar[ServableStatus.Replica.State]
            FAILED: _ClassVar[ServableStatus.Replica.State]
            DRAINING: _ClassVar[ServableStatus.Replica.State]
            STOPPED: _ClassVar[ServableStatus.Replica.State]
        STARTING: ServableStatus.Replica.State
        LOADING: ServableStatus.Replica.State
        READY: ServableStatus.Replica.State
        LOST: ServableStatus.Replica.State
        FAILED: ServableStatus.Replica.State
        DRAINING: ServableStatus.Replica.State
        STOPPED: ServableStatus.Replica.State
        def __init__(self) -> None: ...
    FQRV_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DESIREDREPLICAS_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    state: ServableStatus.State
    desiredReplicas: int
    replicas: _containers.RepeatedScalarFieldContainer[ServableStatus.Replica.State]
    message: str
    rows: _containers.RepeatedCompositeFieldContainer[RowIndependence]
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., state: _Optional[_Union[ServableStatus.State, str]] = ..., desiredReplicas: _Optional[int] = ..., replicas: _Optional[_Iterable[_Union[ServableStatus.Replica.State, str]]] = ..., message: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[RowIndependence, _Mapping]]] = ...) -> None: ...

class ReplicaStatus(_message.Message):
    __slots__ = ("fqrv", "replica", "state", "pid", "queued", "shadowBacklog", "batchSizes", "message")
    class BatchSize(_message.Message):
        __slots__ = ("minRows", "maxRows", "calls")
        MINROWS_FIELD_NUMBER: _ClassVar[int]
        MAXROWS_FIELD_NUMBER: _ClassVar[int]
        CALLS_FIELD_NUMBER: _ClassVar[int]
        minRows: int
        maxRows: int
        calls: int
        def __init__(self, minRows: _Optional[int] = ..., maxRows: _Optional[int] = ..., calls: _Optional[int] = ...) -> None: ...
    FQRV_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    SHADOWBACKLOG_FIELD_NUMBER: _ClassVar[int]
    BATCHSIZES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    replica: str
    state: ServableStatus.Replica.State
    pid: int
    queued: int
    shadowBacklog: int
    batchSizes: _containers.RepeatedCompositeFieldContainer[ReplicaStatus.BatchSize]
    message: str
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., replica: _Optional[str] = ..., state: _Optional[_Union[ServableStatus.Replica.State, str]] = ..., pid: _Optional[int] = ..., queued: _Optional[int] = ..., shadowBacklog: _Optional[int] = ..., batchSizes: _Optional[_Iterable[_Union[ReplicaStatus.BatchSize, _Mapping]]] = ..., message: _Optional[str] = ...) -> None: ...
