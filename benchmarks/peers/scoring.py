"""The same scoring as ours for a peer: BASIC JSON bytes in and out, by our own H2O servable and orjson."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from benchmarks import payloads
from forestflow.domain.requests import H2OMojo
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import Batch, Column, TensorType, concat
from forestflow.servables.loading import load

_FQRV = {
    "contract": {"organization": "samples", "project": "energy_output", "contractNumber": 0},
    "releaseVersion": "v1",
}


class BasicScorer:
    """The example MOJO behind a function of bytes. Call it from one thread at a time."""

    def __init__(self) -> None:
        self._servable = load(payloads.MODELS / payloads.MOJO, H2OMojo(payloads.MOJO), Resources())
        self._servable.warm_up()

    def score(self, body: bytes) -> bytes:
        """Answer one request."""
        return self.score_many([body])[0]

    def score_many(self, bodies: list[bytes]) -> list[bytes]:
        """Answer several requests with one prediction over all their rows."""
        batches = [_decode(body) for body in bodies]
        answer = self._servable.predict(concat(batches), {})
        results, start = [], 0
        for each in batches:
            results.append(_encode(answer.slice(start, start + each.rows)))
            start += each.rows
        return results


def _decode(body: bytes) -> Batch:
    request: dict[str, Any] = orjson.loads(body)
    rows = [datum["tensors"][0]["Float64"]["data"] for datum in request["datum"]]
    fields = tuple(request["schema"][0]["fields"])
    return Batch(len(rows), (Column(TensorType.Float64, fields, np.array(rows, np.float64)),))


def _encode(batch: Batch) -> bytes:
    column = batch.columns[0]
    datum = [{"tensors": [{"Float64": {"data": row}}]} for row in column.data.reshape(batch.rows, -1).tolist()]
    schema = [{"type": column.type.name, "fields": column.fields}]
    return orjson.dumps({"Prediction": {"fqrv": _FQRV, "schema": schema, "datum": datum}})
