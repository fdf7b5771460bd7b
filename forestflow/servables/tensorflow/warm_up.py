"""The first calls of a model, before anybody waits for one: tracing, kernels, memory; and how fast it is.

A SavedModel may bring requests for it, ``assets.extra/tf_serving_warmup_requests``: a TFRecord file of PredictionLog
messages, as TensorFlow Serving reads it. Other models, and other signatures, get zeros and empty strings of the
declared shape.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from forestflow.domain.errors import ForestFlowError, LoadFailed
from forestflow.domain.requests import OUTPUTS_KEY, SIGNATURE_KEY
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, ModelMetadata, Signature, TensorType
from forestflow.servables import warming
from forestflow.servables.binding import type_of

REQUESTS = Path("assets.extra", "tf_serving_warmup_requests")
MAX_REQUESTS = 1000  # TensorFlow Serving reads as many

_MAX_BYTES = 64 << 20  # of one made-up input
_USUAL_ROWS = range(1, 65)  # of merged requests; kernels are chosen and kept for each size
_USUAL_SECONDS = 0.5
_KEPT = 3

Predict = Callable[[Batch, Mapping[str, str]], Batch]

_log = logging.getLogger("forestflow.tensorflow")


class WarmUp:
    """For one model, at ``path`` where it is a SavedModel."""

    def __init__(self, metadata: ModelMetadata, predict: Predict, path: Path | None) -> None:
        self._metadata = metadata
        self._signatures = metadata.every_signature()
        self._predict = predict
        self._path = path
        self.own_requests: dict[str, list[Batch]] = {}  # by signature, the last few that ran

    def run(self) -> int:
        """How many rows the default signature takes in a few milliseconds.

        Raises :class:`~forestflow.domain.errors.LoadFailed` when a request that the model brings fails.
        """
        samples = self._run_own_requests()
        for name, signature in self._signatures.items():
            if name not in samples:
                made_up = _made_up(signature)
                try:
                    self._predict(made_up, {SIGNATURE_KEY: name})
                except ForestFlowError as error:  # it may refuse what is made up; real requests tell why
                    _log.info("signature %s is not warmed up: %s", name, error)
                    continue
                samples[name] = made_up
        default = self._metadata.default
        if default not in samples:
            return 1
        if self._signatures[default].batched:
            return self._slice(samples[default])
        one = samples[default]  # records are called for one by one
        return warming.slice_rows(lambda rows: [self._predict(one, {}) for _ in range(rows)], settle_seconds=0)

    def _run_own_requests(self) -> dict[str, Batch]:
        """Run the requests that the model brings; the last of each signature."""
        file = self._path / REQUESTS if self._path else None
        samples: dict[str, Batch] = {}
        if file is None or not file.is_file():
            return samples
        try:
            for i, record in enumerate(tf.data.TFRecordDataset(str(file)).take(MAX_REQUESTS).as_numpy_iterator()):
                for batch, configs in self._requests(record, i):
                    self._predict(batch, configs)
                    if batch.rows:
                        samples[configs[SIGNATURE_KEY]] = batch
                        kept = self.own_requests.setdefault(configs[SIGNATURE_KEY], [])
                        kept.append(batch)
                        del kept[:-_KEPT]
        except tf.errors.DataLossError as error:
            raise LoadFailed(f"{REQUESTS} is damaged") from error
        except ForestFlowError as error:
            raise LoadFailed(f"request {i} of {REQUESTS} fails: {error}") from error
        return samples

    def _requests(self, record: bytes, number: int) -> Iterator[tuple[Batch, dict[str, str]]]:
        from google.protobuf.message import DecodeError
        from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog  # type: ignore[import-untyped]

        log = PredictionLog()
        try:
            log.ParseFromString(record)
        except DecodeError as error:
            raise LoadFailed(f"request {number} of {REQUESTS} is not a PredictionLog") from error
        kind = log.WhichOneof("log_type")
        if kind not in ("predict_log", "classify_log", "regress_log"):
            _log.warning("request %d of %s is left out: it is a %s", number, REQUESTS, kind)
            return
        request = getattr(log, kind).request
        name = request.model_spec.signature_name or self._metadata.default
        signature = self._signatures.get(name)
        if signature is None:
            raise LoadFailed(f"request {number} of {REQUESTS} is for the signature {name!r}, which there is not")
        if kind == "predict_log":
            tensors = {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()}
            outputs = ",".join(request.output_filter)
        else:
            given = getattr(request.input, request.input.WhichOneof("kind") or "example_list")
            # Messages one after the other are one message with the features of both.
            context = given.context.SerializeToString() if hasattr(given, "context") else b""
            serialized = [context + example.SerializeToString() for example in given.examples]
            tensors, outputs = {signature.inputs[0].name: np.array(serialized, dtype=object)}, ""
        yield _batch(tensors), {SIGNATURE_KEY: name, OUTPUTS_KEY: outputs}

    def _slice(self, sample: Batch) -> int:
        """After a call with each number of rows that requests are merged to.

        A model may refuse some of these numbers: then it runs every request alone and whole.
        """
        began = time.perf_counter()
        try:
            for rows in _USUAL_ROWS:
                self._predict(_repeated(sample, rows), {})
                if time.perf_counter() - began > _USUAL_SECONDS:
                    break
            row_bytes = max(column.data[:1].nbytes for column in sample.columns)
            return warming.slice_rows(
                lambda rows: self._predict(_repeated(sample, rows), {}),
                max_rows=max(1, min(warming.MAX_ROWS, _MAX_BYTES // max(1, row_bytes))),
                settle_seconds=0,
            )
        except ForestFlowError as error:
            _log.info("the rows of a slice were not measured: %s", error)
            return 1


def _made_up(signature: Signature) -> Batch:
    def array(io: IOMetadata) -> Any:
        shape = (1,) if io.any_rank else tuple(1 if size < 0 else size for size in io.shape)
        texts = io.type in (TensorType.String, TensorType.Bytes)
        return np.full((1, *shape) if signature.batched else shape, b"" if texts else 0, DTYPES[io.type])

    return _batch({io.name: array(io) for io in signature.inputs})


def _batch(tensors: Mapping[str, Any]) -> Batch:
    """Tensors as a client would send them; what numpy has no type for (bfloat16) as float32."""
    arrays = {
        name: array if array.dtype == object or type_of(array.dtype) else array.astype(np.float32)
        for name, array in tensors.items()
    }
    return Batch.of_tensors(
        [Column(type_of(array.dtype) or TensorType.Bytes, (name,), array) for name, array in arrays.items()]
    )


def _repeated(sample: Batch, rows: int) -> Batch:
    """``rows`` rows of the sample, over and over."""
    chosen = np.arange(rows) % sample.rows
    return Batch(rows, tuple(Column(c.type, c.fields, c.data[chosen]) for c in sample.columns), sample.layout)
