"""A replica without sockets: jobs in, reply frames out, every turn of its pump under the test's control."""

from __future__ import annotations

import json
from collections import deque

import numpy as np
import pytest

from forestflow.codecs.basic import pieces
from forestflow.codecs.table import BASIC
from forestflow.dataplane import replica, wire
from forestflow.dataplane.replica import MERGE_REQUESTS, Replica
from forestflow.dataplane.replies import Job
from forestflow.domain.errors import Code, ModelFailed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.settings import Merging
from forestflow.domain.tensors import Batch, Column, TensorType
from forestflow.servables.independence import never
from forestflow.servables.python.servable import PythonServable
from tests.unit.dataplane.models import SumModel

FQRV = Fqrv(Contract("o", "p", 0), "r")


def body(*rows, configs=None):
    return json.dumps(
        {
            "schema": [{"type": "Float64", "fields": ["a", "b"]}],
            "datum": [{"tensors": [{"Float64": {"data": list(row)}}]} for row in rows],
            "configs": configs or {},
        }
    ).encode()


class Bench:
    """One replica, its pump's queue, its clock, and what it answered, in order."""

    def __init__(self, slice_rows=100, model=None, **options):
        self.model = model or SumModel(slice_rows)
        self.soon = deque()
        self.now = 0.0
        self.answers = []
        self.receive = self._receive  # one bound method: one connection
        self.later = []
        self.replica = Replica(
            self.model,
            FQRV,
            call_soon=self.soon.append,
            call_later=lambda seconds, call: self.later.append((seconds, call)),
            clock=lambda: self.now,
            **{"max_queued": 1000, **options},
        )

    def submit(self, number, payload, priority=wire.HIGH, codec=BASIC, deadline=10.0):
        alone = priority == wire.ALONE
        self.replica.submit(Job(self.receive, number, codec, b"id-%d" % number, payload, deadline, alone), priority)

    def _receive(self, data):
        for frame in wire.FrameReader(1 << 30).feed(data):
            code, retry_ms, rows, number, payload = wire.parse_reply(frame)
            self.answers.append((number, Code(code), rows, retry_ms, payload))

    def turn(self):
        self.soon.popleft()()

    def run(self):
        while self.soon:
            self.turn()

    def sums(self):
        """Answers as {number: [sum of each row]}."""
        return {
            number: [d["tensors"][0]["Float64"]["data"][0] for d in json.loads(payload)["Prediction"]["datum"]]
            for number, code, _, _, payload in self.answers
            if code is Code.OK and payload
        }

    def shadows(self):
        """Rows of the shadows that were scored: an answer without a payload."""
        return {number: rows for number, code, rows, _, payload in self.answers if code is Code.OK and not payload}

    def errors(self):
        return {number: (code, payload) for number, code, _, _, payload in self.answers if code is not Code.OK}


@pytest.fixture
def bench():
    return Bench()


def test_waiting_requests_run_as_one_batch_and_each_gets_its_rows(bench):
    bench.submit(1, body([1, 2]))
    bench.submit(2, body([3, 4], [5, 6]))
    bench.run()
    assert bench.model.calls == [3]
    assert bench.sums() == {1: [3.0], 2: [7.0, 11.0]}
    assert [(number, rows) for number, _, rows, _, _ in bench.answers] == [(1, 1), (2, 2)]
    assert bench.replica.idle


def test_requests_with_other_configs_or_fields_do_not_merge(bench):
    bench.submit(1, body([1, 2], configs={"group": "x"}))
    bench.submit(2, body([1, 2], configs={"group": "y"}))
    bench.submit(3, body([1, 2], configs={"group": "x", "reqid": "7"}))
    bench.submit(4, body([1, 2]).replace(b'"b"', b'"c"'))
    bench.run()
    assert sorted(bench.model.calls) == [1, 1, 2]
    assert set(bench.sums()) == {1, 2, 3, 4}


def test_one_bad_request_fails_alone(bench):
    bench.submit(1, body([1, 2]))
    bench.submit(2, body([-1, 2]))
    bench.submit(3, body([13, 2]))
    bench.submit(4, b"{")
    bench.run()
    assert bench.sums() == {1: [3.0]}
    errors = bench.errors()
    assert errors[2][0] is Code.INVALID
    assert json.loads(errors[2][1])["UnknownServableError"]["errorMessage"] == "a negative number"
    assert errors[3][0] is Code.INTERNAL
    assert b"thirteen" in errors[3][1]
    assert b"Traceback" not in errors[3][1]
    assert errors[4][0] is Code.MALFORMED


