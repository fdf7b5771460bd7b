"""A request of each protocol with two rows of floats: what codecs are tried with before clients come.

Payloads as replicas get them. Modules are loaded when they are needed: loading them is most of what is tried.
"""

from __future__ import annotations

import numpy as np
import orjson

from forestflow.codecs.control.examples import INFERENCE_REQUEST
from forestflow.domain.tensors import Column, IOMetadata, Signature, TensorType

_FIELDS: list[str] = INFERENCE_REQUEST["schema"][0]["fields"]
_ROWS: list[list[float]] = [datum["tensors"][0]["Float64"]["data"] for datum in INFERENCE_REQUEST["datum"]]
_SIGNATURE = Signature((IOMetadata("x", TensorType.Float64, (len(_ROWS[0]),)),))


def basic() -> bytes:
    return orjson.dumps(INFERENCE_REQUEST)


def protobuf() -> bytes:
    from forestflow._gen import inference_pb2 as pb

    datums = [pb.Datum(tensors=[pb.Tensor(Float64=pb.Float64Data(data=row))]) for row in _ROWS]
    schema = [pb.TensorSchema(type=pb.TensorType.Float64, fields=_FIELDS)]
    return pb.InferenceRequest(schema=schema, datum=datums).SerializeToString()


def tfserving_rest() -> bytes:
    from forestflow.codecs.envelope import pack

    return pack({"verb": "predict", "signature": ""}, orjson.dumps({"instances": _ROWS}))


def tfserving_grpc() -> bytes:
    from forestflow._gen import tensorflow_serving_pb2 as pb
    from forestflow.codecs.envelope import pack
    from forestflow.codecs.tfserving import tensors as tf_tensors

    request = pb.PredictRequest()
    tf_tensors.fill(_column("x"), request.inputs["x"])
    return pack({"verb": "predict", "model": "m", "signature": ""}, request.SerializeToString())


def graphpipe() -> bytes:
    from forestflow.codecs.graphpipe.codec import payload_of
    from forestflow.codecs.graphpipe.writer import infer_request

    return payload_of(infer_request([_column("")]))


def tfinfer() -> bytes:
    from forestflow.codecs.tfinfer import payload_of

    return payload_of("predict", _SIGNATURE, orjson.dumps([{"x": row} for row in _ROWS]), transpose=True)


def oip_rest() -> bytes:
    from forestflow.codecs.envelope import pack

    tensor = {"name": "x", "shape": [2, len(_ROWS[0])], "datatype": "FP64", "data": _ROWS}
    return pack({"model": "m", "version": None, "json": None}, orjson.dumps({"inputs": [tensor]}))


def oip_grpc() -> bytes:
    from forestflow._gen.open_inference_pb2 import InferTensor, ModelInferRequest

    data = _column("x").data
    tensor = InferTensor(name="x", datatype="FP64", shape=data.shape)
    return ModelInferRequest(model_name="m", inputs=[tensor], raw_input_contents=[data.tobytes()]).SerializeToString()


def _column(name: str) -> Column:
    return Column(TensorType.Float64, (name,), np.array(_ROWS, np.float64))
