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
# integers up to 100, digits. Texts have more words in some rows than in others: models pad to the longest of a batch.
KINDS: tuple[Kind, ...] = ("usual", "gaps", "wide")

_SIZES = (3, 1, 64)  # of axes whose length is free: models may ask for some length at least
TEXTS = frozenset({TensorType.String, TensorType.Bytes})
_WIDEST = 100
# By row; whoever of the first three, or of the other four, stands alone or beside others is shorter than the longest.
_WORDS = (4, 1, 2, 0, 7, 3, 1)
_RANKS = (1, 0, 0, 1, 1, 0.6, 0.8)  # by row, among an example's texts by their length: 0 is the shortest
_GAP = " ,;|/:.-_\t\n"  # between words: one, at whatever a model splits its texts
_GAPS: dict[Kind, tuple[str, ...]] = {"usual": (_GAP,), "gaps": (_GAP,), "wide": (" ", ",")}


def drawn(inputs: Sequence[IOMetadata], kind: Kind, rows: int) -> Iterator[dict[str, Array]]:
    """Rows of that kind by input, once for each size that axes of free length may have.

    For models that refuse them, texts of several words, an empty one among them, are followed by simpler ones.
    """
    if kind == "gaps" and not any(DTYPES[io.type].kind == "f" for io in inputs):
        return
    free = any(size < 0 for io in inputs for size in io.shape)
    forms = [(gap, least) for gap in _GAPS[kind] for least in (0, 1)] if any(io.type in TEXTS for io in inputs) else []
    for size in _SIZES if free else _SIZES[:1]:
        shapes = {io.name: (rows, *[size if length < 0 else length for length in io.shape]) for io in inputs}
        for gap, least in [*forms, ("", 1)]:
            random = np.random.default_rng(7)
            counts = np.maximum(np.resize(_WORDS, rows), least) if gap else np.ones(rows, int)
            yield {
                io.name: _texts(io.type, shapes[io.name], kind, gap, counts, random)
                if io.type in TEXTS
                else _values(io.type, shapes[io.name], kind, random)
                for io in inputs
            }


def like(example: Mapping[str, Array], rows: int) -> Iterator[dict[str, Array]]:
    """The example's rows and others made of its values; then, in case a model refuses the latter, its rows alone.

    Texts are made of the example's words first, more of them in some rows than in others.
    """
    random = np.random.default_rng(7)
    repeated = {name: np.resize(values, (rows, *values.shape[1:])) for name, values in example.items() if len(values)}
    if len(repeated) < len(example):
        return
    varied = {name: _varied(values, len(example[name]), random) for name, values in repeated.items()}
    if phrases := {name: _phrases(values, random) for name, values in repeated.items() if values.dtype.kind == "O"}:
        yield {**varied, **phrases}
    yield varied
    yield repeated


def _values(kind: TensorType, shape: tuple[int, ...], draw: Kind, random: np.random.Generator) -> Array:
    dtype = DTYPES[kind]
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


def _texts(
    kind: TensorType, shape: tuple[int, ...], draw: Kind, gap: str, counts: Array, random: np.random.Generator
) -> Array:
    """Texts of ``counts`` words in each row."""
    texts = np.empty(shape, object)
    for row, count in zip(texts.reshape(len(texts), -1), counts.tolist(), strict=True):
        for i in range(row.size):
            words = [str(random.integers(0, _WIDEST)) if draw == "wide" else _word(random) for _ in range(count)]
            row[i] = gap.join(words).encode() if kind is TensorType.Bytes else gap.join(words)
    return texts


def _phrases(values: Array, random: np.random.Generator) -> Array:
    """Texts of the words that these have, as many in each row as made-up ones; as they are where they have none."""
    words = [word for text in values.reshape(-1) if isinstance(text, str | bytes) for word in text.split()]
    if not words:
        return values
    blank: Any = b" " if isinstance(words[0], bytes) else " "
    phrases = np.empty(values.shape, object)
    counts = np.maximum(np.resize(_WORDS, len(values)), 1)
    for row, count in zip(phrases.reshape(len(phrases), -1), counts.tolist(), strict=True):
        for i in range(row.size):
            row[i] = blank.join([words[at] for at in random.integers(0, len(words), count)])
    return phrases


def _by_length(texts: Array) -> Array:
    """The texts of each place, so that both the longest and the shortest are beside some rows and not beside others."""
    shares = np.resize(_RANKS, len(texts))
    ordered = np.empty(texts.shape, object)
    for place, column in zip(ordered.reshape(len(texts), -1).T, texts.reshape(len(texts), -1).T, strict=True):
        known = sorted(dict.fromkeys(column.tolist()), key=_length)
        place[:] = [known[round(share * (len(known) - 1))] for share in shares.tolist()]
    return ordered


def _length(text: Any) -> tuple[int, int]:
    return (len(text.split()), len(text)) if isinstance(text, str | bytes) else (0, 0)


def _word(random: np.random.Generator) -> str:
    return "".join(map(chr, random.integers(ord("a"), ord("z") + 1, random.integers(1, 7))))


def _varied(values: Array, given: int, random: np.random.Generator) -> Array:
    """The first ``given`` rows as they are, the others with floats moved a little and all values shuffled by place.

    Texts of several rows are in an order of their own.
    """
    if given > 1 and values.dtype.kind == "O":
        return _by_length(values)
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
