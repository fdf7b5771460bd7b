from forestflow._gen import contract_pb2 as _contract_pb2
from forestflow._gen import inference_pb2 as _inference_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScoreRequest(_message.Message):
    __slots__ = ("contract", "request")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    request: _inference_pb2.InferenceRequest
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., request: _Optional[_Union[_inference_pb2.InferenceRequest, _Mapping]] = ...) -> None: ...
