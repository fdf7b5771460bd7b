from forestflow._gen import contract_pb2 as _contract_pb2
from forestflow._gen import settings_pb2 as _settings_pb2
from forestflow._gen import versions_pb2 as _versions_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class H2OMojoFlavor(_message.Message):
    __slots__ = ("mojoPath", "version")
    MOJOPATH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    mojoPath: str
    version: str
    def __init__(self, mojoPath: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class TensorFlowFlavor(_message.Message):
    __slots__ = ("modelPath", "signature", "tags")
    MODELPATH_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    modelPath: str
    signature: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, modelPath: _Optional[str] = ..., signature: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ...) -> None: ...

class PythonFlavor(_message.Message):
    __slots__ = ("script", "className", "requirements")
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    CLASSNAME_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENTS_FIELD_NUMBER: _ClassVar[int]
    script: str
    className: str
    requirements: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, script: _Optional[str] = ..., className: _Optional[str] = ..., requirements: _Optional[_Iterable[str]] = ...) -> None: ...

class OnnxFlavor(_message.Message):
    __slots__ = ("modelPath",)
    MODELPATH_FIELD_NUMBER: _ClassVar[int]
    modelPath: str
    def __init__(self, modelPath: _Optional[str] = ...) -> None: ...

class MLmodelFlavor(_message.Message):
    __slots__ = ("modelPath", "flavor")
    MODELPATH_FIELD_NUMBER: _ClassVar[int]
    FLAVOR_FIELD_NUMBER: _ClassVar[int]
    modelPath: str
    flavor: str
    def __init__(self, modelPath: _Optional[str] = ..., flavor: _Optional[str] = ...) -> None: ...

class FlavorShim(_message.Message):
    __slots__ = ("H2OMojo", "TensorFlow", "Python", "ONNX", "MLmodel")
    H2OMOJO_FIELD_NUMBER: _ClassVar[int]
    TENSORFLOW_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    ONNX_FIELD_NUMBER: _ClassVar[int]
    MLMODEL_FIELD_NUMBER: _ClassVar[int]
    H2OMojo: H2OMojoFlavor
    TensorFlow: TensorFlowFlavor
    Python: PythonFlavor
    ONNX: OnnxFlavor
    MLmodel: MLmodelFlavor
    def __init__(self, H2OMojo: _Optional[_Union[H2OMojoFlavor, _Mapping]] = ..., TensorFlow: _Optional[_Union[TensorFlowFlavor, _Mapping]] = ..., Python: _Optional[_Union[PythonFlavor, _Mapping]] = ..., ONNX: _Optional[_Union[OnnxFlavor, _Mapping]] = ..., MLmodel: _Optional[_Union[MLmodelFlavor, _Mapping]] = ...) -> None: ...

class BasicServeRequest(_message.Message):
    __slots__ = ("path", "fqrv", "servableSettings", "contractSettings", "tags", "flavor", "sha256", "versions", "pollSeconds")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    FQRV_FIELD_NUMBER: _ClassVar[int]
    SERVABLESETTINGS_FIELD_NUMBER: _ClassVar[int]
    CONTRACTSETTINGS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    FLAVOR_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    POLLSECONDS_FIELD_NUMBER: _ClassVar[int]
    path: str
    fqrv: _contract_pb2.FQRV
    servableSettings: _settings_pb2.ServableSettings
    contractSettings: _settings_pb2.ContractSettings
    tags: _containers.ScalarMap[str, str]
    flavor: FlavorShim
    sha256: str
    versions: _versions_pb2.VersionPolicy
    pollSeconds: float
    def __init__(self, path: _Optional[str] = ..., fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., servableSettings: _Optional[_Union[_settings_pb2.ServableSettings, _Mapping]] = ..., contractSettings: _Optional[_Union[_settings_pb2.ContractSettings, _Mapping]] = ..., tags: _Optional[_Mapping[str, str]] = ..., flavor: _Optional[_Union[FlavorShim, _Mapping]] = ..., sha256: _Optional[str] = ..., versions: _Optional[_Union[_versions_pb2.VersionPolicy, _Mapping]] = ..., pollSeconds: _Optional[float] = ...) -> None: ...

class MLFlowServeRequest(_message.Message):
    __slots__ = ("path", "fqrv", "servableSettings", "contractSettings", "tags", "sha256")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    FQRV_FIELD_NUMBER: _ClassVar[int]
    SERVABLESETTINGS_FIELD_NUMBER: _ClassVar[int]
    CONTRACTSETTINGS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    fqrv: _contract_pb2.FQRV
    servableSettings: _settings_pb2.ServableSettings
    contractSettings: _settings_pb2.ContractSettings
    tags: _containers.ScalarMap[str, str]
    sha256: str
    def __init__(self, path: _Optional[str] = ..., fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., servableSettings: _Optional[_Union[_settings_pb2.ServableSettings, _Mapping]] = ..., contractSettings: _Optional[_Union[_settings_pb2.ContractSettings, _Mapping]] = ..., tags: _Optional[_Mapping[str, str]] = ..., sha256: _Optional[str] = ...) -> None: ...

class ServeRequestShim(_message.Message):
    __slots__ = ("Basic", "MLFlow")
    BASIC_FIELD_NUMBER: _ClassVar[int]
    MLFLOW_FIELD_NUMBER: _ClassVar[int]
    Basic: BasicServeRequest
    MLFlow: MLFlowServeRequest
    def __init__(self, Basic: _Optional[_Union[BasicServeRequest, _Mapping]] = ..., MLFlow: _Optional[_Union[MLFlowServeRequest, _Mapping]] = ...) -> None: ...