def test_one_answer_that_cannot_be_encoded_fails_alone():
    class Names(SumModel):
        def predict(self, batch, configs):
            names = np.array([None if a == 2 else "n" for a in batch.columns[0].data[:, 0]], object)
            return Batch(batch.rows, (Column(TensorType.String, ("Name",), names),))

    bench = Bench(model=Names())
    for number in (1, 2, 3):
        bench.submit(number, body([number, 0]))
    bench.run()
    answers = {number: (code, payload) for number, code, _, _, payload in bench.answers}
    assert {number: code for number, (code, _) in answers.items()} == {1: Code.OK, 2: Code.INTERNAL, 3: Code.OK}
    assert b"NoneType" in answers[2][1]
    assert b'"data":["n"]' in answers[1][1]


def test_an_unknown_codec_is_refused(bench):
    bench.submit(1, b"", codec=250)
    bench.run()
    assert bench.errors()[1][0] is Code.MALFORMED


def test_merging_stops_at_a_slice():
    bench = Bench(slice_rows=4)
    for number in range(6):
        bench.submit(number, body([1, 1], [2, 2]))
    bench.run()
    assert bench.model.calls == [4, 4, 4]
    assert len(bench.sums()) == 6


def test_a_long_batch_and_short_requests_take_turns():
    bench = Bench(slice_rows=2)
    bench.submit(1, body(*[[n, n] for n in range(10)]))
    bench.turn()  # first slice
    bench.submit(2, body([1, 2]))
    bench.turn()
    assert bench.sums() == {2: [3.0]}, "the short request did not wait for the long one"
    bench.run()
    assert bench.sums()[1] == [2.0 * n for n in range(10)]
    assert bench.model.calls == [2, 1, 2, 2, 2, 2]


def test_two_long_batches_share():
    bench = Bench(slice_rows=2)
    bench.submit(1, body(*[[1, 1]] * 4))
    bench.submit(2, body(*[[2, 2]] * 4))
    bench.run()
    assert bench.sums() == {1: [2.0] * 4, 2: [4.0] * 4}


def test_shadows_run_only_when_no_user_waits_and_in_slices():
    bench = Bench(slice_rows=8)
    bench.submit(9, body(*[[5, 5]] * 6), wire.LOW)
    bench.turn()  # decoded
    bench.turn()  # first slice of the shadow
    bench.submit(1, body([1, 2]))
    bench.turn()
    assert bench.sums() == {1: [3.0]}, "the user waited for one slice at most"
    bench.run()
    assert bench.model.calls == [2, 1, 2, 2], "a shadow's slice has a quarter of the rows of a user's"
    assert bench.shadows() == {9: 6}


def test_shadows_rest_as_long_as_they_worked_while_users_come_and_go():
    bench = Bench(slice_rows=8)
    predict = bench.model.predict

    def slow(batch, configs):
        bench.now += 0.002
        return predict(batch, configs)

    bench.model.predict = slow
    bench.submit(1, body([1, 2]))
    bench.submit(9, body(*[[5, 5]] * 4), wire.LOW)
    bench.run()  # the user, the shadow's decoding and its first slice
    assert bench.model.calls == [1, 2]
    ((seconds, rested),) = bench.later
    assert seconds == pytest.approx(0.002)
    bench.submit(2, body([3, 4]))
    bench.submit(8, body([6, 6]), wire.LOW)
    bench.run()
    assert bench.sums() == {1: [3.0], 2: [7.0]}, "users do not wait for the rest"
    assert bench.model.calls == [1, 2, 1]
    bench.now += replica.USERS_GONE_SECONDS + 1
    rested()
    bench.run()
    assert bench.shadows() == {9: 4, 8: 1}, "without users there is no rest"
    assert len(bench.later) == 1


