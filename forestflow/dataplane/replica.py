"""A replica: frames in, frames out, one model in between, all on one event-loop thread.

Theory of operation. Frames are queued by priority as they arrive. One pump runs while anything waits; each turn of it
takes a few milliseconds at most and then lets the loop read sockets again:

1. waiting user requests are decoded, those that may run together become one batch, and are answered; where the model
   is slow, one batch a turn, so that what is cancelled meanwhile need not run;
2. one slice of a long user batch runs, or one request that must run alone and whole (they take turns with each other
   and with short requests, so nobody starves, and each answer leaves as soon as it is there);
3. only when no user waits, one slice of shadow work runs: a piece of its decoding, or some of its rows. As long as
   users come and go, shadows rest as long as they worked, so that who answers users finds a free core.

Nobody reads what a shadow predicts: its answer is only how many rows it had. Each call of the model is marked in the
host's pulse, with the requests that run in it, for those who watch the process from outside.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Container, Hashable, Iterator
from itertools import accumulate

from forestflow.codecs.request import ScoreRequest
from forestflow.codecs.table import Codec, Pieces, parts_encoder, pieces_decoder
from forestflow.dataplane import wire
from forestflow.dataplane.pulse import Pulse
from forestflow.dataplane.queue import TwoLevelQueue
from forestflow.dataplane.replies import Codecs, Job, Replies, Reply
from forestflow.dataplane.scoring import NotIndependent, Scorer, ScoringJob, check_rows, cut, join
from forestflow.domain.errors import DeadlineExceeded, Malformed, QueueFull
from forestflow.domain.ids import Fqrv
from forestflow.domain.settings import Merging, UnknownFields
from forestflow.domain.tensors import Batch, Layout, concat
from forestflow.servables.base import Servable
from forestflow.servables.independence import MergeKey

MERGE_REQUESTS = 64  # at most so many requests are decoded in one turn
TURN_SECONDS = 0.005  # of model calls for waiting requests, after which the loop reads sockets

LONG_BODY = 1 << 17  # bytes over which a shadow is decoded in pieces, and decoding is marked in the pulse

SHADOW_SLICES = 4  # a slice of a shadow batch has this part of the rows of a user's
SHADOW_SECONDS = 0.001  # of work, after which shadows rest as long,
USERS_GONE_SECONDS = 0.1  # unless no user came for this long

_log = logging.getLogger("forestflow.replica")


class Replica:
    """Queues, merges, slices and answers for one servable. Not thread-safe: everything runs on the loop's thread."""

    def __init__(
        self,
        servable: Servable,
        fqrv: Fqrv,
        *,
        max_queued: int,
        max_backlog: int = 256,
        merging: Merging | None = None,
        pulse: Pulse | None = None,
        merge_key: MergeKey | None = None,
        unknown_fields: UnknownFields = UnknownFields.WARN,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
        call_later: Callable[[float, Callable[[], None]], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.fqrv = fqrv
        self._scorer = Scorer(servable, fqrv, merge_key, unknown_fields)
        self.batches = self._scorer.batches
        self._slice_rows = max(1, servable.slice_rows)
        merging = merging or Merging()
        self._merge_rows = merging.max_rows or self._slice_rows
        self._max_wait = merging.max_wait_ms / 1000
        self._queue: TwoLevelQueue[Job] = TwoLevelQueue(max_queued, max_backlog)
        self._batches: deque[list[ScoringJob]] = deque()  # of requests that run together, decoded and not run yet
        self._long_high: deque[ScoringJob] = deque()
        self._long_low: ScoringJob | None = None
        self._decoding: tuple[Job, Codec, Pieces] | None = None  # the shadow that becomes the next long run
        self._codecs = Codecs(fqrv, servable.metadata)
        self._replies = Replies(fqrv, self._codecs)
        self._pulse = pulse
        self._call_soon = call_soon or asyncio.get_running_loop().call_soon
        self._call_later = call_later or asyncio.get_running_loop().call_later
        self._clock = clock
        self._scheduled = False
        self._waiting = False  # for more requests to merge
        self._resting = False
        self._shadow_worked = 0.0  # seconds since the last rest
        self._user_came = -math.inf

    @property
    def idle(self) -> bool:
        return not (len(self._queue) or self._batches or self._long_high or self._long_low or self._decoding)

    @property
    def waiting(self) -> tuple[int, int]:
        """Requests of users and shadows that are not answered yet."""
        shadows = len(self._queue.low) + (self._long_low is not None) + (self._decoding is not None)
        return len(self._queue.high) + sum(map(len, self._batches)) + len(self._long_high), shadows

    def submit(self, job: Job, priority: int) -> None:
        """Queue a request, or answer at once that the queue is full."""
        if priority != wire.LOW:
            if not self._queue.offer_high(job):
                self._replies.error(job, QueueFull(1.0, f"the queue of {self.fqrv} is full"))
                self._replies.flush()
                return
        else:
            dropped = self._queue.offer_low(job)
            if dropped is not None:
                self._drop_shadows([dropped])
        if self._waiting and len(self._queue.high) >= min(self._merge_rows, MERGE_REQUESTS):
            self._waited()
        if self._scheduled or (self._resting and priority == wire.LOW):
            return
        self._scheduled = True
        if self._max_wait and priority != wire.LOW:
            self._waiting = True
            self._call_later(self._max_wait, self._waited)
        else:
            self._call_soon(self._pump)

    def cancel(self, send: Reply, numbers: Container[int] | None = None) -> None:
        """Nobody waits for these requests of a connection any more (``None``: for any): drop what does not run.

        A long batch ends with the slice that it has come to.
        """

        def unwanted(job: Job) -> bool:
            return job.send is send and (numbers is None or job.number in numbers)

        dropped = self._queue.drop(unwanted)
        runs = [run for batch in self._batches for run in batch] + list(self._long_high)
        dropped += [run.job for run in runs if unwanted(run.job)]
        self._batches = deque([run for run in batch if not unwanted(run.job)] for batch in self._batches)
        self._long_high = deque(run for run in self._long_high if not unwanted(run.job))
        if self._long_low is not None and unwanted(self._long_low.job):
            dropped.append(self._long_low.job)
            self._long_low = None
        if self._decoding is not None and unwanted(self._decoding[0]):
            dropped.append(self._decoding[0])
            self._decoding = None
        for job in dropped:
            self._replies.error(job, DeadlineExceeded("nobody waits for the answer any more"))
        self._replies.flush()

    def limit_backlog(self, shadows: int) -> None:
        """Let so many shadows wait from now on; the oldest over it are dropped."""
        self._drop_shadows(self._queue.limit_low(shadows))

    def _drop_shadows(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._replies.error(job, QueueFull(1.0, "dropped from the shadow backlog"))
        self._replies.flush()

    def _waited(self) -> None:
        """Requests waited long enough for others, or are enough."""
        if self._waiting:
            self._waiting = False
            self._call_soon(self._pump)

    def _pump(self) -> None:
        try:
            self._turn()
        except Exception:  # of ours: whoever waits for the answer runs into its deadline, the next request does not
            _log.exception("a turn of the replica failed", extra={"release": str(self.fqrv)})
            self._replies.flush()
        if self.idle or (self._resting and not self._users_wait):
            self._scheduled = False
        else:
            self._call_soon(self._pump)

    @property
    def _users_wait(self) -> bool:
        return bool(self._queue.high or self._batches or self._long_high)

    def _turn(self) -> None:
        if self._users_wait:
            self._run_waiting()
            self._step_high()
        elif not self._resting:
            self._shadow_turn()
        self._replies.flush()

    def _shadow_turn(self) -> None:
        began = self._clock()
        if self._decoding is not None:
            self._step_decoding(*self._decoding)
        elif self._long_low is not None:
            run, self._long_low = self._long_low, None
            if not self._step(run):
                self._long_low = run
        elif self._queue.low:
            self._start_shadow(self._queue.low.popleft())
        now = self._clock()
        if now - self._user_came > USERS_GONE_SECONDS:
            self._shadow_worked = 0.0
            return
        self._shadow_worked += now - began
        if self._shadow_worked >= SHADOW_SECONDS:
            self._resting = True
            self._call_later(self._shadow_worked, self._rested)
            self._shadow_worked = 0.0

    def _rested(self) -> None:
        self._resting = False
        if not self._scheduled and not self.idle:
            self._scheduled = True
            self._call_soon(self._pump)

    # --- user requests ---------------------------------------------------------------------------------------------

    def _run_waiting(self) -> None:
        self._user_came = now = self._clock()
        if not self._batches:
            if len(self._queue.high) == 1:
                self._run_only(now)
                return
            self._batches.extend(self._decode_waiting(now))
        while self._batches:
            self._run_merged(self._batches.popleft())
            if self._batches and self._clock() - now > TURN_SECONDS:
                return

    def _run_only(self, now: float) -> None:
        """Run the only request that waits: there is nothing to merge it with, which saves a microsecond of its time."""
        run = self._decode(self._queue.high.popleft(), now)
        if run is None:
            return
        if run.key is None or run.request.batch.rows > self._slice_rows:
            self._long_high.append(run)
        else:
            self._run_alone(run)

    def _decode_waiting(self, now: float) -> Iterator[list[ScoringJob]]:
        """Batches of the requests that wait; those that are long, or must run alone and whole, go to the long runs."""
        high = self._queue.high
        groups: dict[Hashable, list[ScoringJob]] = {}
        for _ in range(min(len(high), MERGE_REQUESTS - len(self._long_high))):
            run = self._decode(high.popleft(), now)
            if run is None:
                continue
            batch = run.request.batch
            if run.key is None or batch.rows > self._slice_rows:
                self._long_high.append(run)
            else:
                groups.setdefault(run.job if run.job.alone else (run.key, batch.signature), []).append(run)
        for runs in groups.values():
            yield from cut(runs, self._merge_rows)

    def _run_merged(self, runs: list[ScoringJob]) -> None:
        if len(runs) <= 1:  # none, when all of them were cancelled
            for run in runs:
                self._run_alone(run)
            return
        if self._pulse is not None:
            longest = max(run.job.deadline for run in runs)
            self._pulse.run([run.job.number for run in runs], longest - self._user_came)
        try:
            merged = concat([run.request.batch for run in runs])
            answer = self._scorer.predict(merged, runs[0].request.configs, runs)
            check_rows(answer, merged)
            if answer.form_varies:
                raise NotIndependent("the types or outputs of an answer depend on the rows beside it")
        except Exception as error:
            if isinstance(error, NotIndependent):
                self._scorer.distrust(error)
            # One bad request must fail alone: whoever caused it gets its own error below.
            for run in runs:
                self._run_alone(run)
            return
        self._answer_parts(runs, answer)

    def _answer_parts(self, runs: list[ScoringJob], answer: Batch) -> None:
        """Answer each request with its rows of ``answer``."""
        ends = list(accumulate([run.request.batch.rows for run in runs]))
        codec = runs[0].codec
        encode = parts_encoder(codec)
        if encode is not None and all(run.codec is codec for run in runs):
            try:
                payloads = encode(answer, ends)
            except Exception as error:  # whoever caused it gets its own error below
                _log.debug("answers are encoded one by one: %s", error)
            else:
                for run, payload in zip(runs, payloads, strict=True):
                    self._replies.encoded(run.job, payload, run.request.batch.rows)
                return
        start = 0
        for run, end in zip(runs, ends, strict=True):
            self._replies.prediction(run.job, run.codec, answer.slice(start, end), run.request.context)
            start = end

    def _run_alone(self, run: ScoringJob) -> None:
        if self._pulse is not None:
            self._pulse.run((run.job.number,), run.job.deadline - self._user_came)
        try:
            answer = self._scorer.predict(run.request.batch, run.request.configs, (run,))
        except Exception as error:
            self._replies.failure(run.job, error)
            return
        self._replies.prediction(run.job, run.codec, answer, run.request.context)

    # --- slices ----------------------------------------------------------------------------------------------------

    def _step_high(self) -> None:
        if not self._long_high:
            return
        run = self._long_high.popleft()
        if not self._step(run):
            self._long_high.append(run)

    def _start_shadow(self, job: Job) -> None:
        pieces = pieces_decoder(job.codec) if len(job.payload) > LONG_BODY else None
        if pieces is not None:
            self._decoding = (job, self._codecs[job.codec], pieces(job.payload))
            return
        run = self._decode(job, self._clock())
        if run is not None:
            run.shadow = True
            self._long_low = run

    def _step_decoding(self, job: Job, codec: Codec, pieces: Pieces) -> None:
        try:
            now = self._clock()
            if now > job.deadline:
                raise DeadlineExceeded("the deadline passed while the shadow was decoded")
            if self._pulse is not None:
                self._pulse.run((job.number,), job.deadline - now)
            try:
                next(pieces)
            except StopIteration as done:
                self._decoding = None
                self._long_low = self._run_of(job, codec, done.value)
                self._long_low.shadow = True
        except Exception as error:
            self._decoding = None
            self._replies.failure(job, error)

    def _step(self, run: ScoringJob) -> bool:
        """Score one slice; True when the run is over and answered."""
        try:
            try:
                return self._score_slice(run)
            except NotIndependent as error:
                self._scorer.distrust(error)
                run.key, run.offset = None, 0
                run.parts.clear()
                return False
        except Exception as error:
            self._replies.failure(run.job, error)
            return True

    def _score_slice(self, run: ScoringJob) -> bool:
        now = self._clock()
        if now > run.job.deadline:
            raise DeadlineExceeded("the deadline passed while the batch was scored")
        if self._pulse is not None:
            self._pulse.run((run.job.number,), run.job.deadline - now)
        batch = run.request.batch
        rows = self._slice_rows if not run.shadow else max(1, self._slice_rows // SHADOW_SLICES)
        if run.key is None:
            rows = max(1, batch.rows)
        asked = batch.slice(run.offset, run.offset + rows)
        answer = self._scorer.predict(asked, run.request.configs, (run,))
        if rows < batch.rows:
            check_rows(answer, asked)
        run.offset += rows
        if not run.shadow:
            run.parts.append(answer)
        if run.offset < batch.rows:
            return False
        if run.shadow:
            self._replies.scored(run.job, batch.rows)
        else:
            self._replies.prediction(run.job, run.codec, join(run.parts), run.request.context)
        return True

    # --- in and out ------------------------------------------------------------------------------------------------

    def _decode(self, job: Job, now: float) -> ScoringJob | None:
        if now > job.deadline:
            self._replies.error(job, DeadlineExceeded("the deadline passed while the request waited"))
            return None
        if self._pulse is not None and len(job.payload) > LONG_BODY:
            self._pulse.run((job.number,), job.deadline - now)
        try:
            codec = self._codecs[job.codec]
            return self._run_of(job, codec, codec.decode(job.payload))
        except KeyError:
            self._replies.error(job, Malformed(f"unknown codec {job.codec}"))
        except Exception as error:
            self._replies.failure(job, error)
        return None

    def _run_of(self, job: Job, codec: Codec, request: ScoreRequest) -> ScoringJob:
        whole = request.batch.layout is Layout.WHOLE
        return ScoringJob(job, codec, request, None if whole else self._scorer.merge_key(request.configs))
