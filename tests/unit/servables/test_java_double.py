"""Numbers as Java reads them; the integration tests ask Java itself."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestflow.servables.h2o.java_double import parse_java_double
from tests.growth import assert_linear


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0), (" 1.5\n", 1.5), ("\x00\x1f7", 7.0), ("1d", 1.0), ("2F", 2.0), ("+.5", 0.5), ("5.", 5.0),
        ("1e3", 1000.0), ("1E+3f", 1000.0), ("Infinity", math.inf), ("-Infinity", -math.inf), ("1e400", math.inf),
        ("-1e-400", -0.0), ("0x1p3", 8.0), ("-0X.8P1d", -1.0), ("0x1p99999999999999999999", math.inf),
        ("0x1p-99999999999999999999", 0.0), ("0x0p99999999999999999999", 0.0), ("0x1p1024", math.inf),
        ("9007199254740993", 9007199254740992.0),
    ],
)  # fmt: skip
def test_numbers(text: str, value: float) -> None:
    assert parse_java_double(text).hex() == value.hex()


@pytest.mark.parametrize(
    "text",
    ["", " ", "nan", "inf", "infinity", "INFINITY", "1_000", "1,5", "1L", "0x10", "0x1", ".", "-", "+", "e5", "1e",
     "1 2", "\u00a01", "\u0663", "1\u2003", "NaN", "+NaN", "-NaN", "NaNd", "Infinityf", "0x.p1", "--1", "1ff"],
)  # fmt: skip
def test_nan(text: str) -> None:
    assert math.isnan(parse_java_double(text))


@pytest.mark.parametrize("text", ["1", "1.", ".1", "0x1", "0x1.", "1e", " ", "1f"])
def test_long_texts(text: str) -> None:
    """Anybody may send them for a number."""
    assert_linear(lambda n: text + "1" * n + "x", parse_java_double, 2000)
    assert_linear(lambda n: text * n + "x", parse_java_double, 2000)


@given(st.floats(allow_nan=False))
def test_what_python_prints_comes_back(value: float) -> None:
    text = repr(value).replace("inf", "Infinity")
    assert parse_java_double(text).hex() == value.hex()
    if math.isfinite(value):
        assert parse_java_double(value.hex()).hex() == value.hex()