def test_requests_may_wait_for_others_to_run_with():
    bench = Bench(merging=Merging(max_rows=3, max_wait_ms=5))
    bench.submit(1, body([1, 2]))
    bench.submit(2, body([3, 4]))
    assert not bench.soon
    ((seconds, waited),) = bench.later
    assert seconds == pytest.approx(0.005)
    waited()
    bench.run()
    assert bench.model.calls == [2]
    for number in range(3, 7):
        bench.submit(number, body([1, 1]))
    bench.run()  # three are enough, and the fourth came along before the turn
    assert bench.model.calls == [2, 3, 1]
    bench.later[1][1]()  # the timer of the second wait finds nothing left to do
    assert not bench.soon
    assert bench.replica.batches == {1: 1, 2: 2}


def test_a_request_without_a_merge_key_runs_alone_and_whole():
    bench = Bench(slice_rows=2)
    bench.model.merge_key = lambda configs: None
    bench.submit(1, body(*[[1, 2]] * 5))
    bench.submit(2, body([3, 4]))
    bench.submit(9, body(*[[5, 5]] * 6), wire.LOW)
    bench.run()
    assert bench.model.calls == [5, 1, 6]


def test_requests_that_run_alone_are_answered_one_by_one_and_the_loop_turns_in_between():
    bench = Bench()
    bench.model.merge_key = lambda configs: None
    for number in range(3):
        bench.submit(number, body([number, 1]))
    for number in range(3):
        bench.turn()
        assert bench.sums().keys() == set(range(number + 1))
    assert bench.replica.idle


def test_only_so_many_requests_are_decoded_before_their_turn():
    bench = Bench(max_queued=1000)
    bench.model.merge_key = lambda configs: None
    for number in range(MERGE_REQUESTS * 2):
        bench.submit(number, body([1, 1]))
    bench.turn()
    assert bench.replica.waiting == (MERGE_REQUESTS * 2 - 1, 0)
    assert len(bench.replica._queue.high) == MERGE_REQUESTS
    bench.run()
    assert len(bench.sums()) == MERGE_REQUESTS * 2


def test_a_model_that_answers_another_number_of_rows_is_asked_again_for_each_request():
    bench = Bench()
    predict = bench.model.predict
    bench.model.predict = lambda batch, configs: predict(batch, configs).slice(0, 1)
    bench.submit(1, body([1, 2]))
    bench.submit(2, body([3, 4]))
    bench.run()
    assert bench.sums() == {1: [3.0], 2: [7.0]}


# --- answers that do not fit together -------------------------------------------------------------------------------


class Answering:
    """A Python class that takes rows of two numbers as an array, and answers them by ``form``."""

    batched = True
    inputs = "numpy"

    def __init__(self, form):
        self.form = form
        self.calls = []

    def predict(self, inputs):
        self.calls.append(len(inputs))
        return self.form(inputs)


def answering(form, slice_rows=2, **options):
    model = PythonServable(Answering(form))
    model._slice_rows = slice_rows
    bench = Bench(model=model, **options)
    bench.calls = model._model.calls
    return bench


def whole_as_integers(rows):
    return [int(v) if v == int(v) else float(v) for v in rows.sum(axis=1).tolist()]


def columns(answer):
    """What an answer says: each output's type, and its values."""
    _, code, _, _, payload = answer
    assert code is Code.OK, payload
    prediction = json.loads(payload)["Prediction"]
    return {
        entry["fields"][0]: (
            entry["type"],
            [float(value) for datum in prediction["datum"] for value in datum["tensors"][i][entry["type"]]["data"]],
        )
        for i, entry in enumerate(prediction["schema"])
    }


def test_slices_of_different_numbers_become_one_type():
    bench = answering(whole_as_integers)
    bench.submit(1, body([1, 1], [2, 1], [300, 0.5], [4, 1], [5, 0]))
    bench.run()
    assert bench.calls == [2, 2, 1]
    assert columns(bench.answers[0]) == {"prediction": ("Float64", [2, 3, 300.5, 5, 5])}
    bench.submit(2, body([1, 1], [2, 1], [4, 1], [5, 0]))
    bench.run()
    assert columns(bench.answers[1]) == {"prediction": ("Int64", [2, 3, 5, 5])}


def test_an_answer_of_integers_stays_one_when_it_waits_beside_others():
    bench = answering(whole_as_integers, slice_rows=100)
    bench.submit(1, body([1, 1]))
    bench.submit(2, body([0.5, 1], [1, 1]))
    bench.submit(3, body([2, 2]))
    bench.run()
    assert [columns(answer)["prediction"] for answer in bench.answers] == [
        ("Int64", [2]), ("Float64", [1.5, 2]), ("Int64", [4]),
    ]  # fmt: skip
    bench.submit(4, body([1, 1]))
    bench.submit(5, body([1, 2]))
    bench.run()
    assert bench.calls == [4, 1, 2, 1, 1, 1], "what was seen once is not tried again"


