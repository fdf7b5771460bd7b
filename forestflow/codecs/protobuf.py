"""The BASIC protocol in binary: InferenceRequest in, Prediction out, as gRPC carries them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from forestflow._gen.inference_pb2 import Datum, InferenceRequest, Prediction, TensorSchema
from forestflow._gen.inference_pb2 import Tensor as TensorMessage
from forestflow.codecs import messages
from forestflow.codecs.columns import Tensor, assemble
from forestflow.codecs.inference_json import TENSOR_KEYS
from forestflow.codecs.request import ScoreRequest
from forestflow.domain.errors import ForestFlowError, InvalidInput, Malformed, ModelFailed
from forestflow.domain.ids import Fqrv
from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType

_FIELDS = {kind: key for key, kind in TENSOR_KEYS.items()}


def decode_request(body: bytes) -> ScoreRequest:
    """A serialized InferenceRequest as one column per schema entry that has data; raises Malformed or InvalidInput."""
    return from_message(_parse(body))


def decode_configs(body: bytes) -> dict[str, str]:
    """The configs of a serialized InferenceRequest; raises Malformed."""
    return _configs(_parse(body))


def _parse(body: bytes) -> InferenceRequest:
    try:
        return InferenceRequest.FromString(body)
    except DecodeError as error:
        raise Malformed(f"not an InferenceRequest: {error}") from None


def _configs(request: InferenceRequest) -> dict[str, str]:
    return dict(zip(_texts(request.configs), _texts(request.configs.values()), strict=True))


def from_message(request: InferenceRequest) -> ScoreRequest:
    """A parsed InferenceRequest as columns; raises Malformed for a schema without a type, or InvalidInput."""
    if not request.IsInitialized():
        raise Malformed("not an InferenceRequest: a schema entry has no known type")
    schema = [(TensorType(entry.type), _texts(entry.fields)) for entry in request.schema]
    datums = [[_tensor(tensor) for tensor in datum.tensors] for datum in request.datum]
    return ScoreRequest(assemble(schema, datums), _configs(request))


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    """The strings of a message; protobuf hands out those that are not UTF-8 as bytes."""
    texts = tuple(values)
    if any(type(text) is not str for text in texts):
        raise Malformed("not an InferenceRequest: a string is not UTF-8")
    return texts  # type: ignore[return-value]  # checked above


def _tensor(message: TensorMessage) -> Tensor:
    key = message.WhichOneof("sealed_value")
    if key is None:
        raise InvalidInput("a tensor holds no data")
    kind = TENSOR_KEYS[key]
    values = getattr(message, key)
    if values.tensorType != kind:
        raise InvalidInput(f"the tensorType of a {key} tensor is {TensorType(values.tensorType).name}")
    return kind, _texts(values.data) if kind is TensorType.String else values.data


def encode_prediction(fqrv: Fqrv, batch: Batch) -> bytes:
    """A serialized Prediction; raises ModelFailed for a column that does not hold what its type says."""
    return to_message(fqrv, batch).SerializeToString()


def to_message(fqrv: Fqrv, batch: Batch) -> Prediction:
    prediction = Prediction(
        fqrv=messages.fqrv_to(fqrv),
        schema=[TensorSchema(type=column.type.name, fields=column.fields) for column in batch.columns],
    )
    lanes = [(_FIELDS[column.type], _rows(column, batch.rows)) for column in batch.columns]
    for row in range(batch.rows):
        datum: Datum = prediction.datum.add()
        for key, rows in lanes:
            values = getattr(datum.tensors.add(), key)
            values.SetInParent()  # so that a tensor without values still has its type
            try:
                values.data.extend(rows[row])
            except (TypeError, ValueError) as error:
                raise ModelFailed(f"the model's {key} output holds something else: {error}") from None
    return prediction


def _rows(column: Column, rows: int) -> list[list[Any]]:
    """The column's values row by row, as Python objects."""
    matrix = np.asarray(column.data, dtype=DTYPES[column.type]).reshape(rows, -1) if rows else column.data
    return matrix.tolist()  # type: ignore[no-any-return]


class ProtobufCodec:
    """Binary BASIC for one release (:class:`forestflow.codecs.table.Codec`)."""

    def __init__(self, fqrv: Fqrv) -> None:
        self._fqrv = fqrv

    def decode(self, payload: bytes) -> ScoreRequest:
        return decode_request(payload)

    def encode(self, batch: Batch, context: None = None) -> bytes:
        return encode_prediction(self._fqrv, batch)

    def encode_records(
        self, batch: Batch, releases: Sequence[Fqrv], owners: Sequence[int], context: None = None
    ) -> bytes:
        prediction = to_message(self._fqrv, batch)
        names = [messages.fqrv_to(release) for release in releases]
        prediction.recordFqrvs.extend([names[owner] for owner in owners])
        return prediction.SerializeToString()

    def encode_error(self, error: ForestFlowError, request_id: str) -> bytes:
        """The error's message in UTF-8: gRPC carries code and message beside the body."""
        return error.message.encode(errors="replace")
