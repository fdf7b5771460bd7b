from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Contract(_message.Message):
    __slots__ = ("organization", "project", "contract_number")
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    organization: str
    project: str
    contract_number: int
    def __init__(self, organization: _Optional[str] = ..., project: _Optional[str] = ..., contract_number: _Optional[int] = ...) -> None: ...

class FQRV(_message.Message):
    __slots__ = ("contract", "release_version")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    contract: Contract
    release_version: str
    def __init__(self, contract: _Optional[_Union[Contract, _Mapping]] = ..., release_version: _Optional[str] = ...) -> None: ...
