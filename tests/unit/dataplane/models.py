"""A small real servable for tests of the runtime: sums its numeric fields."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from forestflow.domain.errors import InvalidInput
from forestflow.domain.independence import Independence
from forestflow.domain.tensors import Batch, Column, IOMetadata, ModelMetadata, TensorType


class SumModel:
    """Adds up each row. Refuses rows that hold a negative number, and fails on rows that hold 13."""

    metadata = ModelMetadata((IOMetadata("numeric", TensorType.Float64, (2,)),))

    def __init__(self, slice_rows: int = 100) -> None:
        self.slice_rows = slice_rows
        self.calls: list[int] = []
        self.closed = False

    def merge_key(self, configs: Mapping[str, str]) -> Hashable:
        return configs.get("group", "")

    def independence(self, examples: Sequence[Batch] = ()) -> Mapping[str, Independence]:
        return {"serving_default": Independence(True, "each row is added up for itself")}

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        self.calls.append(batch.rows)
        data = batch.columns[0].data
        if (data < 0).any():
            raise InvalidInput("a negative number")
        if (data == 13).any():
            raise RuntimeError("thirteen")
        return Batch(batch.rows, (Column(TensorType.Float64, ("Sum",), np.sum(data, axis=1, keepdims=True)),))

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True
