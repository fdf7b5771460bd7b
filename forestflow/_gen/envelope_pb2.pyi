from forestflow._gen import contract_pb2 as _contract_pb2
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
    contract: _contract_pb2.Contract
    request: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., request: _Optional[_Iterable[bytes]] = ...) -> None: ...
