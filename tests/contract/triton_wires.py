"""The Open Inference Protocol by its public client: HTTP with binary tensors, HTTP with JSON, gRPC with raw tensors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tritonclient.grpc as triton_grpc
    import tritonclient.http as triton_http
    from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.contract.protocol import (
    ANNOUNCED_TYPES,
    ANSWERED_FIELDS,
    NO_ACTIVE_RELEASE,
    RAGGED_ROWS,
    RAW_BYTES,
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
)

SECONDS = 60


class _Triton:
    """Each field is a tensor of its own, by name. The model and the version that answered are in the answer.

    Outputs are called as the metadata or the request's ``h2o.outputs`` call them; that is checked here.
    """

    lacks: ClassVar = frozenset({ANNOUNCED_TYPES, ANSWERED_FIELDS, RAGGED_ROWS, TEXTS_APART})
    binary: ClassVar[dict[str, bool]] = {}
    module: ClassVar[Any]
    _client: Any

    def score(self, address: Address, table: Table, configs: Mapping[str, str]) -> Prediction:
        model = _model(address)
        tensors = [
            self._tensor(field, column.type, [row[i] for row in column.rows])
            for column in table
            for i, field in enumerate(column.fields)
        ]
        result = self._answer(model, tensors, configs, None)
        told = self._told(result)
        assert [output["name"] for output in told["outputs"]] == self._outputs(model, configs)
        organization, project, number = told["model_name"].rsplit(".", 2)
        columns = [_column(output, result.as_numpy(output["name"])) for output in told["outputs"]]
        return Prediction(Address(organization, project, int(number)), told["model_version"], tuple(columns))

    def echo(self, address: Address, tensors: Mapping[str, Array]) -> dict[str, Array]:
        inputs = [self._input(name, values) for name, values in tensors.items()]
        result = self._answer(_model(address), inputs, {}, list(tensors))
        answered = {}
        for output in self._told(result)["outputs"]:
            values = answered[output["name"]] = result.as_numpy(output["name"])
            assert np_to_triton_dtype(values.dtype) == output["datatype"]
        return answered

    def declare(self, address: Address, shapes: Mapping[str, Sequence[int]]) -> None:
        inputs = [self._input(name, np.empty(0)) for name in shapes]
        for tensor, shape in zip(inputs, shapes.values(), strict=True):
            tensor.set_shape(list(shape))
        self._answer(_model(address), inputs, {}, None)

    def _answer(self, model: str, inputs: list[Any], configs: Mapping[str, str], outputs: list[str] | None) -> Any:
        try:
            return self._infer(model, inputs, dict(configs), outputs)
        except InferenceServerException as error:
            raise Refused((error.status(),), error.message()) from None

    def _tensor(self, name: str, type_: str, values: list[Any]) -> Any:
        dtype = object if type_ == "String" else np.dtype(type_.lower())
        return self._input(name, np.array(values, dtype=dtype).reshape(-1, 1))

    def _input(self, name: str, array: Array) -> Any:
        tensor = self.module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        return tensor.set_data_from_numpy(array, **self.binary)

    def _infer(self, model: str, tensors: list[Any], parameters: dict[str, Any], outputs: list[str] | None) -> Any:
        """``outputs``: those to expect, where they are not the metadata's."""
        raise NotImplementedError

    def _told(self, result: Any) -> dict[str, Any]:
        raise NotImplementedError

    def _outputs(self, model: str, configs: Mapping[str, str]) -> list[str]:
        """Names of the outputs that a request with these configs is answered."""
        if "h2o.outputs" in configs:
            return configs["h2o.outputs"].split(",")
        return self._metadata_outputs(self._client.get_model_metadata(model))

    def _metadata_outputs(self, metadata: Any) -> list[str]:
        raise NotImplementedError

    def close(self) -> None:
        self._client.close()


def _model(address: Address) -> str:
    return f"{address.organization}.{address.project}.{address.contract_number}"


def _column(told: Mapping[str, Any], tensor: np.ndarray) -> Column:
    assert list(tensor.shape) == [int(length) for length in told["shape"]]
    assert np_to_triton_dtype(tensor.dtype) == told["datatype"]
    rows = tensor.reshape(len(tensor), -1).tolist()
    if tensor.dtype == object:  # JSON has texts, raw tensors have bytes
        texts = [[text if isinstance(text, str) else text.decode() for text in row] for row in rows]
        return Column("String", (), texts)
    return Column(tensor.dtype.name.capitalize(), (), rows)


class TritonHttp(_Triton):
    """Tensors follow the JSON as they are in memory: the client's default."""

    refusals: ClassVar = {UNKNOWN_CONTRACT: ("404",), NO_ACTIVE_RELEASE: ("422",), UNFIT_DATA: ("422",)}
    module: ClassVar = triton_http

    def __init__(self, target: Target) -> None:
        url = target.http.removeprefix("http://")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of gevent's
            self._client = triton_http.InferenceServerClient(url, network_timeout=SECONDS)

    def _infer(self, model: str, tensors: list[Any], parameters: dict[str, Any], outputs: list[str] | None) -> Any:
        result = self._client.infer(model, tensors, parameters=parameters)
        assert all("data" not in output for output in result.get_response()["outputs"])
        return result

    def _told(self, result: Any) -> dict[str, Any]:
        return result.get_response()

    def _metadata_outputs(self, metadata: Any) -> list[str]:
        return [output["name"] for output in metadata["outputs"]]


class TritonJson(TritonHttp):
    """Tensors are numbers and texts in the JSON, both ways."""

    lacks: ClassVar = TritonHttp.lacks | {RAW_BYTES}
    binary: ClassVar = {"binary_data": False}

    def _infer(self, model: str, tensors: list[Any], parameters: dict[str, Any], outputs: list[str] | None) -> Any:
        # The client asks for binary answers unless outputs are named; there are none to name where nobody answers.
        names = outputs or (self._outputs(model, parameters) if self._client.is_model_ready(model) else [])
        asked = [triton_http.InferRequestedOutput(name, binary_data=False) for name in names]
        result = self._client.infer(model, tensors, outputs=asked, parameters=parameters)
        assert all("data" in output for output in result.get_response()["outputs"])
        return result


class TritonGrpc(_Triton):
    """Tensors are raw_input_contents and raw_output_contents."""

    refusals: ClassVar = {
        UNKNOWN_CONTRACT: ("StatusCode.NOT_FOUND",),
        NO_ACTIVE_RELEASE: ("StatusCode.FAILED_PRECONDITION",),
        UNFIT_DATA: ("StatusCode.INVALID_ARGUMENT",),
    }
    module: ClassVar = triton_grpc

    def __init__(self, target: Target) -> None:
        self._client = triton_grpc.InferenceServerClient(target.grpc)

    def _infer(self, model: str, tensors: list[Any], parameters: dict[str, Any], outputs: list[str] | None) -> Any:
        result = self._client.infer(model, tensors, parameters=parameters, client_timeout=SECONDS)
        answer = result.get_response()
        assert len(answer.raw_output_contents) == len(answer.outputs)
        return result

    def _told(self, result: Any) -> dict[str, Any]:
        answer = result.get_response()
        outputs = [{"name": o.name, "datatype": o.datatype, "shape": list(o.shape)} for o in answer.outputs]
        return {"model_name": answer.model_name, "model_version": answer.model_version, "outputs": outputs}

    def _metadata_outputs(self, metadata: Any) -> list[str]:
        return [output.name for output in metadata.outputs]
