from forestflow._gen import contract_pb2 as _contract_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LatestVersions(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class AllVersions(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SpecificVersions(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, versions: _Optional[_Iterable[int]] = ...) -> None: ...

class VersionPolicy(_message.Message):
    __slots__ = ("latest", "all", "specific")
    LATEST_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    SPECIFIC_FIELD_NUMBER: _ClassVar[int]
    latest: LatestVersions
    all: AllVersions
    specific: SpecificVersions
    def __init__(self, latest: _Optional[_Union[LatestVersions, _Mapping]] = ..., all: _Optional[_Union[AllVersions, _Mapping]] = ..., specific: _Optional[_Union[SpecificVersions, _Mapping]] = ...) -> None: ...

class VersionsUpdate(_message.Message):
    __slots__ = ("versions", "pollSeconds")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    POLLSECONDS_FIELD_NUMBER: _ClassVar[int]
    versions: VersionPolicy
    pollSeconds: float
    def __init__(self, versions: _Optional[_Union[VersionPolicy, _Mapping]] = ..., pollSeconds: _Optional[float] = ...) -> None: ...

class VersionsStatus(_message.Message):
    __slots__ = ("contract", "path", "policy", "pollSeconds", "versions", "lookedAtMS", "message")
    class Version(_message.Message):
        __slots__ = ("version", "state", "message")
        class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            WAITING: _ClassVar[VersionsStatus.Version.State]
            LOADING: _ClassVar[VersionsStatus.Version.State]
            AVAILABLE: _ClassVar[VersionsStatus.Version.State]
            FAILED: _ClassVar[VersionsStatus.Version.State]
            RETIRED: _ClassVar[VersionsStatus.Version.State]
        WAITING: VersionsStatus.Version.State
        LOADING: VersionsStatus.Version.State
        AVAILABLE: VersionsStatus.Version.State
        FAILED: VersionsStatus.Version.State
        RETIRED: VersionsStatus.Version.State
        VERSION_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        version: int
        state: VersionsStatus.Version.State
        message: str
        def __init__(self, version: _Optional[int] = ..., state: _Optional[_Union[VersionsStatus.Version.State, str]] = ..., message: _Optional[str] = ...) -> None: ...
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLLSECONDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    LOOKEDATMS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    path: str
    policy: VersionPolicy
    pollSeconds: float
    versions: _containers.RepeatedCompositeFieldContainer[VersionsStatus.Version]
    lookedAtMS: int
    message: str
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., path: _Optional[str] = ..., policy: _Optional[_Union[VersionPolicy, _Mapping]] = ..., pollSeconds: _Optional[float] = ..., versions: _Optional[_Iterable[_Union[VersionsStatus.Version, _Mapping]]] = ..., lookedAtMS: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...
