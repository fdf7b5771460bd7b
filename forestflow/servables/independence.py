"""Whether a model answers each row for itself, found out by asking it when it is loaded.

Only then may rows of several requests run as one batch, and a long request in slices: a model that normalizes over its
batch, or sorts it, would answer one client with what another one sent.

Theory of operation. A trial draws seven rows and asks for them in two calls, of three and of four. Then it asks for the
same rows in other company: alone, in another order, beside rows of the other call, in greater numbers. Each row must
have the answer that it had before, but for what kernels of other sizes round differently. The first trials take the
model's own examples, where it has some, the others seeded random values of several kinds. One row with another answer
shows that rows depend on each other. That they do not was shown when every call of a trial agreed, the answers to its
rows were not all the same, and neither were its texts: a model may pad them to the longest of a batch. Whatever was not
shown is taken for dependent, and a model that is random, or keeps a state, was not.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import ForestFlowError
from forestflow.domain.independence import Independence, IndependentRows
from forestflow.domain.requests import SIGNATURE_KEY
from forestflow.domain.tensors import IOMetadata
from forestflow.servables import samples
from forestflow.servables.base import Servable

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
Run = Callable[[dict[str, Array]], Arrays]  # inputs by name, rows first, to outputs by name; raises ForestFlowError
MergeKey = Callable[[Mapping[str, str]], Hashable | None]

MAX_ROWS = 256  # of one call
SECONDS = 0.3  # over which no further trial begins, once one has told

_FIRST, _SECOND = [0, 1, 2], [3, 4, 5, 6]
_FEW = ([1], [5, 0, 3, 2])  # however slow the model is
_MORE = ([6, 4], [4, 6, 2, 0, 1, 5, 3])
_MANY = 33
NO_ROWS = Independence(False, "its inputs and outputs have no first axis of any length, the rows, in common")
_BY_SETTING = {
    IndependentRows.YES: Independence(True, "the release's settings say so: merging.independentRows is yes"),
    IndependentRows.NO: Independence(False, "the release's settings say so: merging.independentRows is no"),
}

# What kernels of other sizes may round differently, relative to the largest value in that place of the rows.
_TOLERANCES = {np.dtype(np.float16): 2e-2, np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-5}


class _Depends(Exception):
    """A row has another answer in other company."""


def settled(servable: Servable, wanted: IndependentRows) -> Mapping[str, Independence]:
    """What is known of each signature of a servable that was warmed up; the settings count more than what is found."""
    if wanted is IndependentRows.AUTO:
        return servable.independence()
    word = _BY_SETTING[wanted]
    return {
        name: NO_ROWS if word.shown and servable.merge_key({SIGNATURE_KEY: name}) is None else word
        for name in servable.metadata.every_signature()
    }


def merge_key(servable: Servable, known: Mapping[str, Independence]) -> MergeKey:
    """The servable's ``merge_key`` for signatures whose rows are independent; ``None`` for all others."""
    alone = {name for name, found in known.items() if not found.shown}
    if not alone:
        return servable.merge_key
    if len(alone) == len(known):
        return never
    default = servable.metadata.default

    def key(configs: Mapping[str, str]) -> Hashable | None:
        return None if (configs.get(SIGNATURE_KEY) or default) in alone else servable.merge_key(configs)

    return key


def never(_configs: Mapping[str, str]) -> None:
    """The merge key of requests that must run alone and in one piece."""


