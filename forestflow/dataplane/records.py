"""Per-record routing: one batch is split among releases, scored in parallel and put together again.

The router decodes the client's bytes, gives every record to a release, and sends each release its rows as columns.
The answers are merged in the order of the records and encoded in the client's protocol.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.codecs import columnar
from forestflow.codecs.request import ScoreRequest
from forestflow.dataplane.link import Outcome, Reply, ReplyWith, Sent
from forestflow.dataplane.release import ReleaseLinks
from forestflow.dataplane.route import ContractRoute
from forestflow.domain.errors import Code, ForestFlowError, InvalidInput, ModelFailed, QueueFull
from forestflow.domain.ids import Fqrv
from forestflow.domain.tensors import Batch, Column, concat

_log = logging.getLogger("forestflow.records")

Rows = npt.NDArray[np.intp]


@dataclass(slots=True, eq=False)
class Part:
    """What one release is to score: rows of the request, by their place in it."""

    release: ReleaseLinks
    rows: Rows
    payload: bytes


def split(route: ContractRoute, request: ScoreRequest, key: str | None) -> list[Part]:
    """The request's parts, that of its first record first. The route has a chooser.

    Raises InvalidInput for a request without records.
    """
    batch, configs = request.batch, dict(request.configs)
    if not batch.rows:
        raise InvalidInput("no records to route")
    places: dict[ReleaseLinks, list[int]] = {}
    for place, release in enumerate(_decide(route, request, key)):
        places.setdefault(release, []).append(place)
    if len(places) == 1:
        (release,) = places
        return [Part(release, np.arange(batch.rows), columnar.encode(batch, configs))]
    parts = []
    for release, own in places.items():
        rows = np.array(own, dtype=np.intp)
        parts.append(Part(release, rows, columnar.encode(_take(batch, rows), configs)))
    return parts


def _decide(route: ContractRoute, request: ScoreRequest, key: str | None) -> Sequence[ReleaseLinks]:
    """A release for each record: by its key where it has one, else whose turn it is."""
    chooser, sticky = route.chooser, route.sticky
    assert chooser is not None
    rows = request.batch.rows
    if sticky is None:
        return [chooser.next() for _ in range(rows)]
    keys = None if key else _keys_of(request.batch, route.sticky_key)
    if keys is None:
        key = key or request.configs.get(route.sticky_key)
        return [sticky.choose(key)] * rows if key else [chooser.next() for _ in range(rows)]
    chosen = {key: sticky.choose(key) for key in set(keys) if key}
    return [chosen[key] if key else chooser.next() for key in keys]


def _keys_of(batch: Batch, field: str) -> list[str] | None:
    """Each record's value of that field as text; ``None`` without such a field. A whole number has no fraction."""
    for column in batch.columns:
        if field not in column.fields:
            continue
        position = column.fields.index(field)
        values = column.data.reshape(batch.rows, -1)
        if position >= values.shape[1]:
            return None
        return [_text(value) for value in values[:, position].tolist()]
    return None


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _take(batch: Batch, rows: Rows) -> Batch:
    return Batch(len(rows), tuple([Column(c.type, c.fields, c.data[rows]) for c in batch.columns]), batch.layout)


class Gathering:
    """Waits for the answers to a request's parts and tells ``resolve`` once: all of them as one, or the first error."""

    def __init__(
        self,
        parts: Sequence[Part],
        codec: int,
        request_id: bytes,
        resolve: Callable[[Outcome], None],
        context: Any = None,
    ) -> None:
        self.over = False
        self.sent: list[Sent] = []  # the parts
        self._parts = parts
        self._codec = codec
        self._request_id = request_id
        self._resolve = resolve
        self._context = context
        self._answers: dict[int, Batch] = {}
        self._unknown_fields: dict[str, None] = {}  # of all parts, in the order in which they were reported

    def resolver(self, number: int) -> Callable[[Outcome], None]:
        """What takes the outcome of the part of that number."""
        return partial(self._answered, number)

    def cancel(self) -> None:
        """Nobody waits for the answer any more: give up every part."""
        if not self.over:
            self.over = True
            self._answers.clear()
            self._give_up_parts()

    def _give_up_parts(self) -> None:
        for part in self.sent:
            part.cancel()  # those that are answered stay as they are
        self.sent.clear()

    def _answered(self, number: int, outcome: Outcome) -> None:
        if self.over:
            return
        if isinstance(outcome, ForestFlowError):
            self._finish(outcome)
            return
        release = self._parts[number].release
        if isinstance(outcome, ReplyWith):
            self._unknown_fields.update(dict.fromkeys(outcome.unknown_fields.split(",")))
        try:
            if outcome.code != Code.OK:
                self._finish(self._refusal(release, columnar.decode_error(outcome.payload)))
                return
            self._answers[number] = columnar.decode(outcome.payload).batch
            if len(self._answers) == len(self._parts):
                self._finish(self._merged())
        except ForestFlowError as error:
            self._finish(self._refusal(release, error))
        except Exception as error:
            _log.error("an answer was not put together", exc_info=error, extra={"release": str(release.fqrv)})
            self._finish(self._refusal(release, ModelFailed("the parts of the answer could not be put together")))

    def _finish(self, outcome: Outcome) -> None:
        self.over = True
        self._answers.clear()
        self._give_up_parts()  # after the first error, nobody waits for the others
        self._resolve(outcome)

    def _refusal(self, release: ReleaseLinks, error: ForestFlowError) -> Reply:
        retry_after = error.retry_after_seconds if isinstance(error, QueueFull) else 0.0
        payload = release.codec(self._codec).encode_error(error, self._request_id.decode("latin-1"))
        return self._reply(error.code, payload, release.fqrv, 0, retry_after)

    def _merged(self) -> Reply:
        parts = self._parts
        answers = [self._answers[number] for number in range(len(parts))]
        for part, answer in zip(parts, answers, strict=True):
            if answer.signature != answers[0].signature:
                raise InvalidInput(
                    f"the records cannot be answered as one: {parts[0].release.fqrv} and {part.release.fqrv} "
                    "have different outputs"
                )
            if answer.rows != len(part.rows):
                raise InvalidInput(
                    f"{part.release.fqrv} answered {len(part.rows)} records by {answer.rows}: they cannot be parted"
                )
        order = np.concatenate([part.rows for part in parts])
        inverse = np.empty(len(order), dtype=np.intp)
        inverse[order] = np.arange(len(order))
        whole = _take(concat(answers), inverse)
        owners = np.concatenate([np.full(len(part.rows), number) for number, part in enumerate(parts)])[inverse]
        first = parts[0].release
        releases = [part.release.fqrv for part in parts]
        payload = first.codec(self._codec).encode_records(whole, releases, owners.tolist(), self._context)
        return self._reply(Code.OK, payload, first.fqrv, whole.rows)

    def _reply(self, code: Code, payload: bytes, fqrv: Fqrv, rows: int, retry_after: float = 0.0) -> Reply:
        if not self._unknown_fields:
            return Reply(code, payload, fqrv, rows, retry_after)
        return ReplyWith(code, payload, fqrv, rows, retry_after, ",".join(self._unknown_fields))
