from forestflow._gen import contract_pb2 as _contract_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TensorType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Float16: _ClassVar[TensorType]
    Float32: _ClassVar[TensorType]
    Float64: _ClassVar[TensorType]
    Int8: _ClassVar[TensorType]
    Int16: _ClassVar[TensorType]
    Int32: _ClassVar[TensorType]
    Int64: _ClassVar[TensorType]
    String: _ClassVar[TensorType]
    Bool: _ClassVar[TensorType]
    Bytes: _ClassVar[TensorType]
    UInt8: _ClassVar[TensorType]
    UInt16: _ClassVar[TensorType]
    UInt32: _ClassVar[TensorType]
    UInt64: _ClassVar[TensorType]
Float16: TensorType
Float32: TensorType
Float64: TensorType
Int8: TensorType
Int16: TensorType
Int32: TensorType
Int64: TensorType
String: TensorType
Bool: TensorType
Bytes: TensorType
UInt8: TensorType
UInt16: TensorType
UInt32: TensorType
UInt64: TensorType

class StringData(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[str]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[str]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class Int8Data(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[int]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[int]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class Int16Data(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[int]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[int]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class Int32Data(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[int]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[int]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class Int64Data(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[int]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[int]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class Float16Data(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[float]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[float]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class Float32Data(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[float]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[float]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class Float64Data(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[float]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[float]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class BoolData(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[bool]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[bool]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class ByteData(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[bytes]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[bytes]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class UInt8Data(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[int]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[int]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class UInt16Data(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[int]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[int]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class UInt32Data(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[int]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[int]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class UInt64Data(_message.Message):
    __slots__ = ("data", "tensorType")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TENSORTYPE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[int]
    tensorType: TensorType
    def __init__(self, data: _Optional[_Iterable[int]] = ..., tensorType: _Optional[_Union[TensorType, str]] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("String", "Int8", "Int16", "Int32", "Int64", "Float16", "Float32", "Float64", "Bool", "Byte", "UInt8", "UInt16", "UInt32", "UInt64")
    STRING_FIELD_NUMBER: _ClassVar[int]
    INT8_FIELD_NUMBER: _ClassVar[int]
    INT16_FIELD_NUMBER: _ClassVar[int]
    INT32_FIELD_NUMBER: _ClassVar[int]
    INT64_FIELD_NUMBER: _ClassVar[int]
    FLOAT16_FIELD_NUMBER: _ClassVar[int]
    FLOAT32_FIELD_NUMBER: _ClassVar[int]
    FLOAT64_FIELD_NUMBER: _ClassVar[int]
    BOOL_FIELD_NUMBER: _ClassVar[int]
    BYTE_FIELD_NUMBER: _ClassVar[int]
    UINT8_FIELD_NUMBER: _ClassVar[int]
    UINT16_FIELD_NUMBER: _ClassVar[int]
    UINT32_FIELD_NUMBER: _ClassVar[int]
    UINT64_FIELD_NUMBER: _ClassVar[int]
    String: StringData
    Int8: Int8Data
    Int16: Int16Data
    Int32: Int32Data
    Int64: Int64Data
    Float16: Float16Data
    Float32: Float32Data
    Float64: Float64Data
    Bool: BoolData
    Byte: ByteData
    UInt8: UInt8Data
    UInt16: UInt16Data
    UInt32: UInt32Data
    UInt64: UInt64Data
    def __init__(self, String: _Optional[_Union[StringData, _Mapping]] = ..., Int8: _Optional[_Union[Int8Data, _Mapping]] = ..., Int16: _Optional[_Union[Int16Data, _Mapping]] = ..., Int32: _Optional[_Union[Int32Data, _Mapping]] = ..., Int64: _Optional[_Union[Int64Data, _Mapping]] = ..., Float16: _Optional[_Union[Float16Data, _Mapping]] = ..., Float32: _Optional[_Union[Float32Data, _Mapping]] = ..., Float64: _Optional[_Union[Float64Data, _Mapping]] = ..., Bool: _Optional[_Union[BoolData, _Mapping]] = ..., Byte: _Optional[_Union[ByteData, _Mapping]] = ..., UInt8: _Optional[_Union[UInt8Data, _Mapping]] = ..., UInt16: _Optional[_Union[UInt16Data, _Mapping]] = ..., UInt32: _Optional[_Union[UInt32Data, _Mapping]] = ..., UInt64: _Optional[_Union[UInt64Data, _Mapping]] = ...) -> None: ...

class Datum(_message.Message):
    __slots__ = ("tensors",)
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    tensors: _containers.RepeatedCompositeFieldContainer[Tensor]
    def __init__(self, tensors: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ...) -> None: ...

class TensorSchema(_message.Message):
    __slots__ = ("type", "fields")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    type: TensorType
    fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, type: _Optional[_Union[TensorType, str]] = ..., fields: _Optional[_Iterable[str]] = ...) -> None: ...

class InferenceRequest(_message.Message):
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
    schema: _containers.RepeatedCompositeFieldContainer[TensorSchema]
    datum: _containers.RepeatedCompositeFieldContainer[Datum]
    configs: _containers.ScalarMap[str, str]
    def __init__(self, schema: _Optional[_Iterable[_Union[TensorSchema, _Mapping]]] = ..., datum: _Optional[_Iterable[_Union[Datum, _Mapping]]] = ..., configs: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("fqrv", "schema", "datum", "recordFqrvs")
    FQRV_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    DATUM_FIELD_NUMBER: _ClassVar[int]
    RECORDFQRVS_FIELD_NUMBER: _ClassVar[int]
    fqrv: _contract_pb2.FQRV
    schema: _containers.RepeatedCompositeFieldContainer[TensorSchema]
    datum: _containers.RepeatedCompositeFieldContainer[Datum]
    recordFqrvs: _containers.RepeatedCompositeFieldContainer[_contract_pb2.FQRV]
    def __init__(self, fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ..., schema: _Optional[_Iterable[_Union[TensorSchema, _Mapping]]] = ..., datum: _Optional[_Iterable[_Union[Datum, _Mapping]]] = ..., recordFqrvs: _Optional[_Iterable[_Union[_contract_pb2.FQRV, _Mapping]]] = ...) -> None: ...

class PredictionGP(_message.Message):
    __slots__ = ("inferResponse", "fqrv")
    INFERRESPONSE_FIELD_NUMBER: _ClassVar[int]
    FQRV_FIELD_NUMBER: _ClassVar[int]
    inferResponse: bytes
    fqrv: _contract_pb2.FQRV
    def __init__(self, inferResponse: _Optional[bytes] = ..., fqrv: _Optional[_Union[_contract_pb2.FQRV, _Mapping]] = ...) -> None: ...
