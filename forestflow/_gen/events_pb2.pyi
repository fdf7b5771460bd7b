from forestflow._gen import contract_pb2 as _contract_pb2
from forestflow._gen import inference_pb2 as _inference_pb2
from forestflow._gen import servable_pb2 as _servable_pb2
from forestflow._gen import serve_request_pb2 as _serve_request_pb2
from forestflow._gen import settings_pb2 as _settings_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ContractSettingsCreated(_message.Message):
    __slots__ = ("contract", "contractSettings")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    CONTRACTSETTINGS_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    contractSettings: _settings_pb2.ContractSettings
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., contractSettings: _Optional[_Union[_settings_pb2.ContractSettings, _Mapping]] = ...) -> None: ...

class ContractSettingsUpdated(_message.Message):
    __slots__ = ("contract", "contractSettings")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    CONTRACTSETTINGS_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    contractSettings: _settings_pb2.ContractSettings
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., contractSettings: _Optional[_Union[_settings_pb2.ContractSettings, _Mapping]] = ...) -> None: ...

class ServableSettingsUpdated(_message.Message):
    __slots__ = ("fqrv", "servableSettings")
    FQRV_FIELD_NUMBER: _ClassVar[int]
    SERVABLESETTINGS_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    servableSettings: _settings_pb2.ServableSettings
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., servableSettings: _Optional[_Union[_settings_pb2.ServableSettings, _Mapping]] = ...) -> None: ...

class ServableMetricsUpdated(_message.Message):
    __slots__ = ("servableMetrics",)
    SERVABLEMETRICS_FIELD_NUMBER: _ClassVar[int]
    servableMetrics: _servable_pb2.ServableMetrics
    def __init__(self, servableMetrics: _Optional[_Union[_servable_pb2.ServableMetrics, _Mapping]] = ...) -> None: ...

class ServeRequestValidated(_message.Message):
    __slots__ = ("serveRequest",)
    SERVEREQUEST_FIELD_NUMBER: _ClassVar[int]
    serveRequest: _serve_request_pb2.ServeRequestShim
    def __init__(self, serveRequest: _Optional[_Union[_serve_request_pb2.ServeRequestShim, _Mapping]] = ...) -> None: ...

class ServablesDeleted(_message.Message):
    __slots__ = ("fqrv",)
    FQRV_FIELD_NUMBER: _ClassVar[int]
    fqrv: _containers.RepeatedCompositeFieldContainer[_contract_pb2.FQRV]
    def __init__(self, fqrv: _Optional[_Iterable[_Union[_contract_pb2.FQRV, _Mapping]]] = ...) -> None: ...

class PredictionEvent(_message.Message):
    __slots__ = ("prediction", "servedRequest", "inferenceRequest", "loggingSettings")
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    SERVEDREQUEST_FIELD_NUMBER: _ClassVar[int]
    INFERENCEREQUEST_FIELD_NUMBER: _ClassVar[int]
    LOGGINGSETTINGS_FIELD_NUMBER: _ClassVar[int]
    prediction: _inference_pb2.Prediction
    servedRequest: bool
    inferenceRequest: _inference_pb2.InferenceRequest
    loggingSettings: _settings_pb2.LoggingSettings
    def __init__(self, prediction: _Optional[_Union[_inference_pb2.Prediction, _Mapping]] = ..., servedRequest: _Optional[bool] = ..., inferenceRequest: _Optional[_Union[_inference_pb2.InferenceRequest, _Mapping]] = ..., loggingSettings: _Optional[_Union[_settings_pb2.LoggingSettings, _Mapping]] = ...) -> None: ...

class PredictionEventGP(_message.Message):
    __slots__ = ("prediction", "servedRequest", "inferBytes", "loggingSettings")
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    SERVEDREQUEST_FIELD_NUMBER: _ClassVar[int]
    INFERBYTES_FIELD_NUMBER: _ClassVar[int]
    LOGGINGSETTINGS_FIELD_NUMBER: _ClassVar[int]
    prediction: _inference_pb2.PredictionGP
    servedRequest: bool
    inferBytes: bytes
    loggingSettings: _settings_pb2.LoggingSettings
    def __init__(self, prediction: _Optional[_Union[_inference_pb2.PredictionGP, _Mapping]] = ..., servedRequest: _Optional[bool] = ..., inferBytes: _Optional[bytes] = ..., loggingSettings: _Optional[_Union[_settings_pb2.LoggingSettings, _Mapping]] = ...) -> None: ...

class CreateServableRequested(_message.Message):
    __slots__ = ("serveRequest",)
    SERVEREQUEST_FIELD_NUMBER: _ClassVar[int]
    serveRequest: _serve_request_pb2.ServeRequestShim
    def __init__(self, serveRequest: _Optional[_Union[_serve_request_pb2.ServeRequestShim, _Mapping]] = ...) -> None: ...

class ServableDeleted(_message.Message):
    __slots__ = ("fqrv",)
    FQRV_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ...) -> None: ...
