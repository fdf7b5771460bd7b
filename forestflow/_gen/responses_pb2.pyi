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

class ServableCreatedSuccessfully(_message.Message):
    __slots__ = ("fqrv",)
    FQRV_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ...) -> None: ...

class ServablesDeletedSuccessfully(_message.Message):
    __slots__ = ("fqrv",)
    FQRV_FIELD_NUMBER: _ClassVar[int]
    fqrv: _containers.RepeatedCompositeFieldContainer[_contract_pb2.FQRV]
    def __init__(self, fqrv: _Optional[_Iterable[_Union[_contract_pb2.FQRV, _Mapping]]] = ...) -> None: ...

class ServableUpdatedSuccessfully(_message.Message):
    __slots__ = ("fqrv",)
    FQRV_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ...) -> None: ...

class ContractUpdatedSuccessfully(_message.Message):
    __slots__ = ("contract",)
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ...) -> None: ...

class ContractCreatedSuccessfully(_message.Message):
    __slots__ = ("contract",)
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ...) -> None: ...

class Contracts(_message.Message):
    __slots__ = ("contracts",)
    CONTRACTS_FIELD_NUMBER: _ClassVar[int]
    contracts: _containers.RepeatedCompositeFieldContainer[_contract_pb2.Contract]
    def __init__(self, contracts: _Optional[_Iterable[_Union[_contract_pb2.Contract, _Mapping]]] = ...) -> None: ...

class SuccessResponse(_message.Message):
    __slots__ = ("ServableCreatedSuccessfully", "ServablesDeletedSuccessfully", "ServableUpdatedSuccessfully", "Prediction", "ServableSettings", "ContractUpdatedSuccessfully", "ServableMetrics", "FQRV", "ContractSettings", "ContractCreatedSuccessfully", "Contracts", "ServableStatus")
    SERVABLECREATEDSUCCESSFULLY_FIELD_NUMBER: _ClassVar[int]
    SERVABLESDELETEDSUCCESSFULLY_FIELD_NUMBER: _ClassVar[int]
    SERVABLEUPDATEDSUCCESSFULLY_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    SERVABLESETTINGS_FIELD_NUMBER: _ClassVar[int]
    CONTRACTUPDATEDSUCCESSFULLY_FIELD_NUMBER: _ClassVar[int]
    SERVABLEMETRICS_FIELD_NUMBER: _ClassVar[int]
    FQRV_FIELD_NUMBER: _ClassVar[int]
    CONTRACTSETTINGS_FIELD_NUMBER: _ClassVar[int]
    CONTRACTCREATEDSUCCESSFULLY_FIELD_NUMBER: _ClassVar[int]
    CONTRACTS_FIELD_NUMBER: _ClassVar[int]
    SERVABLESTATUS_FIELD_NUMBER: _ClassVar[int]
    ServableCreatedSuccessfully: ServableCreatedSuccessfully
    ServablesDeletedSuccessfully: ServablesDeletedSuccessfully
    ServableUpdatedSuccessfully: ServableUpdatedSuccessfully
    Prediction: _inference_pb2.Prediction
    ServableSettings: _settings_pb2.ServableSettings
    ContractUpdatedSuccessfully: ContractUpdatedSuccessfully
    ServableMetrics: _servable_pb2.ServableMetrics
    FQRV: _contract_pb2.FQRV
    ContractSettings: _settings_pb2.ContractSettings
    ContractCreatedSuccessfully: ContractCreatedSuccessfully
    Contracts: Contracts
    ServableStatus: _servable_pb2.ServableStatus
    def __init__(self, ServableCreatedSuccessfully: _Optional[_Union[ServableCreatedSuccessfully, _Mapping]] = ..., ServablesDeletedSuccessfully: _Optional[_Union[ServablesDeletedSuccessfully, _Mapping]] = ..., ServableUpdatedSuccessfully: _Optional[_Union[ServableUpdatedSuccessfully, _Mapping]] = ..., Prediction: _Optional[_Union[_inference_pb2.Prediction, _Mapping]] = ..., ServableSettings: _Optional[_Union[_settings_pb2.ServableSettings, _Mapping]] = ..., ContractUpdatedSuccessfully: _Optional[_Union[ContractUpdatedSuccessfully, _Mapping]] = ..., ServableMetrics: _Optional[_Union[_servable_pb2.ServableMetrics, _Mapping]] = ..., FQRV: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., ContractSettings: _Optional[_Union[_settings_pb2.ContractSettings, _Mapping]] = ..., ContractCreatedSuccessfully: _Optional[_Union[ContractCreatedSuccessfully, _Mapping]] = ..., Contracts: _Optional[_Union[Contracts, _Mapping]] = ..., ServableStatus: _Optional[_Union[_servable_pb2.ServableStatus, _Mapping]] = ...) -> None: ...

class UnknownServableError(_message.Message):
    __slots__ = ("fqrv", "errorMessage", "StatusCode")
    FQRV_FIELD_NUMBER: _ClassVar[int]
    ERRORMESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATUSCODE_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    errorMessage: str
    StatusCode: int
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., errorMessage: _Optional[str] = ..., StatusCode: _Optional[int] = ...) -> None: ...

