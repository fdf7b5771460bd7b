"""Made-up rows for trying a model: several kinds of random values, seeded, and rows like those of an example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from forestflow.domain.tensors import DTYPES, IOMetadata, TensorType

Array = npt.NDArray[Any]
Kind = Literal["usual", "gaps", "wide"]

# usual: floats around 0, integers 0 and 1, words. gaps: the same floats, NaN in some rows. wide: floats of many sizes,
# integers up to 100, digits.
KINDS: tuple[Kind, ...] = ("usual", "gaps", "wide")

_SIZES = (3, 1, 64)  # of axes whose length is free: models may ask for some length at least
_TEXTS = frozenset({TensorType.String, TensorType.Bytes})
_WIDEST = 100


def drawn(inputs: Sequence[IOMetadata], kind: Kind, rows: int) -> Iterator[dict[str, Array]]:
    """Rows of that kind by input, once for each size that axes of free length may have."""
    if kind == "gaps" and not any(DTYPES[io.type].kind == "f" for io in inputs):
        return
    free = any(size < 0 for io in inputs for size in io.shape)
    for size in _SIZES if free else _SIZES[:1]:
        random = np.random.default_rng(7)
        shapes = {io.name: (rows, *[size if length < 0 else length for length in io.shape]) for io in inputs}
        yield {io.name: _values(io.type, shapes[io.name], kind, random) for io in inputs}


def like(example: Mapping[str, Array], rows: int) -> Iterator[dict[str, Array]]:
    """The example's rows and others made of its values; then, in case a model refuses the latter, its rows alone."""
    random = np.random.default_rng(7)
    repeated = {name: np.resize(values, (rows, *values.shape[1:])) for name, values in example.items() if len(values)}
    if len(repeated) < len(example):
        return
    yield {name: _varied(values, len(example[name]), random) for name, values in repeated.items()}
    yield repeated


def _values(kind: TensorType, shape: tuple[int, ...], draw: Kind, random: np.random.Generator) -> Array:
    dtype = DTYPES[kind]
    if kind in _TEXTS:
        return _texts(kind, shape, draw, random)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        return random.integers(0, _WIDEST if draw == "wide" else 2, shape).astype(dtype)
    values = random.standard_normal(shape)
    if draw == "wide":
        values *= 10.0 ** random.uniform(-2, 4, (shape[0], *[1] * (len(shape) - 1)))
    if draw == "gaps":
        some = values[1::4].reshape(len(values[1::4]), -1)  # so that beside each of these are rows without
        some[random.random(some.shape) < 0.25] = np.nan
        some[:, :1] = np.nan
        values[1::4] = some.reshape(values[1::4].shape)
    return np.clip(values, np.finfo(dtype).min, np.finfo(dtype).max).astype(dtype)


def _texts(kind: TensorType, shape: tuple[int, ...], draw: Kind, random: np.random.Generator) -> Array:
    texts = np.empty(shape, object)
    flat = texts.reshape(-1)
    for i in range(flat.size):
        word = str(random.integers(0, _WIDEST)) if draw == "wide" else _word(random)
        flat[i] = word.encode() if kind is TensorType.Bytes else word
    return texts


def _word(random: np.random.Generator) -> str:
    return "".join(map(chr, random.integers(ord("a"), ord("z") + 1, random.integers(1, 7))))


def _varied(values: Array, given: int, random: np.random.Generator) -> Array:
    """The first ``given`` rows as they are, the others with floats moved a little and all values shuffled by place."""
    varied = values.copy()
    if values.dtype.kind == "f":
        spread = np.where(np.isfinite(values), np.abs(values), 0) * 0.25 + 0.01
        varied = (varied + spread * random.standard_normal(values.shape)).astype(values.dtype)
    if given > 1:
        varied = random.permuted(varied, axis=0)
    elif values.dtype.kind != "f" and values.ndim > 1:
        varied = random.permuted(varied.reshape(len(values), -1), axis=1).reshape(values.shape)
    varied[:given] = values[:given]
    return varied
