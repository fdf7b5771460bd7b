from forestflow._gen import contract_pb2 as _contract_pb2
from forestflow._gen import inference_pb2 as _inference_pb2
from forestflow._gen import servable_pb2 as _servable_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScoreRequest(_message.Message):
    __slots__ = ("contract", "request")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    request: _inference_pb2.InferenceRequest
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., request: _Optional[_Union[_inference_pb2.InferenceRequest, _Mapping]] = ...) -> None: ...

class ScoreStreamRequest(_message.Message):
    __slots__ = ("id", "score", "key", "timeout_seconds")
    ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    score: ScoreRequest
    key: str
    timeout_seconds: float
    def __init__(self, id: _Optional[str] = ..., score: _Optional[_Union[ScoreRequest, _Mapping]] = ..., key: _Optional[str] = ..., timeout_seconds: _Optional[float] = ...) -> None: ...

class ScoreStreamResponse(_message.Message):
    __slots__ = ("id", "prediction", "error", "unknown_fields")
    ID_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    prediction: _inference_pb2.Prediction
    error: _status_pb2.Status
    unknown_fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., prediction: _Optional[_Union[_inference_pb2.Prediction, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., unknown_fields: _Optional[_Iterable[str]] = ...) -> None: ...

class MetadataRequest(_message.Message):
    __slots__ = ("contract", "release_version")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    release_version: str
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., release_version: _Optional[str] = ...) -> None: ...

class MetadataResponse(_message.Message):
    __slots__ = ("metadata",)
    METADATA_FIELD_NUMBER: _ClassVar[int]
    metadata: _containers.RepeatedCompositeFieldContainer[_servable_pb2.BasicMetaData]
    def __init__(self, metadata: _Optional[_Iterable[_Union[_servable_pb2.BasicMetaData, _Mapping]]] = ...) -> None: ...

class StatsRequest(_message.Message):
    __slots__ = ("contract",)
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ...) -> None: ...

class StatsResponse(_message.Message):
    __slots__ = ("metrics",)
    METRICS_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[_servable_pb2.ServableMetrics]
    def __init__(self, metrics: _Optional[_Iterable[_Union[_servable_pb2.ServableMetrics, _Mapping]]] = ...) -> None: ...
