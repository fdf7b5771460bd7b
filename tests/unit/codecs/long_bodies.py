"""Bodies of a few bytes, read as if they were long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from forestflow.codecs import tfinfer
from forestflow.codecs.basic import codec as basic
from forestflow.codecs.basic import pieces
from forestflow.codecs.json import long_json, packed
from forestflow.codecs.oip import rest as oip_rest
from forestflow.codecs.tfserving import rest as tfserving_rest


@contextmanager
def read_as_long(chunk: int = 8, few: int = 2) -> Iterator[None]:
    """Inside, bodies are cut every ``chunk`` bytes, and lists of more than ``few`` objects become columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_json, "CHUNK", chunk)
        patch.setattr(basic, "LONG_BODY", 1)
        patch.setattr(pieces, "PIECE_BYTES", chunk)
        patch.setattr(packed.loads, "__defaults__", (few,))
        for module in (packed, pieces, tfinfer, tfserving_rest, oip_rest):
            patch.setattr(module, "LONG", 2 * chunk)
        yield
