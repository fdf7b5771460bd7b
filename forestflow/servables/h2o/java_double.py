"""Text to number as ``java.lang.Double.parseDouble`` does it after ``String.trim``, which is how H2O reads text."""

from __future__ import annotations

import math
import re

# A run of digits can be read in one way only: two ways would take time by the square of its length.

_DECIMAL = re.compile(r"([+-]?)(?:(NaN)|(Infinity)|((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[fFdD]?)")
_HEX = re.compile(r"([+-]?)0[xX]((?:[0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?|\.[0-9a-fA-F]+))[pP]([+-]?[0-9]+)[fFdD]?")
_TRIMMED = "".join(map(chr, range(33)))


def parse_java_double(text: str) -> float:
    """The double nearest to ``text``; NaN where Java would throw NumberFormatException.

    Grammar: FloatValue in the documentation of ``java.lang.Double.valueOf``. Both languages round correctly.
    """
    text = text.strip(_TRIMMED)
    match = _DECIMAL.fullmatch(text)
    if match:
        sign, nan, infinity, digits = match.groups()
        value = math.nan if nan else math.inf if infinity else float(digits)
        return -value if sign == "-" else value
    match = _HEX.fullmatch(text)
    if not match:
        return math.nan
    sign, digits, exponent = match.groups()
    return -_hex(digits, exponent) if sign == "-" else _hex(digits, exponent)


def _hex(digits: str, exponent: str) -> float:
    if not digits.strip("0."):
        return 0.0
    try:
        return float.fromhex(f"0x{digits}p{exponent}")
    except OverflowError:
        return math.inf
    except ValueError:  # an exponent beyond a C long
        return 0.0 if exponent.startswith("-") else math.inf
