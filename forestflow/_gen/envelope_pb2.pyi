from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScoreEnvelope(_message.Message):
    __slots__ = ("contract", "request")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    contract: _containers.RepeatedScalarFieldContainer[bytes]
    request: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, contract: _Optional[_Iterable[bytes]] = ..., request: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ScoreStreamEnvelope(_message.Message):
    __slots__ = ("id", "score", "key", "timeout_seconds")
    ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    score: _containers.RepeatedScalarFieldContainer[bytes]
    key: str
    timeout_seconds: float
    def __init__(self, id: _Optional[str] = ..., score: _Optional[_Iterable[bytes]] = ..., key: _Optional[str] = ..., timeout_seconds: _Optional[float] = ...) -> None: ...

class ScoreStreamAnswer(_message.Message):
    __slots__ = ("id", "prediction", "error", "unknown_fields")
    ID_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    prediction: bytes
    error: _status_pb2.Status
    unknown_fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., prediction: _Optional[bytes] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., unknown_fields: _Optional[_Iterable[str]] = ...) -> None: ...
