"""A request of very many fields that a model does not have takes time by their number, from its bytes to an answer."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from forestflow._gen import tensorflow_serving_pb2 as pb
from forestflow.codecs.envelope import pack
from forestflow.codecs.table import BASIC, TFSERVING_GRPC, codec_for
from forestflow.dataplane.unknown_fields import Tolerance
from forestflow.domain.errors import UnknownInputs
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.settings import UnknownFields
from forestflow.domain.tensors import Batch, IOMetadata, ModelMetadata, TensorType
from forestflow.servables.binding import Bindings
from forestflow.servables.estimators.inputs import Inputs, NamedColumns
from forestflow.servables.h2o.inputs import Feature, InputRows
from forestflow.servables.h2o.tensors import records_of
from forestflow.servables.python.servable import PythonServable
from tests.growth import assert_linear

FQRV = Fqrv(Contract("o", "p", 0), "v")
WIDTH = 300  # of the models: checks of each of their inputs among the fields would be felt, too
NAMES = [f"x{i}" for i in range(WIDTH)]
INPUTS = tuple(IOMetadata(name, TensorType.Float64) for name in NAMES)
LENGTH = 1500


class Columns:
    inputs = "columns"
    batched = True
    metadata = {"inputs": [{"name": name, "type": "Float64"} for name in NAMES]}  # noqa: RUF012

    def predict(self, columns):
        return sum(columns.values())


def of_h2o(batch: Batch) -> object:
    rows = InputRows([Feature(name, place) for place, name in enumerate(NAMES)], WIDTH)
    if batch.layout.name == "RECORDS":
        rows.check(batch)
    else:
        batch = records_of(rows, batch)
    rows.write(batch, 0, batch.rows, np.zeros((batch.rows, WIDTH + 1)))
    return batch


BOUND = Bindings(ModelMetadata(INPUTS, (IOMetadata("y", TensorType.Float64),)), lambda _, given, __: {"y": given["x0"]})
MODELS: dict[str, Callable[[Batch], object]] = {
    "bindings": lambda batch: BOUND.predict(batch, {}),
    "estimator": NamedColumns(Inputs(INPUTS)).joined,
    "H2O": of_h2o,
    "python": lambda batch: PythonServable(Columns()).predict(batch, {}),
}


def fields(count: int) -> list[str]:
    """Put the model's own fields last, so that whoever looks for them has passed all others."""
    return [*(f"unknown{i}" for i in range(count)), *NAMES]


def entry(count: int) -> bytes:
    names = fields(count)
    datum = {"tensors": [{"Float64": {"data": [1.0] * len(names)}}]}
    return json.dumps({"schema": [{"type": "Float64", "fields": names}], "datum": [datum]}).encode()


def entries(count: int) -> bytes:
    names = ["unknown" + str(i) for i in range(count)]
    tensors = [{"Float64": {"data": [1.0] * WIDTH}}, *[{"Float64": {"data": [1.0]}}] * count]
    schema = [{"type": "Float64", "fields": given} for given in [NAMES, *[[name] for name in names]]]
    return json.dumps({"schema": schema, "datum": [{"tensors": tensors}]}).encode()


def served(count: int) -> bytes:
    request = pb.PredictRequest()
    for name in fields(count):
        tensor = request.inputs[name]
        tensor.dtype = pb.DT_DOUBLE
        tensor.tensor_shape.dim.add().size = 1
        tensor.double_val.append(1.0)
    return pack({"verb": "predict", "signature": "", "model": "m"}, request.SerializeToString())


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize(
    ("codec", "body"),
    [(BASIC, entry), (BASIC, entries), (TFSERVING_GRPC, served)],
    ids=["one entry", "many entries", "tensors"],
)
def test_time_grows_with_their_number(
    codec: int, body: Callable[[int], bytes], model: Callable[[Batch], object]
) -> None:
    decode = codec_for(codec, FQRV).decode

    def ask(payload: bytes) -> None:
        batch = decode(payload).batch
        with pytest.raises(UnknownInputs) as caught:
            model(batch)
        tolerance = Tolerance(FQRV, UnknownFields.WARN)
        tolerance.report(caught.value)
        model(tolerance.known(batch, caught.value))

    assert_linear(body, ask, LENGTH)