def test_an_output_of_some_rows_alone_is_not_lost_nor_given_to_others():
    def form(rows):
        total = rows.sum(axis=1)
        return {"sum": total, **({"large": total > 100} if (total > 100).any() else {})}

    bench = answering(form)
    bench.submit(1, body([1, 1], [2, 1], [300, 1], [4, 1]))
    bench.run()
    assert bench.calls == [2, 2, 4], "as slices they do not fit together, so the model is asked once more"
    assert columns(bench.answers[0]) == {"sum": ("Float64", [2, 3, 301, 5]), "large": ("Bool", [0, 0, 1, 0])}
    bench = answering(form, slice_rows=100)
    bench.submit(1, body([1, 1]))
    bench.run()
    bench.submit(2, body([1, 1]))
    bench.submit(3, body([300, 1]))
    bench.run()
    assert [list(columns(answer)) for answer in bench.answers] == [["sum"], ["sum"], ["sum", "large"]]


@pytest.mark.parametrize("priority", [wire.HIGH, wire.LOW])
def test_slices_of_other_shapes_are_asked_for_as_one_batch(priority):
    def form(rows):
        width = int(rows.max())
        return np.repeat(rows.sum(axis=1)[:, None], width, axis=1)

    bench = answering(form, slice_rows=2 if priority == wire.HIGH else 8)
    bench.submit(1, body([1, 1], [1, 1], [1, 1], [3, 1]), priority)
    bench.run()
    if priority == wire.HIGH:
        assert columns(bench.answers[0]) == {"prediction": ("Float64", [2] * 9 + [4] * 3)}
        assert bench.calls == [2, 2, 4]
    assert [code for _, code, _, _, _ in bench.answers] == [Code.OK]
    assert bench.replica.idle


@pytest.mark.parametrize("priority", [wire.HIGH, wire.LOW])
def test_a_slice_that_is_not_answered_row_by_row_is_asked_for_in_the_whole(priority, caplog):
    """As of a model that was thought to be independent and is not: its answer is what it gives to the request alone."""
    bench = Bench(slice_rows=2 if priority == wire.HIGH else 8)
    sums = bench.model.predict

    def positive(batch, configs):
        keep = batch.columns[0].data[:, 0] > 0
        column = Column(TensorType.Float64, ("a", "b"), batch.columns[0].data[keep])
        answer = sums(Batch(int(keep.sum()), (column,)), configs)
        bench.model.calls[-1] = batch.rows
        return answer

    bench.model.predict = positive
    bench.submit(1, body([1, 1], [2, 2], [0, 0], [3, 3]), priority)
    bench.run()
    assert bench.model.calls == [2, 2, 4]
    if priority == wire.HIGH:
        assert bench.sums() == {1: [2.0, 4.0, 6.0]}
    assert [code for _, code, _, _, _ in bench.answers] == [Code.OK]
    assert "requests run alone from now on" in caplog.text
    assert bench.replica.idle
    bench.submit(2, body([0, 1], [4, 4]))
    bench.submit(3, body([5, 5]))
    bench.run()
    assert bench.model.calls[3:] == [2, 1]
    assert {number: sums for number, sums in bench.sums().items() if number > 1} == {2: [8.0], 3: [10.0]}


def test_requests_of_models_whose_rows_depend_on_each_other_run_alone_and_whole():
    bench = Bench(slice_rows=2, merge_key=never)
    bench.submit(1, body(*[[1, 2]] * 5))
    bench.submit(2, body([3, 4]))
    bench.submit(9, body(*[[5, 5]] * 6), wire.LOW)
    bench.run()
    assert bench.model.calls == [5, 1, 6]


# --- whatever is raised ----------------------------------------------------------------------------------------------


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