class UnknownServable(_message.Message):
    __slots__ = ("fqrv", "StatusCode")
    FQRV_FIELD_NUMBER: _ClassVar[int]
    STATUSCODE_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    StatusCode: int
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., StatusCode: _Optional[int] = ...) -> None: ...

class ProtocolNotSupported(_message.Message):
    __slots__ = ("fqrv", "errorMessage", "StatusCode")
    FQRV_FIELD_NUMBER: _ClassVar[int]
    ERRORMESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATUSCODE_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    errorMessage: str
    StatusCode: int
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., errorMessage: _Optional[str] = ..., StatusCode: _Optional[int] = ...) -> None: ...

class ServableAlreadyExistsError(_message.Message):
    __slots__ = ("fqrv", "servableSettings", "StatusCode")
    FQRV_FIELD_NUMBER: _ClassVar[int]
    SERVABLESETTINGS_FIELD_NUMBER: _ClassVar[int]
    STATUSCODE_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    servableSettings: _settings_pb2.ServableSettings
    StatusCode: int
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., servableSettings: _Optional[_Union[_settings_pb2.ServableSettings, _Mapping]] = ..., StatusCode: _Optional[int] = ...) -> None: ...

class CreateServableRequestInvalidError(_message.Message):
    __slots__ = ("serveRequest", "errorMessage", "StatusCode")
    SERVEREQUEST_FIELD_NUMBER: _ClassVar[int]
    ERRORMESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATUSCODE_FIELD_NUMBER: _ClassVar[int]
    serveRequest: _serve_request_pb2.ServeRequestShim
    errorMessage: str
    StatusCode: int
    def __init__(self, serveRequest: _Optional[_Union[_serve_request_pb2.ServeRequestShim, _Mapping]] = ..., errorMessage: _Optional[str] = ..., StatusCode: _Optional[int] = ...) -> None: ...

class NoActiveServablesForContract(_message.Message):
    __slots__ = ("contract", "StatusCode")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    STATUSCODE_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    StatusCode: int
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., StatusCode: _Optional[int] = ...) -> None: ...

class UnknownContract(_message.Message):
    __slots__ = ("contract", "StatusCode")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    STATUSCODE_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    StatusCode: int
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., StatusCode: _Optional[int] = ...) -> None: ...

class ContractValidationError(_message.Message):
    __slots__ = ("contract", "msg", "StatusCode")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    MSG_FIELD_NUMBER: _ClassVar[int]
    STATUSCODE_FIELD_NUMBER: _ClassVar[int]
    contract: _contract_pb2.Contract
    msg: str
    StatusCode: int
    def __init__(self, contract: _Optional[_Union[_contract_pb2.Contract, _Mapping]] = ..., msg: _Optional[str] = ..., StatusCode: _Optional[int] = ...) -> None: ...

class ErrorResponse(_message.Message):
    __slots__ = ("UnknownServableError", "UnknownServable", "ServableAlreadyExistsError", "CreateServableRequestInvalidError", "NoActiveServablesForContract", "UnknownContract", "ContractValidationError")
    UNKNOWNSERVABLEERROR_FIELD_NUMBER: _ClassVar[int]
    UNKNOWNSERVABLE_FIELD_NUMBER: _ClassVar[int]
    SERVABLEALREADYEXISTSERROR_FIELD_NUMBER: _ClassVar[int]
    CREATESERVABLEREQUESTINVALIDERROR_FIELD_NUMBER: _ClassVar[int]
    NOACTIVESERVABLESFORCONTRACT_FIELD_NUMBER: _ClassVar[int]
    UNKNOWNCONTRACT_FIELD_NUMBER: _ClassVar[int]
    CONTRACTVALIDATIONERROR_FIELD_NUMBER: _ClassVar[int]
    UnknownServableError: UnknownServableError
    UnknownServable: UnknownServable
    ServableAlreadyExistsError: ServableAlreadyExistsError
    CreateServableRequestInvalidError: CreateServableRequestInvalidError
    NoActiveServablesForContract: NoActiveServablesForContract
    UnknownContract: UnknownContract
    ContractValidationError: ContractValidationError
    def __init__(self, UnknownServableError: _Optional[_Union[UnknownServableError, _Mapping]] = ..., UnknownServable: _Optional[_Union[UnknownServable, _Mapping]] = ..., ServableAlreadyExistsError: _Optional[_Union[ServableAlreadyExistsError, _Mapping]] = ..., CreateServableRequestInvalidError: _Optional[_Union[CreateServableRequestInvalidError, _Mapping]] = ..., NoActiveServablesForContract: _Optional[_Union[NoActiveServablesForContract, _Mapping]] = ..., UnknownContract: _Optional[_Union[UnknownContract, _Mapping]] = ..., ContractValidationError: _Optional[_Union[ContractValidationError, _Mapping]] = ...) -> None: ...
