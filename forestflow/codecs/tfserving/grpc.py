"""PredictionService's Predict, Classify and Regress, read and answered.

The call's part of a request comes in the envelope's head: ``verb``, ``model`` (the name that the client used) and
``signature``, which is called where the message names none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from forestflow._gen import tensorflow_serving_pb2 as pb
from forestflow.codecs.envelope import unpack
from forestflow.codecs.json import nested
from forestflow.codecs.request import ScoreRequest
from forestflow.codecs.shapes import Room
from forestflow.codecs.tfserving import tensors as tf_tensors
from forestflow.codecs.tfserving.examples import check_context
from forestflow.codecs.tfserving.rest import CLASSIFY, PREDICT
from forestflow.domain.errors import ForestFlowError, InvalidInput, Malformed, ModelFailed
from forestflow.domain.ids import Fqrv
from forestflow.domain.naming import version_of_name
from forestflow.domain.requests import OUTPUTS_KEY, SIGNATURE_KEY
from forestflow.domain.tensors import Batch, Column, TensorType


@dataclass(frozen=True, slots=True)
class Asked:
    """What the answer says again; and how many examples it is for, where it is by example."""

    verb: str
    model: str
    signature: str
    examples: int = 0


def decode_request(payload: bytes | memoryview) -> ScoreRequest:
    """An enveloped message as named tensors. Raises Malformed, InvalidInput."""
    head, body = unpack(payload)
    verb = head["verb"]
    try:
        if verb == PREDICT:
            predict = pb.PredictRequest.FromString(bytes(body))
            return _predict(predict, head, Room(len(body)))
        examples = pb.ExampleRequest.FromString(bytes(body))
    except DecodeError as error:
        raise Malformed(f"not a request of PredictionService: {error}") from None
    serialized = _examples(examples.input)
    asked = _asked(examples.model_spec, head, len(serialized.data))
    return ScoreRequest(nested.batch_of([serialized]), _configs(asked), asked)


def _predict(request: pb.PredictRequest, head: dict[str, Any], room: Room) -> ScoreRequest:
    asked = _asked(request.model_spec, head)
    configs = _configs(asked)
    if request.output_filter:
        configs[OUTPUTS_KEY] = ",".join(request.output_filter)
    columns = [tf_tensors.column_of(name, request.inputs[name], room) for name in sorted(request.inputs)]
    return ScoreRequest(nested.batch_of(columns), configs, asked)


def _asked(spec: pb.ModelSpec, head: dict[str, Any], examples: int = 0) -> Asked:
    return Asked(head["verb"], head["model"], spec.signature_name or head["signature"], examples)


def _configs(asked: Asked) -> dict[str, str]:
    return {SIGNATURE_KEY: asked.signature} if asked.signature else {}


def _examples(given: pb.Input) -> Column:
    """One serialized tf.Example each; those with a context in common have its features before their own."""
    if given.WhichOneof("kind") == "example_list_with_context":
        context, own = given.example_list_with_context.context, given.example_list_with_context.examples
        check_context(len(context), len(own))
        examples = [context + example for example in own]
    else:
        examples = list(given.example_list.examples)
    if not examples:
        raise InvalidInput("Input is empty.")
    serialized = np.empty(len(examples), object)
    serialized[:] = examples
    return Column(TensorType.Bytes, ("",), serialized)


def encode_answer(fqrv: Fqrv, batch: Batch, asked: Asked) -> bytes:
    """The serialized response. Raises ModelFailed for outputs that it cannot hold."""
    outputs = nested.tensors(batch)
    if asked.verb != PREDICT:
        _check_rows(outputs, asked.examples)
    response: pb.PredictResponse | pb.ClassificationResponse | pb.RegressionResponse
    if asked.verb == PREDICT:
        response = pb.PredictResponse()
        for name, column in outputs:
            tf_tensors.fill(column, response.outputs[name])
    elif asked.verb == CLASSIFY:
        response = _classified(dict(outputs))
    else:
        response = _regressed(outputs)
    response.model_spec.name = asked.model
    response.model_spec.version.value = version_of_name(fqrv.release_version)
    response.model_spec.signature_name = asked.signature
    return response.SerializeToString(deterministic=True)


def _check_rows(outputs: list[tuple[str, Column]], examples: int) -> None:
    for name, column in outputs:
        if column.data.shape[:1] != (examples,):
            raise InvalidInput(f"output {name!r} has the shape {list(column.data.shape)} for {examples} examples")


def _classified(outputs: dict[str, Column]) -> pb.ClassificationResponse:
    classes, scores = outputs.get("classes"), outputs.get("scores")
    if classes is None and scores is None:
        raise ModelFailed(f"the model answers {', '.join(outputs)}; a classification has classes, scores or both")
    response = pb.ClassificationResponse()
    labels = None if classes is None else _per_example(classes)
    values = None if scores is None else _per_example(scores)
    for i in range(len(labels if labels is not None else values or ())):
        found = response.result.classifications.add()
        width = len(labels[i] if labels is not None else values[i])  # type: ignore[index]
        for k in range(width):
            label = "" if labels is None else labels[i][k]
            score = 0.0 if values is None else values[i][k]
            found.classes.add(label=label, score=score)
    return response


def _per_example(column: Column) -> list[list[Any]]:
    data = column.data.reshape(len(column.data), -1)
    return data.tolist() if column.type is not TensorType.Bytes else [[v.decode() for v in row] for row in data]


def _regressed(outputs: list[tuple[str, Column]]) -> pb.RegressionResponse:
    values = [column.data for _, column in outputs if column.data.dtype.kind in "iuf"]
    if len(values) != 1 or values[0].size != len(values[0]):
        raise ModelFailed("the model does not answer one number for each example, as a regression does")
    response = pb.RegressionResponse()
    for value in values[0].reshape(-1).tolist():
        response.result.regressions.add(value=value)
    return response


class TfServingGrpcCodec:
    """:class:`forestflow.codecs.table.ClientCodec`; errors are their message, gRPC carries the rest."""

    def __init__(self, fqrv: Fqrv) -> None:
        self._fqrv = fqrv
        self.decode = decode_request

    def encode(self, batch: Batch, context: Asked) -> bytes:
        return encode_answer(self._fqrv, batch, context)

    def encode_records(self, batch: Batch, releases: Sequence[Fqrv], owners: Sequence[int], context: Asked) -> bytes:
        return encode_answer(self._fqrv, batch, context)

    def encode_error(self, error: ForestFlowError, request_id: str) -> bytes:
        return error.message.encode(errors="replace")
