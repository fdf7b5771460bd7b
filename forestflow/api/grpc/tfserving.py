"""TensorFlow Serving's gRPC services: PredictionService but for MultiInference, and ModelService's GetModelStatus.

A request's model is read here, and of a prediction nothing else: its tensors go on to the replica as they came.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from forestflow.api.grpc.errors import STATUS
from forestflow.api.grpc.methods import Call, Handler, unary
from forestflow.api.tfserving import TfServing, scored
from forestflow.codecs.envelope import pack
from forestflow.codecs.table import TFSERVING_GRPC
from forestflow.codecs.tfserving import documents
from forestflow.codecs.tfserving.documents import spec_of
from forestflow.codecs.tfserving.rest import CLASSIFY, PREDICT, REGRESS
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.domain.errors import Code

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"

STATUSES: Mapping[Code, grpc.StatusCode] = {**STATUS, Code.NO_ACTIVE_SERVABLE: grpc.StatusCode.NOT_FOUND}


def services(serving: TfServing, dispatcher: Dispatcher) -> dict[str, dict[str, grpc.RpcMethodHandler]]:
    """The methods of each service."""

    def method(handler: Handler) -> grpc.RpcMethodHandler:
        return unary(handler, dispatcher, STATUSES)

    async def metadata(message: bytes, _call: Call) -> bytes:
        spec = spec_of(message)
        documents.check_metadata_fields(message)
        fqrv, told = await serving.metadata(serving.target(spec))
        return documents.metadata_message(spec.model, fqrv.release_version, told)

    async def status(message: bytes, _call: Call) -> bytes:
        return documents.status_message(await serving.status(spec_of(message)))

    return {
        PREDICTION_SERVICE: {
            "Predict": method(_scoring(serving, PREDICT)),
            "Classify": method(_scoring(serving, CLASSIFY)),
            "Regress": method(_scoring(serving, REGRESS)),
            "GetModelMetadata": method(metadata),
        },
        MODEL_SERVICE: {"GetModelStatus": method(status)},
    }


def _scoring(serving: TfServing, verb: str) -> Handler:
    async def score(message: bytes, call: Call) -> bytes:
        target = serving.target(spec_of(message))
        head = {"verb": verb, "model": target.spec.model, "signature": await serving.signature(target, verb)}
        return await scored(call.score, target, TFSERVING_GRPC, pack(head, message))

    return score
