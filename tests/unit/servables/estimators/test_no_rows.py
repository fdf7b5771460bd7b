"""A tensor without rows is legal, and stays one until a framework says what it thinks of it."""

from __future__ import annotations

import numpy as np
import pytest

from forestflow.domain.tensors import Batch, Column, IOMetadata, TensorType
from forestflow.servables.estimators.inputs import Inputs, NamedColumns

F64 = TensorType.Float64
NAMED = NamedColumns(Inputs((IOMetadata("a", F64), IOMetadata("b", F64))))


@pytest.mark.parametrize("inner", [(), (1,)])
def test_named_columns(inner: tuple[int, ...]) -> None:
    tensors = [Column(F64, (name,), np.empty((0, *inner))) for name in ("b", "a")]
    (matrix,) = NAMED.joined(Batch.of_tensors(tensors)).columns
    assert matrix.data.shape == (0, 2)
