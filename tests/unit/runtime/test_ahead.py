"""Long text bodies: one is decoded while the model runs another, and each is answered as any other request."""

from __future__ import annotations

import json
import threading

import pytest

from forestflow.codecs.table import BASIC, GRAPHPIPE, OIP_REST, codec_for
from forestflow.domain.errors import Code
from forestflow.runtime import replies
from forestflow.runtime.ahead import LONG_TEXT, DecodeAhead, slow_to_decode
from tests.unit.runtime.test_replica import Bench, body

ROWS = 2_000


def long_body(first, rows=ROWS):
    payload = body(*[[first, 100 + n] for n in range(rows)])
    assert len(payload) >= LONG_TEXT
    return payload


def sums(first, rows=ROWS):
    return [float(first + 100 + n) for n in range(rows)]


def test_the_next_long_body_is_decoded_while_the_model_runs(monkeypatch):
    """The model waits for that decoding to end: were it to begin after the model, this would never be over."""
    decoded = []
    second_came = threading.Event()

    def watched(number, fqrv):
        codec = codec_for(number, fqrv)
        plain = codec.decode

        def decode(payload):
            request = plain(payload)
            decoded.append(threading.current_thread().name)
            if len(decoded) == 2:
                second_came.set()
            return request

        codec.decode = decode
        return codec

    monkeypatch.setattr(replies, "codec_for", watched)
    bench = Bench(slice_rows=ROWS)
    predict = bench.model.predict

    def waits(batch, configs):
        assert second_came.wait(20)
        return predict(batch, configs)

    bench.model.predict = waits
    bench.submit(1, long_body(1))
    bench.submit(2, long_body(2))
    assert bench.replica.waiting == (2, 0)
    bench.run()
    assert decoded[0] == threading.current_thread().name
    assert decoded[1].startswith("decode-ahead")
    assert bench.sums() == {1: sums(1), 2: sums(2)}
    assert bench.replica.idle
    bench.replica.close()


def test_each_long_body_is_answered_and_a_bad_one_fails_alone():
    bench = Bench(slice_rows=500)
    for number in range(5):
        bench.submit(number, long_body(number))
    bench.submit(5, b"[" * LONG_TEXT + b"]")
    bench.submit(6, long_body(13))
    bench.submit(7, body([1, 2]))
    bench.turn()
    assert bench.sums()[7] == [3.0], "a short request does not wait for the long bodies before it"
    bench.run()
    assert bench.sums() == {7: [3.0]} | {number: sums(number) for number in range(5)}
    assert {number: code for number, (code, _) in bench.errors().items()} == {5: Code.MALFORMED, 6: Code.INTERNAL}
    assert bench.replica.idle
    bench.replica.close()


def test_a_long_body_whose_time_is_over_is_not_scored():
    bench = Bench(slice_rows=ROWS)
    bench.submit(1, long_body(1))
    bench.submit(2, long_body(2), deadline=5.0)
    bench.turn()  # scores the first, decodes the second
    bench.now = 6.0
    bench.run()
    assert list(bench.sums()) == [1]
    assert bench.errors()[2][0] is Code.DEADLINE
    assert bench.model.calls == [ROWS]
    bench.replica.close()


def test_only_long_texts_are_worth_it():
    text = json.dumps(list(range(LONG_TEXT))).encode()
    assert slow_to_decode(BASIC, text)
    assert slow_to_decode(BASIC, text + b"\n")
    assert slow_to_decode(OIP_REST, text)
    assert not slow_to_decode(OIP_REST, text + b"\x00\x00\x80\x3f"), "numbers in binary follow"
    assert not slow_to_decode(GRAPHPIPE, text)
    assert not slow_to_decode(BASIC, text[: LONG_TEXT - 1])


def test_jobs_come_back_in_order_with_what_became_of_them():
    def decode(job):
        if job == "bad":
            raise ValueError(job)
        return job.upper()

    ahead = DecodeAhead(decode)
    for job in ("a", "bad", "c"):
        ahead.append(job)
    ahead.start()
    ahead.start()  # not two at once
    assert len(ahead) == 3
    job, decoded = ahead.take()
    assert (job, decoded.result()) == ("a", "A")
    job, decoded = ahead.take()
    with pytest.raises(ValueError, match="bad"):
        decoded.result()
    ahead.start()
    assert ahead.take()[1].result() == "C"
    assert len(ahead) == 0
    assert not ahead.ready
    with pytest.raises(IndexError):
        ahead.take()
    ahead.close()
