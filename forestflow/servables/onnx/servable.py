"""The ONNX servable: named arrays in, named arrays out; a classifier's maps of probabilities become columns."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from forestflow.domain.errors import ForestFlowError, InvalidInput, LoadFailed, ModelFailed
from forestflow.domain.independence import Independence
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, ModelMetadata, Signature, TensorType
from forestflow.servables import labels, warming
from forestflow.servables.binding import Bindings
from forestflow.servables.onnx import types

Array = npt.NDArray[Any]

_DEFAULT = "serving_default"
_PROBE_ROWS = 2
_SLICE_ROWS = 256


class OnnxServable:
    """One session. Called from one thread at a time; ONNX Runtime's own threads are those that its settings allow."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._run = session.run
        self._labels: dict[str, tuple[str, ...]] = {}
        self._slice_rows = _SLICE_ROWS
        inputs = tuple([types.described(node, "input") for node in session.get_inputs()])
        outputs = tuple([types.described(node, "output") for node in session.get_outputs()])
        self._maps = {node.name for node in session.get_outputs() if types.is_map(node)}
        batched = bool(inputs) and all(io.shape[:1] == (-1,) for io in (*inputs, *outputs))
        self._reused = types.reused_rows((*session.get_inputs(), *session.get_outputs())) if batched else None
        self._free = any(-1 in io.shape[batched:] for io in inputs)
        signature = Signature(inputs, outputs, batched)
        if batched:
            signature = self._labelled(replace(signature, inputs=_rows_off(inputs), outputs=_rows_off(outputs)))
        self._metadata = ModelMetadata(signature.inputs, signature.outputs, {_DEFAULT: signature}, _DEFAULT)
        self._bindings = Bindings(self._metadata, self._call)

    @property
    def metadata(self) -> ModelMetadata:
        return self._metadata

    @property
    def slice_rows(self) -> int:
        return self._slice_rows

    def merge_key(self, configs: Mapping[str, str]) -> Hashable | None:
        return self._bindings.merge_key(configs)

    def independence(self, examples: Sequence[Batch] = ()) -> Mapping[str, Independence]:
        """Try the rows of the only signature, as :class:`~forestflow.servables.base.Servable` says."""
        if self._reused is not None:
            return {_DEFAULT: Independence(False, f"{self._reused!r} is the length of a first axis and of another one")}
        return self._bindings.independence({_DEFAULT: examples}, self._slice_rows)

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        """Raises what :class:`~forestflow.servables.base.Servable` says."""
        return labels.named(self._bindings.predict(batch, configs), self._labels)

    def warm_up(self) -> None:
        """Run made-up inputs, and measure how many rows a slice may have."""
        signature = self._metadata.signatures[_DEFAULT]
        try:
            if signature.batched:
                self._slice_rows = warming.slice_rows(lambda rows: self.predict(_made_up(signature, rows), {}))
            else:
                self.predict(_made_up(signature, 1), {})
        except ForestFlowError:  # a model may refuse made-up values; real ones tell why
            return

    def close(self) -> None:
        del self._run, self._session, self._bindings

    def _call(self, _: str, inputs: dict[str, Array], outputs: tuple[str, ...]) -> Mapping[str, Array]:
        try:
            answers = self._run(outputs, inputs)
        except ort_errors.InvalidArgument as error:
            raise InvalidInput(_reason(error)) from None
        except (ort_errors.Fail, ort_errors.RuntimeException) as error:
            # Where the client chooses inner sizes, those are what does not fit.
            raise (InvalidInput if self._free else ModelFailed)(f"the model failed: {_reason(error)}") from None
        return {name: self._array(name, answer) for name, answer in zip(outputs, answers, strict=True)}

    def _array(self, name: str, answer: Any) -> Array:
        if name not in self._maps:
            if isinstance(answer, np.ndarray):
                return answer
            raise ModelFailed(f"output {name!r} is a {type(answer).__name__}, not a tensor")
        if answer:
            self._labels[name] = tuple(map(str, answer[0]))
        dtype = DTYPES[next(io.type for io in self._metadata.outputs if io.name == name)]
        shape = len(answer), len(self._labels.get(name, ()))
        return np.array([list(row.values()) for row in answer], dtype).reshape(shape)

    def _labelled(self, signature: Signature) -> Signature:
        """The signature with the labels of a classifier, as two made-up rows show them."""
        self._metadata = ModelMetadata(signature.inputs, signature.outputs)
        if not self._maps:
            return signature
        made_up = _made_up(signature, _PROBE_ROWS)
        try:
            found = self._call(
                _DEFAULT,
                {column.fields[0]: column.data for column in made_up.columns},
                tuple(io.name for io in signature.outputs),
            )
        except ForestFlowError:
            return signature
        return replace(signature, outputs=tuple([self._completed(io, found[io.name]) for io in signature.outputs]))

    def _completed(self, io: IOMetadata, array: Array) -> IOMetadata:
        if io.name in self._maps:
            return replace(io, shape=array.shape[1:], description=labels.described(self._labels[io.name]))
        return io


def load_model(path: Path, resources: Resources) -> OnnxServable:
    """Load a checked file. Raises :class:`~forestflow.domain.errors.LoadFailed`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = resources.compute_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is told by exceptions
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the node's cores are shared
    providers = ["CPUExecutionProvider"]
    if resources.gpu:
        if "CUDAExecutionProvider" not in ort.get_available_providers():
            raise LoadFailed("resources.gpu is set, but this ONNX Runtime has no CUDA: install onnxruntime-gpu")
        providers.insert(0, "CUDAExecutionProvider")
    try:
        session = ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise LoadFailed(f"ONNX Runtime {ort.__version__} cannot load the model: {_reason(error)}") from None
    return OnnxServable(session)


def _rows_off(ios: tuple[IOMetadata, ...]) -> tuple[IOMetadata, ...]:
    return tuple([replace(io, shape=io.shape[1:]) for io in ios])


def _made_up(signature: Signature, rows: int) -> Batch:
    """Zeros and empty strings; sizes that are free are 1."""
    columns = []
    for io in signature.inputs:
        shape = (rows, *[1 if size < 0 else size for size in io.shape])
        empty = "" if io.type is TensorType.String else 0
        columns.append(Column(io.type, (io.name,), np.full(shape, empty, DTYPES[io.type])))
    return Batch(rows, tuple(columns), Layout.TENSORS if signature.batched else Layout.WHOLE)


def _reason(error: Exception) -> str:
    """The message of ONNX Runtime without its code, its source files and its addresses."""
    lines = str(error).strip().splitlines()
    text = ((lines[0] if lines else "") or type(error).__name__)[:2000]  # the searches take time by its square
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    return re.sub(r"\S*/\S+", "…", text)[:500]