def probe(
    run: Run,
    inputs: Sequence[IOMetadata],
    examples: Sequence[Arrays] = (),
    *,
    most_rows: int = MAX_ROWS,
    end: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Independence:
    """Ask ``run`` for rows in changing company, a call of at most ``most_rows`` rows among them.

    ``examples`` are inputs that the model takes. After ``end``, a time of ``clock``, no trial begins once one has told.
    """
    refusal: ForestFlowError | None = None
    calls = taken = told = 0
    alike = ""  # an input whose texts are all the same in rows that would have told
    texts = [io.name for io in inputs if io.type in samples.TEXTS]

    def counted(given: dict[str, Array]) -> Arrays:
        nonlocal calls
        calls += 1
        return run(given)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that nobody sent
            for candidates in _candidates(inputs, examples):
                for pool in candidates:
                    if calls and clock() > end and (told or not taken):
                        break
                    try:
                        trial = _Trial(counted, pool)
                    except ForestFlowError as error:  # it may refuse what is made up: the next kind is tried
                        refusal = refusal or error
                        continue
                    taken += 1
                    same = next((name for name in texts if name in pool and _alike(pool[name])), "")
                    told += trial.differs and not same
                    alike = alike or (same if trial.differs else "")
                    for rows in _FEW:
                        trial.check(rows)
                    _check_more(trial, most_rows, end, clock)
                    break
    except _Depends as error:
        return Independence(False, str(error))
    except (Exception, SystemExit) as error:  # a probe refuses no deploy; requests tell what is wrong
        return Independence(False, f"not shown: trying it raised {type(error).__name__}")
    if told:
        return Independence(True, f"shown by {calls} calls: each row had the same answer in any company")
    if alike:
        return Independence(False, f"not shown: the rows that the model takes have one text alone for {alike!r}")
    if taken:
        return Independence(False, "not shown: the answers to made-up inputs are all the same")
    return Independence(False, f"not shown: the model refuses made-up inputs: {refusal}"[:500])


def _candidates(inputs: Sequence[IOMetadata], examples: Sequence[Arrays]) -> Iterator[Iterator[dict[str, Array]]]:
    """Pools of rows; of each iterator the first that the model takes counts."""
    count = len(_FIRST) + len(_SECOND)
    for example in examples:
        yield samples.like(example, count)
    for kind in samples.KINDS:
        yield samples.drawn(inputs, kind, count)


def _check_more(trial: _Trial, most_rows: int, end: float, clock: Callable[[], float]) -> None:
    """Ask for more and more rows, as long as that will be over before ``end``."""
    row_seconds = 0.0
    for rows in _longer(most_rows):
        began = clock()
        if began + row_seconds * len(rows) > end:
            return
        trial.check(rows)
        row_seconds = (clock() - began) / len(rows)


def _alike(texts: Array) -> bool:
    return texts.size > 0 and bool(np.all(texts == texts[:1]))


def _longer(most_rows: int) -> Iterator[list[int]]:
    yield from _MORE
    count = len(_FIRST) + len(_SECOND)
    for rows in sorted({min(_MANY, most_rows), min(MAX_ROWS, most_rows)}):
        if rows > count:
            yield np.random.default_rng(rows).integers(0, count, rows).tolist()


class _Trial:
    """Rows, and what the model answered to each. Making one raises what the model says of rows that it refuses."""

    def __init__(self, run: Run, pool: dict[str, Array]) -> None:
        self._run = run
        self._pool = pool
        first, second = self._ask(_FIRST), self._ask(_SECOND)
        self._known = {name: _together(name, first[name], second[name]) for name in first}
        self.check(_FIRST, "it answers the same rows differently the second time: it is random, or keeps a state")

    @property
    def differs(self) -> bool:
        """Whether the answers to the rows are not all the same."""
        return any(not _same(known, known[:1], _tolerance(known)) for known in self._known.values())

    def check(self, rows: list[int], why: str = "") -> None:
        """Ask for those rows together. Raises _Depends where one has another answer than before."""
        try:
            answers = self._ask(rows)
        except ForestFlowError as error:
            raise _Depends(f"it refuses {len(rows)} rows each of which it takes beside others: {error}"[:500]) from None
        for name, known in self._known.items():
            found = answers[name]
            if found.shape[1:] != known.shape[1:] or found.dtype.kind != known.dtype.kind:
                raise _other_shape(name, known, found)
            if not _same(found, known[rows], _tolerance(known)):
                raise _Depends(why or f"output {name!r} has another answer to a row when other rows are beside it")

    def _ask(self, rows: list[int]) -> Arrays:
        answers = self._run({name: values[rows] for name, values in self._pool.items()})
        for name, found in answers.items():
            if found.shape[:1] != (len(rows),):
                raise _Depends(f"output {name!r} has the shape {list(found.shape)} for {len(rows)} rows")
        return answers


def _together(name: str, first: Array, second: Array) -> Array:
    if first.shape[1:] != second.shape[1:] or first.dtype.kind != second.dtype.kind:
        raise _other_shape(name, first, second)
    return np.concatenate([first, second])


def _other_shape(name: str, one: Array, other: Array) -> _Depends:
    found = (
        f"{list(one.shape)} of {one.dtype} for {len(one)} rows, {list(other.shape)} of {other.dtype} for {len(other)}"
    )
    return _Depends(f"a row of output {name!r} depends on the number of rows: {found}")


def _tolerance(known: Array) -> Array | None:
    """How much each value of a row may differ; ``None`` where nothing is rounded."""
    if known.dtype not in _TOLERANCES:
        return None
    sizes = np.abs(np.where(np.isfinite(known), known, 0).astype(np.float64))
    largest = sizes.max(axis=0, initial=0)
    return np.asarray(np.maximum(largest, 1e-3 * sizes.max(initial=0)) * _TOLERANCES[known.dtype])


def _same(found: Array, known: Array, tolerance: Array | None) -> bool:
    """Row by row; NaN is the same as NaN."""
    if tolerance is None:
        return bool(np.all(found == known))
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(found.astype(np.float64) - known.astype(np.float64)) <= tolerance
    return bool(np.all(near | (found == known) | (np.isnan(found) & np.isnan(known))))