@pytest.mark.parametrize("error", [RuntimeError("x"), MemoryError(), Unprintable(), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize(
    ("slice_rows", "priority", "rows"),
    [(100, wire.HIGH, 1), (100, wire.HIGH, 3), (2, wire.HIGH, 5), (8, wire.LOW, 5), (100, wire.LOW, 1)],
)
def test_whatever_a_model_raises_answers_its_request_once(error, slice_rows, priority, rows):
    bench = Bench(slice_rows)
    predict = bench.model.predict

    def fail(batch, configs):
        if (batch.columns[0].data == 99).any():
            raise error
        return predict(batch, configs)

    bench.model.predict = fail
    bench.submit(1, body(*[[1, 1]] * (rows - 1), [99, 1]), priority)
    bench.submit(2, body([1, 2]), priority)
    bench.submit(3, body([3, 4]))
    bench.run()
    assert sorted(number for number, *_ in bench.answers) == [1, 2, 3]
    assert bench.errors()[1][0] is Code.INTERNAL
    assert bench.sums()[3] == [7.0]
    assert bench.replica.idle
    assert bench.replica.waiting == (0, 0)


def broken(*_):
    raise RuntimeError("broken")


@pytest.mark.parametrize("priority", [wire.HIGH, wire.LOW])
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("part", ["merge_key", "encode", "decode", "slice", "answer"])
def test_a_fault_of_ours_answers_its_request_once_and_leaves_nothing(monkeypatch, priority, rows, part):
    bench = Bench(slice_rows=2 if priority == wire.HIGH else 8)
    codec = bench.replica._codecs[BASIC]
    if part == "merge_key":
        bench.model.merge_key = broken
    elif part == "encode":
        codec.encode = broken
    elif part == "decode":
        codec.decode = broken
    elif part == "slice":
        monkeypatch.setattr(Batch, "slice", broken)
    else:
        bench.model.predict = lambda batch, configs: object()
    bench.submit(1, body(*[[1, 1]] * rows), priority)
    bench.submit(2, body([1, 2]), priority)
    bench.run()
    assert sorted(number for number, *_ in bench.answers) == [1, 2]
    assert bench.replica.idle
    assert bench.replica.waiting == (0, 0)
    monkeypatch.undo()
    bench.model.predict = SumModel().predict
    bench.model.merge_key = lambda configs: ""
    bench.replica._codecs._made.clear()
    bench.submit(3, body([3, 4]))
    bench.run()
    assert bench.sums()[3] == [7.0]


def test_an_error_that_its_codec_cannot_write_is_told_all_the_same(bench):
    bench.replica._codecs[BASIC].encode_error = broken
    bench.submit(1, body([-1, 2]))
    bench.run()
    assert bench.errors() == {1: (Code.INVALID, b"a negative number")}


def test_a_long_shadow_whose_merge_key_fails_is_answered(monkeypatch):
    monkeypatch.setattr(replica, "LONG_BODY", 100)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 50)
    bench = Bench()
    bench.model.merge_key = broken
    bench.submit(1, body(*[[n, 1] for n in range(20, 40)]), wire.LOW)
    bench.run()
    assert bench.errors()[1][0] is Code.INTERNAL
    assert bench.replica.idle


def test_a_connection_that_breaks_loses_its_own_answers_alone(bench):
    sent = []

    def breaks(data):
        sent.append(data)
        raise RuntimeError("unable to perform operation; the handler is closed")

    bench.replica.submit(Job(breaks, 7, BASIC, b"id", body([1, 2]), 10.0), wire.HIGH)
    bench.submit(1, body([1, 2]))
    bench.replica.submit(Job(breaks, 8, BASIC, b"id", body([1, 2]), 10.0), wire.HIGH)
    bench.run()
    bench.submit(2, body([3, 4]))
    bench.run()
    assert bench.sums() == {1: [3.0], 2: [7.0]}
    assert len(sent) == 1, "nothing is sent a second time"


def test_a_failing_shadow_is_answered_and_over():
    bench = Bench(slice_rows=2)
    bench.submit(9, body(*[[13, 5]] * 6), wire.LOW)
    bench.submit(8, b"nonsense", wire.LOW)
    bench.run()
    assert bench.errors()[9][0] is Code.INTERNAL
    assert bench.errors()[8][0] is Code.MALFORMED
    assert bench.replica.idle


def test_a_full_queue_answers_at_once_with_a_time_to_come_back():
    bench = Bench(max_queued=2)
    for number in range(3):
        bench.submit(number, body([1, 2]))
    assert [(n, c, r) for n, c, _, r, _ in bench.answers] == [(2, Code.EXHAUSTED, 1000)]
    bench.run()
    assert set(bench.sums()) == {0, 1}


def test_a_full_backlog_drops_the_oldest_shadow():
    bench = Bench(max_backlog=1)
    bench.submit(1, body([1, 2]), wire.LOW)
    bench.submit(2, body([3, 4]), wire.LOW)
    assert bench.errors()[1][0] is Code.EXHAUSTED
    bench.run()
    assert bench.shadows() == {2: 1}


@pytest.mark.parametrize("indent", [None, 1])
def test_a_user_waits_for_one_piece_of_a_shadow_s_decoding_at_most(monkeypatch, indent):
    monkeypatch.setattr(replica, "LONG_BODY", 1000)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 500)
    bench = Bench(slice_rows=50)
    shadow = json.dumps(json.loads(body(*[[n, 1] for n in range(20, 120)])), indent=indent).encode()
    bench.submit(9, shadow, wire.LOW)
    turns = 0
    while not bench.model.calls:
        turns += 1
        bench.turn()
    assert turns > len(shadow) / 2000
    bench.run()
    again = Bench(slice_rows=50)
    again.submit(9, shadow, wire.LOW)
    for number in range(turns - 1):
        again.turn()
        assert not again.replica.idle
        again.submit(number, body([1, 2]))
        again.turn()
        assert again.sums()[number] == [3.0]
    again.run()
    assert again.shadows() == bench.shadows() == {9: 100}
    assert sum(bench.model.calls) == 100


