"""Calls of a replica's model, and how far its rows may be merged and cut."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from forestflow.codecs.request import ScoreRequest
from forestflow.codecs.table import Codec
from forestflow.dataplane.replies import Job
from forestflow.dataplane.unknown_fields import Tolerance
from forestflow.domain.errors import InvalidInput, ModelFailed, UnknownInputs
from forestflow.domain.ids import Fqrv
from forestflow.domain.settings import UnknownFields
from forestflow.domain.tensors import Batch, joined
from forestflow.servables.base import Servable
from forestflow.servables.independence import MergeKey, never

_log = logging.getLogger("forestflow.replica")


class NotIndependent(Exception):
    """An answer shows that rows were merged or cut that must not be."""


@dataclass(slots=True, eq=False)
class ScoringJob:
    """A decoded request that is scored, perhaps slice by slice. Without a merge ``key`` it runs alone and whole."""

    job: Job
    codec: Codec
    request: ScoreRequest
    key: Hashable | None
    shadow: bool = False
    offset: int = 0
    parts: list[Batch] = field(default_factory=list)


class Scorer:
    """One model, its merge key, and what it does with fields that the model does not have."""

    def __init__(
        self, servable: Servable, fqrv: Fqrv, merge_key: MergeKey | None, unknown_fields: UnknownFields
    ) -> None:
        self.batches: Counter[int] = Counter()  # model calls for users, by rows.bit_length(): 1, 2–3, 4–7, … rows
        self.merge_key = merge_key or (lambda configs: servable.merge_key(configs))
        self._servable = servable
        self._fqrv = fqrv
        self._tolerance = Tolerance(fqrv, unknown_fields)

    def predict(self, batch: Batch, configs: Mapping[str, str], runs: Sequence[ScoringJob]) -> Batch:
        """Score ``batch``, which holds rows of ``runs``; those of users are counted. Raises what the model raises."""
        if not runs[0].shadow:
            self.batches[batch.rows.bit_length()] += 1
        try:
            return self._guarded(batch, configs)
        except UnknownInputs as error:
            for run in runs:
                run.job.unknown_fields = self._tolerance.report(error)
            known = self._tolerance.known(batch, error)
            for run in runs:  # its other slices need not be looked at again
                run.request.batch = run.request.batch.without(error.names)
            try:
                return self._guarded(known, configs)
            except InvalidInput as further:
                raise InvalidInput(f"{further.message}; {error.message}") from None

    def distrust(self, why: Exception) -> None:
        """Have every request run alone and whole from now on, whoever said that rows are independent."""
        self.merge_key = never
        _log.warning("requests run alone from now on: %s", why, extra={"release": str(self._fqrv)})

    def _guarded(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        try:
            return self._servable.predict(batch, configs)
        except Exception:
            raise
        except BaseException as error:  # a model that exits would end the loop, and whoever waits with it
            raise ModelFailed(f"the model raised {type(error).__name__}") from error


def check_rows(answer: Batch, asked: Batch) -> None:
    """Raise NotIndependent for an answer that cannot be cut where ``asked`` can."""
    if answer.rows != asked.rows or answer.layout is not asked.layout:
        raise NotIndependent(f"the model answered {asked.rows} rows by {answer.rows}")


def cut(runs: Sequence[ScoringJob], most: int) -> Iterator[list[ScoringJob]]:
    """Requests that may run together, as batches of ``most`` rows where a single one has not more."""
    start = 0
    while start < len(runs):
        rows, stop = 0, start
        while stop < len(runs) and (stop == start or rows + runs[stop].request.batch.rows <= most):
            rows += runs[stop].request.batch.rows
            stop += 1
        yield list(runs[start:stop])
        start = stop


def join(parts: Sequence[Batch]) -> Batch:
    """Join the answers to the slices of one request. Raises NotIndependent where they do not fit together."""
    try:
        return joined(parts)
    except ModelFailed as error:  # answered as a whole they may fit, or the model says what is wrong
        raise NotIndependent(error.message) from None
