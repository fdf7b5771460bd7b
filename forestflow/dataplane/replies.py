"""What a replica answers: frames made by the request's codec, gathered over a turn, written once per connection."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from forestflow.codecs.table import Codec, codec_for
from forestflow.dataplane import wire
from forestflow.domain.errors import Code, ForestFlowError, ModelFailed, QueueFull
from forestflow.domain.ids import Fqrv
from forestflow.domain.tensors import Batch, ModelMetadata

Reply = Callable[[bytes], None]

_log = logging.getLogger("forestflow.replica")


@dataclass(slots=True, eq=False)
class Job:
    """One request as it came off the wire. ``deadline`` is on the replica's own monotonic clock.

    ``alone``: it is not merged with others.
    A long ``payload`` is a view of the memory that it was received into, for codecs that read such.
    """

    send: Reply
    number: int
    codec: int
    request_id: bytes
    payload: bytes
    deadline: float
    alone: bool = False
    unknown_fields: bytes = b""  # names that the answer reports


class Codecs:
    """The codecs of one release, made as they are asked for. Not thread-safe, as codecs are not."""

    def __init__(self, fqrv: Fqrv, model: ModelMetadata) -> None:
        self._fqrv = fqrv
        self._model = model
        self._made: dict[int, Codec] = {}

    def __getitem__(self, number: int) -> Codec:
        """Raises KeyError for an unknown number."""
        codec = self._made.get(number)
        if codec is None:
            codec = self._made[number] = codec_for(number, self._fqrv, self._model)
        return codec


class Replies:
    """Answers wait here until :meth:`flush`.

    No method raises anything, whatever codecs and connections do: each request is answered once.
    """

    def __init__(self, fqrv: Fqrv, codecs: Codecs) -> None:
        self._fqrv = fqrv
        self._codecs = codecs
        self._outbox: dict[Reply, list[bytes]] = {}

    def flush(self) -> None:
        """Write what waits."""
        while self._outbox:
            send, frames = self._outbox.popitem()
            try:
                send(frames[0] if len(frames) == 1 else b"".join(frames))
            except Exception:  # of a connection that breaks: its router asks another replica
                _log.exception("answers were not sent", extra={"release": str(self._fqrv)})

    def prediction(self, job: Job, codec: Codec, batch: Batch, context: Any) -> None:
        """A user's answer; one that cannot be encoded is an error."""
        try:
            payload = codec.encode(batch, context)
        except Exception as error:
            self.failure(job, error)
            return
        self.encoded(job, payload, batch.rows)

    def encoded(self, job: Job, payload: bytes, rows: int) -> None:
        """A user's answer of so many rows, in its protocol's form."""
        if job.unknown_fields:
            self._send(job, wire.reply_with(job.unknown_fields, Code.OK, job.number, payload, rows))
        else:
            self._send(job, wire.reply(Code.OK, job.number, payload, rows))

    def scored(self, job: Job, rows: int) -> None:
        """A shadow's answer: nobody reads what it predicts."""
        self._send(job, wire.reply(Code.OK, job.number, b"", rows))

    def error(self, job: Job, error: ForestFlowError) -> None:
        try:
            payload = self._codecs[job.codec].encode_error(error, job.request_id.decode("latin-1"))
        except Exception:  # an unknown codec, or one that cannot write this error
            payload = error.message.encode(errors="replace")
        retry_ms = min(65_535, int(error.retry_after_seconds * 1000)) if isinstance(error, QueueFull) else 0
        if job.unknown_fields and not retry_ms:
            self._send(job, wire.reply_with(job.unknown_fields, error.code, job.number, payload))
        else:
            self._send(job, wire.reply(error.code, job.number, payload, 0, retry_ms))

    def failure(self, job: Job, error: Exception) -> None:
        """Whatever was raised, as the error that the client sees; what the model failed of is logged."""
        if isinstance(error, ForestFlowError) and not (isinstance(error, ModelFailed) and error.__cause__):
            self.error(job, error)
            return
        _log.error(
            "scoring failed",
            exc_info=error.__cause__ or error,
            extra={"request_id": job.request_id.decode("latin-1"), "release": str(self._fqrv)},
        )
        if not isinstance(error, ForestFlowError):
            error = ModelFailed(f"the model failed: {type(error).__name__}: {_text(error)}")
        self.error(job, error)

    def _send(self, job: Job, frame: bytes) -> None:
        frames = self._outbox.get(job.send)
        if frames is None:
            self._outbox[job.send] = [frame]
        else:
            frames.append(frame)


def _text(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # it is of the model's own
        return "its text cannot be had"