def test_a_long_shadow_that_is_wrong_or_late_is_over(monkeypatch):
    monkeypatch.setattr(replica, "LONG_BODY", 100)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 50)
    bench = Bench()
    rows = [[n, 1] for n in range(20, 40)]
    bench.submit(1, body(*rows).replace(b"[30, 1]", b"[30]"), wire.LOW)
    bench.run()
    assert bench.errors()[1][0] is Code.INVALID
    bench.submit(2, body(*rows), wire.LOW)
    bench.turn()
    bench.turn()
    bench.now = 11.0
    bench.run()
    assert bench.errors()[2][0] is Code.DEADLINE
    assert bench.replica.idle
    assert bench.model.calls == []


def test_a_request_whose_time_is_over_is_not_scored(bench):
    bench.submit(1, body([1, 2]), deadline=1.0)
    bench.now = 1.5
    bench.run()
    assert bench.errors()[1][0] is Code.DEADLINE
    assert bench.model.calls == []


def test_a_long_batch_stops_at_its_deadline():
    bench = Bench(slice_rows=2)
    bench.submit(1, body(*[[1, 1]] * 100), deadline=1.0)
    bench.turn()
    bench.now = 1.5
    bench.run()
    assert bench.errors()[1][0] is Code.DEADLINE
    assert bench.model.calls == [2]


def test_one_turn_decodes_a_bounded_number_of_requests():
    bench = Bench(slice_rows=10_000)
    for number in range(MERGE_REQUESTS + 1):
        bench.submit(number, body([1, 2]))
    bench.turn()
    assert len(bench.answers) == MERGE_REQUESTS
    bench.run()
    assert len(bench.answers) == MERGE_REQUESTS + 1


def test_what_waits_is_told(bench):
    bench.submit(1, body([1, 2]))
    bench.submit(2, body([3, 4]), wire.LOW)
    assert bench.replica.waiting == (1, 1)
    bench.run()
    assert bench.replica.waiting == (0, 0)


def test_the_traceback_of_a_failing_model_is_logged_with_its_request_and_not_told(bench, caplog):
    def fail(batch, configs):
        try:
            raise KeyError("weights")
        except KeyError as error:
            raise ModelFailed("predict raised KeyError") from error

    bench.model.predict = fail
    bench.submit(7, body([1, 2]))
    bench.run()
    code, payload = bench.errors()[7]
    assert code is Code.INTERNAL
    assert json.loads(payload)["UnknownServableError"]["errorMessage"] == "predict raised KeyError"
    (record,) = caplog.records
    assert record.exc_info[0] is KeyError
    assert record.request_id == "id-7"


def test_what_a_model_refuses_is_not_logged(bench, caplog):
    bench.submit(1, body([-1, 2]))
    bench.run()
    assert bench.errors()[1][0] is Code.INVALID
    assert caplog.records == []


