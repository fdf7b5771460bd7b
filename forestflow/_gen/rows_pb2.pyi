from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class InferenceRows(_message.Message):
    __slots__ = ("schema", "datum", "configs")
    class ConfigsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    DATUM_FIELD_NUMBER: _ClassVar[int]
    CONFIGS_FIELD_NUMBER: _ClassVar[int]
    schema: _containers.RepeatedScalarFieldContainer[bytes]
    datum: _containers.RepeatedScalarFieldContainer[bytes]
    configs: _containers.ScalarMap[str, str]
    def __init__(self, schema: _Optional[_Iterable[bytes]] = ..., datum: _Optional[_Iterable[bytes]] = ..., configs: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PredictionRows(_message.Message):
    __slots__ = ("datum",)
    DATUM_FIELD_NUMBER: _ClassVar[int]
    datum: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, datum: _Optional[_Iterable[bytes]] = ...) -> None: ...
