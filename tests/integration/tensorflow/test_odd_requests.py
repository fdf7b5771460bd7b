"""What clients send may be odd: their texts in TensorFlow's messages, features of no examples."""

from __future__ import annotations

import numpy as np
import pytest

from forestflow.domain.tensors import Batch, Column, TensorType
from forestflow.servables.tensorflow.examples import with_examples
from forestflow.servables.tensorflow.failures import reason
from tests.growth import assert_linear


@pytest.mark.parametrize("part", [" ", "x", "/", "/-", "[[{{node ", "{{node ", "\\n", "\n", "\n  File ", "[Op:", "-/x"])
def test_a_reason_is_found_in_time_by_its_length(part: str) -> None:
    assert_linear(lambda n: ValueError(f"could not convert string: '{part * (n // len(part))}'"), reason, 2000)
    assert reason(ValueError("a" + part * 50_000)).startswith("a")


def test_features_of_no_examples() -> None:
    features = Batch.of_tensors([Column(TensorType.Float64, ("a",), np.empty((0, 3)))])
    assert with_examples(features, "examples").columns[0].data.shape == (0,)
