"""TensorFlow's messages may hold what a client sent: a text that is no number, for one."""

from __future__ import annotations

import pytest

from forestflow.servables.tensorflow.failures import reason
from tests.growth import assert_linear


@pytest.mark.parametrize("part", [" ", "x", "/", "/-", "[[{{node ", "{{node ", "\\n", "\n", "\n  File ", "[Op:", "-/x"])
def test_a_reason_is_found_in_time_by_its_length(part: str) -> None:
    assert_linear(lambda n: ValueError(f"could not convert string: '{part * (n // len(part))}'"), reason, 2000)
    assert reason(ValueError("a" + part * 50_000)).startswith("a")
