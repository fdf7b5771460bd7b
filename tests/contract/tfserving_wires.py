"""TensorFlow Serving: its REST API by json and httpx, its gRPC API by the public stubs."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import grpc
import httpx
import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow as tf
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.contract.protocol import (
    ANNOUNCED_TYPES,
    CONFIGS,
    DECLARED_SHAPES,
    EMPTY_BATCHES,
    NO_ACTIVE_RELEASE,
    RAGGED_ROWS,
    TEXTS_APART,
    UNFIT_DATA,
    UNKNOWN_CONTRACT,
    Address,
    Array,
    Column,
    Prediction,
    Refused,
    Table,
    Target,
    typed,
)

TYPES = {"DT_DOUBLE": "Float64", "DT_STRING": "String"}


def _model(address: Address) -> str:
    return f"{address.organization}.{address.project}.{address.contract_number}"


def _who(fqrv: str) -> tuple[Address, str]:
    organization, project, number, release = map(unquote, fqrv.split("/"))
    return Address(organization, project, int(number)), release


class TfServingRest:
    """An object for each row. Types and names of answers are those of the model's metadata."""

    lacks: ClassVar = frozenset({ANNOUNCED_TYPES, CONFIGS, DECLARED_SHAPES, EMPTY_BATCHES})
    refusals: ClassVar = {UNKNOWN_CONTRACT: (404,), NO_ACTIVE_RELEASE: (404,), UNFIT_DATA: (400,)}

    def __init__(self, target: Target) -> None:
        self._client = httpx.Client(base_url=target.http, timeout=60)

    def score(self, address: Address, table: Table, configs: Mapping[str, str]) -> Prediction:
        assert not configs
        path = f"/v1/models/{quote(_model(address), safe='')}"
        rows = len(table[0].rows) if table else 0
        instances: list[dict[str, Any]] = [{} for _ in range(rows)]
        for column in table:
            for instance, row in zip(instances, column.rows, strict=True):
                instance |= dict(zip(column.fields, row, strict=False))
        reply = self._client.post(f"{path}:predict", content=json.dumps({"instances": instances}))
        predictions = self._json(reply)["predictions"]
        signatures = self._json(self._client.get(f"{path}/metadata"))["metadata"]["signature_def"]["signature_def"]
        default = signatures.get("serving_default") or next(iter(signatures.values()))
        ((name, told),) = default["outputs"].items()
        column = Column(TYPES[told["dtype"]], (name,), [[value] for value in predictions])
        return Prediction(*_who(reply.headers["x-forestflow-fqrv"]), (column,))

    def echo(self, address: Address, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """By the signature that casts: numbers are in no type of their own. By row and by column, of one answer."""
        path = f"/v1/models/{quote(_model(address), safe='')}"
        columns = {name: [_written(value) for value in values.tolist()] for name, values in tensors.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        predictions = self._cast(path, {"instances": rows})["predictions"]
        outputs = self._cast(path, {"inputs": columns})["outputs"]
        if len(columns) == 1:  # a single output drops its name
            ((name),) = columns
            by_row, by_column = {name: predictions}, {name: outputs}
        else:
            by_row, by_column = {name: [row[name] for row in predictions] for name in predictions[0]}, outputs
        assert json.dumps(by_row, sort_keys=True) == json.dumps(by_column, sort_keys=True)
        signatures = self._json(self._client.get(f"{path}/metadata"))["metadata"]["signature_def"]["signature_def"]
        told = {name: _dtype(told["dtype"]) for name, told in signatures["cast"]["outputs"].items()}
        return {name: typed(_read(values), told[name]) for name, values in by_row.items()}

    def _cast(self, path: str, body: dict[str, Any]) -> Any:
        content = json.dumps({"signature_name": "cast", **body}, ensure_ascii=False)
        return self._json(self._client.post(f"{path}:predict", content=content))

    def _json(self, reply: httpx.Response) -> Any:
        assert reply.headers["content-type"] == "application/json"
        if reply.status_code != 200:
            raise Refused((reply.status_code,), reply.json()["error"])
        return reply.json()

    def close(self) -> None:
        self._client.close()


def _written(value: Any) -> Any:
    if isinstance(value, list):
        return [_written(entry) for entry in value]
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(entry) for entry in value]
    return base64.b64decode(value["b64"], validate=True) if isinstance(value, dict) else value


def _dtype(told: str) -> np.dtype[Any]:
    return np.dtype(tf.as_dtype(types_pb2.DataType.Value(told)).as_numpy_dtype)


class TfServingGrpc:
    """Each field is a tensor of its own."""

    lacks: ClassVar = frozenset({ANNOUNCED_TYPES, CONFIGS, RAGGED_ROWS, TEXTS_APART})
    refusals: ClassVar = {
        UNKNOWN_CONTRACT: (grpc.StatusCode.NOT_FOUND,),
        NO_ACTIVE_RELEASE: (grpc.StatusCode.NOT_FOUND,),
        UNFIT_DATA: (grpc.StatusCode.INVALID_ARGUMENT,),
    }

    def __init__(self, target: Target) -> None:
        self._channel = grpc.insecure_channel(target.grpc, options=[("grpc.max_receive_message_length", -1)])
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def score(self, address: Address, table: Table, configs: Mapping[str, str]) -> Prediction:
        assert not configs
        request = predict_pb2.PredictRequest()
        request.model_spec.name = _model(address)
        for column in table:
            for i, field in enumerate(column.fields):
                values = [row[i] for row in column.rows]
                dtype = tf.string if column.type == "String" else tf.as_dtype(column.type.lower())
                request.inputs[field].CopyFrom(tf.make_tensor_proto(values, dtype))
        answer, call = self._call(request)
        columns = [_column(name, tf.make_ndarray(tensor)) for name, tensor in sorted(answer.outputs.items())]
        return Prediction(*_who(dict(call.trailing_metadata())["x-forestflow-fqrv"]), tuple(columns))

    def echo(self, address: Address, tensors: Mapping[str, Array]) -> dict[str, Array]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = _model(address)
        for name, values in tensors.items():
            dtype = tf.string if values.dtype == object else tf.as_dtype(values.dtype)
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype))
        answer, _ = self._call(request)
        return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

    def declare(self, address: Address, shapes: Mapping[str, Sequence[int]]) -> None:
        self._call(self._empty(address, shapes))

    def repeat(self, address: Address, shapes: Mapping[str, Sequence[int]], value: float) -> int:
        """How many rows are answered for tensors of one value, as ``tf.make_tensor_proto`` makes them of a scalar."""
        request = self._empty(address, shapes)
        for tensor in request.inputs.values():
            tensor.double_val.append(value)
        answer, _ = self._call(request)
        return len(tf.make_ndarray(next(iter(answer.outputs.values()))))

    def _empty(self, address: Address, shapes: Mapping[str, Sequence[int]]) -> Any:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = _model(address)
        for name, shape in shapes.items():
            request.inputs[name].dtype = types_pb2.DT_DOUBLE
            for size in shape:
                request.inputs[name].tensor_shape.dim.add(size=size)
        return request

    def _call(self, request: Any) -> tuple[Any, grpc.Call]:
        try:
            return self._stub.Predict.with_call(request, timeout=60)
        except grpc.RpcError as error:
            raise Refused((error.code(),), error.details()) from None

    def close(self) -> None:
        self._channel.close()


def _column(name: str, values: np.ndarray) -> Column:
    if values.dtype == object:
        return Column("String", (name,), [[text.decode()] for text in values.tolist()])
    return Column(values.dtype.name.capitalize(), (name,), [[value] for value in values.tolist()])