class Marks:
    """A pulse that remembers what it was told."""

    def __init__(self):
        self.runs = []

    def run(self, numbers, seconds):
        self.runs.append((list(numbers), seconds))


def test_what_is_cancelled_does_not_run_and_is_over(bench):
    for number in range(1, 5):
        bench.submit(number, body([number, 0]))
    bench.replica.cancel(bench.receive, {2, 3, 99})
    bench.run()
    assert bench.sums() == {1: [1.0], 4: [4.0]}
    assert {number: code for number, (code, _) in bench.errors().items()} == {2: Code.DEADLINE, 3: Code.DEADLINE}
    assert bench.model.calls == [2]
    assert bench.replica.idle


def test_a_number_is_that_of_a_connection(bench):
    bench.submit(1, body([1, 0]))
    bench.replica.cancel(lambda data: None, {1})
    bench.run()
    assert bench.sums() == {1: [1.0]}


def test_a_cancelled_batch_ends_with_its_slice():
    bench = Bench(slice_rows=2)
    bench.submit(1, body(*[[n, 0] for n in range(10)]))
    bench.turn()
    bench.replica.cancel(bench.receive, {1})
    bench.run()
    assert bench.model.calls == [2]
    assert bench.errors()[1][0] is Code.DEADLINE
    assert bench.replica.idle


def test_with_its_connection_all_that_waits_is_dropped_shadows_too():
    bench = Bench(slice_rows=4)
    bench.submit(1, body([1, 0]), wire.LOW)
    bench.submit(2, body([2, 0]), wire.LOW)
    bench.submit(3, body(*[[n, 0] for n in range(10)]))
    bench.submit(4, body([4, 0]))
    bench.replica.cancel(bench.receive)
    bench.run()
    assert bench.model.calls == []
    assert bench.replica.idle


def test_a_slow_model_gives_way_to_the_sockets_after_each_batch():
    bench = Bench(merging=Merging(max_rows=1))
    predict = bench.model.predict

    def slow(batch, configs):
        bench.now += 0.1
        return predict(batch, configs)

    bench.model.predict = slow
    for number in range(1, 5):
        bench.submit(number, body([number, 0]), deadline=100.0)
    bench.turn()
    assert bench.sums() == {1: [1.0]}
    assert bench.replica.waiting == (3, 0)
    assert not bench.replica.idle
    bench.replica.cancel(bench.receive, {2, 4})
    bench.run()
    assert bench.sums() == {1: [1.0], 3: [3.0]}
    assert bench.model.calls == [1, 1]


def test_a_quick_model_runs_all_its_batches_in_a_turn():
    bench = Bench(merging=Merging(max_rows=1))
    for number in range(1, 5):
        bench.submit(number, body([number, 0]))
    bench.turn()
    assert bench.model.calls == [1] * 4


def test_who_is_to_run_alone_is_not_merged(bench):
    for number in range(1, 5):
        bench.submit(number, body([number, 0]), wire.ALONE if number == 2 else wire.HIGH)
    bench.run()
    assert sorted(bench.model.calls) == [1, 3]
    assert len(bench.sums()) == 4


def test_the_pulse_says_which_requests_run_and_how_long_they_may():
    pulse = Marks()
    bench = Bench(slice_rows=4, pulse=pulse)
    bench.submit(1, body([1, 0]), deadline=3.0)
    bench.submit(2, body([2, 0]), deadline=7.0)
    bench.run()
    assert pulse.runs == [([1, 2], 7.0)]
    bench.now = 5.0
    bench.submit(3, body(*[[n, 0] for n in range(6)]), deadline=8.0)
    bench.run()
    assert pulse.runs[1:] == [([3], 3.0)] * 2
    bench.submit(4, body([-1, 0]), deadline=8.0)
    bench.submit(5, body([2, 0]), deadline=8.0)
    bench.run()
    assert pulse.runs[3:] == [([4, 5], 3.0), ([4], 3.0), ([5], 3.0)], "a batch that fails runs one by one"
    bench.submit(6, body([2, 0]), wire.LOW, deadline=8.0)
    bench.run()
    assert pulse.runs[6:] == [([6], 3.0)]


def test_decoding_a_long_request_is_in_the_pulse_too():
    pulse = Marks()
    bench = Bench(pulse=pulse)
    bench.submit(1, b"{" + b" " * replica.LONG_BODY)
    bench.run()
    assert pulse.runs == [([1], 10.0)]
