"""The Open Inference Protocol v2 over gRPC: ModelInferRequest in, ModelInferResponse with raw outputs out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from forestflow._gen.open_inference_pb2 import InferParameter, InferTensor, ModelInferRequest, ModelInferResponse
from forestflow.codecs.oip.rest import Answering
from forestflow.codecs.oip.tensors import (
    NAMES,
    Array,
    batch_of,
    from_raw,
    name_of,
    shaped,
    to_raw,
    type_of,
)
from forestflow.codecs.request import ScoreRequest
from forestflow.codecs.shapes import Room
from forestflow.domain.errors import ForestFlowError, InvalidInput, Malformed
from forestflow.domain.ids import Fqrv
from forestflow.domain.requests import OUTPUTS_KEY
from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType

# Where a tensor's typed contents are, by its type. FP16 has none: it comes raw.
_CONTENTS: dict[TensorType, str] = {
    TensorType.Bool: "bool_contents",
    TensorType.Int8: "int_contents",
    TensorType.Int16: "int_contents",
    TensorType.Int32: "int_contents",
    TensorType.Int64: "int64_contents",
    TensorType.UInt8: "uint_contents",
    TensorType.UInt16: "uint_contents",
    TensorType.UInt32: "uint_contents",
    TensorType.UInt64: "uint64_contents",
    TensorType.Float32: "fp32_contents",
    TensorType.Float64: "fp64_contents",
    TensorType.Bytes: "bytes_contents",
}


def decode(payload: bytes) -> ScoreRequest:
    """Raises Malformed for what is not the protocol, InvalidInput for tensors that contradict themselves."""
    try:
        request = ModelInferRequest.FromString(payload)
    except DecodeError as error:
        raise Malformed(f"not a ModelInferRequest: {error}") from None
    raws = request.raw_input_contents
    if raws and len(raws) != len(request.inputs):
        raise InvalidInput(f"raw_input_contents has {len(raws)} entries for {len(request.inputs)} inputs")
    room = Room(len(payload))
    columns = []
    for i, tensor in enumerate(request.inputs):
        kind, shape = type_of(tensor.datatype, tensor.name), room.check(tensor.name, tuple(tensor.shape))
        if raws and tensor.HasField("contents"):
            raise InvalidInput(f"input {tensor.name!r} has contents beside raw_input_contents")
        array = from_raw(tensor.name, kind, raws[i], shape) if raws else _typed(tensor, kind, shape)
        columns.append(Column(kind, (tensor.name,), array))
    configs = _configs(request.parameters)
    if request.outputs:
        configs[OUTPUTS_KEY] = ",".join(output.name for output in request.outputs)
    context = Answering(request.model_name, request.model_version or None, request.id)
    return ScoreRequest(batch_of(columns), configs, context)


def _configs(parameters: Mapping[str, InferParameter]) -> dict[str, str]:
    configs = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        value = None if choice is None else getattr(parameter, choice)
        configs[name] = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
    return configs


def _typed(tensor: InferTensor, kind: TensorType, shape: tuple[int, ...]) -> Array:
    name = _CONTENTS.get(kind)
    if name is None:
        raise InvalidInput(f"input {tensor.name!r} is {tensor.datatype}, which must come in raw_input_contents")
    values = getattr(tensor.contents, name)
    if kind is TensorType.Bytes:
        array = np.empty(len(values), dtype=object)
        array[:] = list(values)
        return shaped(tensor.name, array, shape)
    wide = np.array(values)
    array = wide.astype(DTYPES[kind])
    if name in ("int_contents", "uint_contents") and not np.array_equal(array, wide):
        raise InvalidInput(f"input {tensor.name!r} holds a number that {tensor.datatype} cannot")
    return shaped(tensor.name, array, shape)


def encode(fqrv: Fqrv, batch: Batch, context: Answering) -> bytes:
    """A serialized ModelInferResponse with raw_output_contents."""
    response = ModelInferResponse(
        model_name=context.model, model_version=context.version or fqrv.release_version, id=context.id or ""
    )
    for column in batch.tensors():
        tensor = InferTensor(name=name_of(column), datatype=NAMES[column.type], shape=column.data.shape)
        response.outputs.append(tensor)
        response.raw_output_contents.append(to_raw(column))
    return response.SerializeToString()


class OipGrpcCodec:
    """:class:`forestflow.codecs.table.ClientCodec`."""

    def __init__(self, fqrv: Fqrv) -> None:
        self._fqrv = fqrv
        self.decode = decode

    def encode(self, batch: Batch, context: Any = None) -> bytes:
        return encode(self._fqrv, batch, context)

    def encode_records(
        self, batch: Batch, releases: Sequence[Fqrv], owners: Sequence[int], context: Any = None
    ) -> bytes:
        """As of one release: the protocol has no place for more; ``model_version`` is that of the first record."""
        return encode(releases[owners[0]], batch, context)

    def encode_error(self, error: ForestFlowError, request_id: str) -> bytes:
        """The error's message in UTF-8: gRPC carries code and message beside the body."""
        return error.message.encode(errors="replace")
