"""The BASIC protocol in binary: InferenceRequest in, Prediction out, as gRPC carries them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from google.protobuf.message import DecodeError

from forestflow._gen.inference_pb2 import Datum, InferenceRequest, Prediction, TensorSchema
from forestflow._gen.inference_pb2 import Tensor as TensorMessage
from forestflow._gen.rows_pb2 import InferenceRows, PredictionRows
from forestflow.codecs.basic.protobuf_rows import RowLayout, learn
from forestflow.codecs.json.columns import Tensor, assemble, check_counts, entries_of
from forestflow.codecs.json.inference_json import TENSOR_KEYS
from forestflow.codecs.messages import values as messages
from forestflow.codecs.request import ScoreRequest
from forestflow.domain.errors import ForestFlowError, InvalidInput, Malformed, ModelFailed
from forestflow.domain.ids import Fqrv
from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType

_MAX_KNOWN = 256

M = TypeVar("M", InferenceRequest, InferenceRows)

_FIELDS = {kind: key for key, kind in TENSOR_KEYS.items()}


@dataclass(frozen=True, slots=True)
class _Records:
    """How records of floats are read: their layout, and the columns that its lanes become."""

    layout: RowLayout
    columns: tuple[tuple[int, TensorType, tuple[str, ...]], ...]  # lane, type, fields

    def read(self, records: Sequence[bytes]) -> Batch | None:
        """``None`` if a record has another shape."""
        values = self.layout.read(records)
        if values is None:
            return None
        return Batch(len(records), tuple([Column(kind, fields, values[lane]) for lane, kind, fields in self.columns]))


_known: dict[tuple[bytes, ...], _Records | None] = {}  # by schema and length of a record; None: the general way


def decode_request(body: bytes) -> ScoreRequest:
    """A serialized InferenceRequest as one column per schema entry that has data; raises Malformed or InvalidInput."""
    rows = _parse(InferenceRows, body)
    records = rows.datum
    if records:
        shape = (*rows.schema, b"%d" % len(records[0]))
        if shape not in _known:
            message = _parse(InferenceRequest, body)
            request = from_message(message)
            if len(_known) >= _MAX_KNOWN:
                _known.clear()
            _known[shape] = _learn(message)
            return request
        known = _known[shape]
        batch = known.read(records) if known is not None else None
        if batch is not None:
            return ScoreRequest(batch, _configs(rows))
    return from_message(_parse(InferenceRequest, body))


def _learn(request: InferenceRequest) -> _Records | None:
    """Learn how the records of a valid request are laid out."""
    layout = learn(request.datum[0])
    if layout is None:
        return None
    lanes = sorted(range(len(layout.lanes)), key=lambda lane: layout.lanes[lane].kind)
    schema = _schema(request)
    entries = entries_of(schema, [layout.lanes[lane].kind for lane in lanes])
    columns = sorted((entry, lane) for entry, lane in zip(entries, lanes, strict=True))
    return _Records(layout, tuple((lane, *schema[entry]) for entry, lane in columns))


def decode_configs(body: bytes) -> dict[str, str]:
    """The configs of a serialized InferenceRequest; raises Malformed."""
    return _configs(_parse(InferenceRequest, body))


def _parse(kind: type[M], body: bytes) -> M:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise Malformed(f"not an InferenceRequest: {error}") from None


def _configs(request: InferenceRequest | InferenceRows) -> dict[str, str]:
    return dict(zip(_texts(request.configs), _texts(request.configs.values()), strict=True))


def from_message(request: InferenceRequest) -> ScoreRequest:
    """A parsed InferenceRequest as columns; raises Malformed for a schema without a type, or InvalidInput."""
    if not request.IsInitialized():
        raise Malformed("not an InferenceRequest: a schema entry has no known type")
    first = len(request.datum[0].tensors) if request.datum else 0
    check_counts(first, {len(datum.tensors) for datum in request.datum}, len(request.schema))
    datums = [[_tensor(tensor) for tensor in datum.tensors] for datum in request.datum]
    return ScoreRequest(assemble(_schema(request), datums), _configs(request))


def _schema(request: InferenceRequest) -> list[tuple[TensorType, tuple[str, ...]]]:
    return [(TensorType(entry.type), _texts(entry.fields)) for entry in request.schema]


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


def _before_record(length: int) -> bytes:
    """Tag and length of a Prediction's record."""
    return PredictionRows(datum=[bytes(length)]).SerializeToString()[:-length]


class ProtobufCodec:
    """Binary BASIC for one release (:class:`forestflow.codecs.table.Codec`)."""

    def __init__(self, fqrv: Fqrv) -> None:
        self._fqrv = fqrv
        self._shapes: dict[tuple[object, ...], tuple[bytes, RowLayout | None]] = {}  # by schema

    def decode(self, payload: bytes) -> ScoreRequest:
        return decode_request(payload)

    def encode(self, batch: Batch, context: None = None) -> bytes:
        shape = tuple([(column.type, column.fields, column.data.shape[1:]) for column in batch.columns])
        head, layout = self._shapes.get(shape) or self._learn(shape, batch)
        if layout is None or any(column.data.dtype != DTYPES[column.type] for column in batch.columns):
            return encode_prediction(self._fqrv, batch)
        values = [column.data.reshape(batch.rows, -1) for column in batch.columns]
        return head + layout.write(values, batch.rows)

    def _learn(self, shape: tuple[object, ...], batch: Batch) -> tuple[bytes, RowLayout | None]:
        if not batch.rows:
            return b"", None
        one = to_message(self._fqrv, batch.slice(0, 1))
        layout = learn(one.datum[0], _before_record)
        del one.datum[:]
        if len(self._shapes) >= _MAX_KNOWN:
            self._shapes.clear()
        made = self._shapes[shape] = (one.SerializeToString(), layout)
        return made

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
