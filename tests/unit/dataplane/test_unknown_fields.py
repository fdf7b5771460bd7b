"""Fields that the model does not have: what a replica does with them, and how its answer says so to a router.

The model is a real one, a user's class that lists its columns; requests are BASIC.
"""

from __future__ import annotations

import asyncio
import json
import logging
from urllib.parse import unquote

import pytest

from forestflow.dataplane import wire
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.dataplane.link import Reply, ReplyWith
from forestflow.dataplane.replica import Replica
from forestflow.dataplane.unknown_fields import MAX_LOGGED, MAX_REPORTED_BYTES, header_value
from forestflow.domain.errors import Code
from forestflow.domain.plan import ReleasePlan
from forestflow.domain.settings import UnknownFields
from forestflow.servables.python.servable import PythonServable
from forestflow.settings.sections import DispatchSettings
from tests.unit.dataplane.test_dispatch import SECRET, Node, plan, score
from tests.unit.dataplane.test_dispatch import A as FQRV
from tests.unit.dataplane.test_records import by_record, release
from tests.unit.dataplane.test_replica import Bench


class Model:
    """Adds what it knows of each record; a column that is missing counts as nothing."""

    inputs = "columns"
    batched = True
    metadata = {"inputs": [{"name": "x", "type": "Float64"}, {"name": "y", "type": "Float64"}]}  # noqa: RUF012

    def __init__(self):
        self.calls = []

    def predict(self, columns):
        self.calls.append(sorted(columns))
        return {"Sum": sum(columns.values())}


class Tolerant(Bench):
    def __init__(self, setting=UnknownFields.WARN, slice_rows=100, **options):
        super().__init__(slice_rows, unknown_fields=setting, **options)
        self.given = Model()
        self.servable = PythonServable(self.given)
        self.servable._slice_rows = slice_rows
        self.replica._scorer._servable = self.servable
        self.replica._slice_rows = slice_rows

    def reported(self):
        """By request, the names that its answer reports beside its payload."""
        return {number: payload[:aside].decode() for number, code, _, aside, payload in self.answers if code is Code.OK}

    def sums(self):
        self.answers = [(n, code, rows, 0, payload[aside:]) for n, code, rows, aside, payload in self.answers]
        return super().sums()

    def refusals(self):
        return {
            number: (code, payload[:aside].decode(), json.loads(payload[aside:]))
            for number, code, _, aside, payload in self.answers
            if code is not Code.OK
        }


def body(*rows, fields=("x", "y")):
    datum = [{"tensors": [{"Float64": {"data": list(row)}}]} for row in rows]
    return json.dumps({"schema": [{"type": "Float64", "fields": list(fields)}], "datum": datum}).encode()


def test_a_right_request_is_answered_as_ever():
    bench = Tolerant()
    bench.submit(1, body([1, 2]))
    bench.run()
    assert bench.reported() == {1: ""}
    assert bench.sums() == {1: [3.0]}


@pytest.mark.parametrize(("setting", "reported"), [(UnknownFields.WARN, "X,wind"), (UnknownFields.IGNORE, "")])
def test_they_are_left_out_and_reported(setting, reported, caplog):
    bench = Tolerant(setting)
    with caplog.at_level(logging.WARNING, "forestflow.replica"):
        for number in range(3):
            bench.submit(number, body([9, 1, 2, 8], fields=("X", "x", "y", "wind")))
            bench.run()
    assert bench.reported() == dict.fromkeys(range(3), reported)
    assert bench.sums() == {number: [3.0] for number in range(3)}
    logged = [record.getMessage() for record in caplog.records]
    assert logged == (["requests have fields that the model does not: X,wind"] if reported else [])


def test_they_are_refused_where_the_release_says_so():
    bench = Tolerant(UnknownFields.REFUSE)
    bench.submit(1, body([9, 1], fields=("X", "x")))
    bench.submit(2, body([9, 1], fields=("X", "x")))
    bench.submit(3, body([1, 2]))
    bench.run()
    assert bench.given.calls == [["x", "y"]]
    for number in (1, 2):
        code, reported, error = bench.refusals()[number]
        assert (code, reported) == (Code.INVALID, "X")
        assert "there is no input 'X'; the model takes 'x', 'y'" in json.dumps(error, ensure_ascii=False)
    assert bench.sums() == {3: [3.0]}


@pytest.mark.parametrize("setting", UnknownFields)
def test_a_request_without_any_field_of_the_model_is_refused(setting):
    bench = Tolerant(setting)
    bench.submit(1, body([33.2], fields=("Temp",)))
    bench.run()
    ((code, reported, _),) = bench.refusals().values()
    assert (code, reported) == (Code.INVALID, "" if setting is UnknownFields.IGNORE else "Temp")
    assert bench.given.calls == []


def test_requests_that_run_as_one_batch_are_reported_each():
    bench = Tolerant()
    for number in range(3):
        bench.submit(number, body([number, 7], fields=("x", "Y")))
    bench.submit(3, body([1, 2]))
    bench.run()
    assert bench.given.calls == [["x"], ["x", "y"]]
    assert bench.reported() == {0: "Y", 1: "Y", 2: "Y", 3: ""}
    assert bench.sums() == {0: [0.0], 1: [1.0], 2: [2.0], 3: [3.0]}


def test_a_long_batch_is_looked_at_once():
    bench = Tolerant(slice_rows=2)
    bench.submit(1, body(*[[n, 7] for n in range(5)], fields=("x", "Y")))
    bench.run()
    assert bench.reported() == {1: "Y"}
    assert bench.sums() == {1: [0.0, 1.0, 2.0, 3.0, 4.0]}


def test_a_shadow_is_scored_all_the_same():
    bench = Tolerant()
    bench.submit(1, body([1, 7], fields=("x", "Y")), priority=wire.LOW)
    bench.run()
    assert bench.given.calls == [["x"]]
    assert bench.shadows() == {1: 1}


def test_what_is_wrong_beside_is_said_with_them():
    bench = Tolerant()
    twice = [{"type": "Float64", "fields": ["x", "Y"]}, {"type": "Float64", "fields": ["x"]}]
    datum = [{"tensors": [{"Float64": {"data": [1, 2]}}, {"Float64": {"data": [1]}}]}]
    bench.submit(1, json.dumps({"schema": twice, "datum": datum}).encode())
    bench.run()
    ((code, _, error),) = bench.refusals().values()
    assert code is Code.INVALID
    assert "input 'x' comes twice" in json.dumps(error)


def test_who_makes_up_ever_new_fields_fills_neither_the_log_nor_memory(caplog):
    bench = Tolerant()
    with caplog.at_level(logging.WARNING, "forestflow.replica"):
        for number in range(MAX_LOGGED + 50):
            bench.submit(number, body([1, 2], fields=("x", f"made up {number}")))
            bench.run()
    assert len(caplog.records) == MAX_LOGGED
    assert len(bench.replica._scorer._tolerance._logged) == MAX_LOGGED
    assert unquote(bench.reported()[MAX_LOGGED + 49]) == f"made up {MAX_LOGGED + 49}"


@pytest.mark.parametrize("names", [["größe 😀", "a,b", "per%cent", "\r\nx-evil: 1"], ["n" * 5000], ["name"] * 900])
def test_names_of_any_kind_make_a_short_header(names):
    value = header_value(names).decode("ascii")
    assert len(value) <= MAX_REPORTED_BYTES
    assert value.isprintable()
    assert " " not in value
    read = [unquote(name) for name in value.split(",")]
    assert read == names or (read[-1] == "..." and read[:-1] == names[: len(read) - 1])


async def test_over_the_wire_and_by_record(tmp_path):
    """The router's side: a class of its own for such an answer, one header for all parts of a split request."""
    node = await Node(tmp_path, FQRV, "1").start()
    node.replica._scorer._servable = PythonServable(Model())
    dispatcher = Dispatcher(DispatchSettings("here", SECRET))
    try:
        dispatcher.apply(plan(ReleasePlan(FQRV, 100, replicas=(node.address,))))
        assert type(await score(dispatcher, body([1, 2]))) is Reply
        reply = await score(dispatcher, body([1, 7], fields=("x", "Y")))
        assert isinstance(reply, ReplyWith)
        assert (reply.code, reply.unknown_fields) == (Code.OK, "Y")
        assert json.loads(reply.payload)["Prediction"]["datum"] == [{"tensors": [{"Float64": {"data": [1.0]}}]}]
        refused = await score(dispatcher, body([7], fields=("Y",)))
        assert isinstance(refused, ReplyWith)
        assert (refused.code, refused.unknown_fields) == (Code.INVALID, "Y")
        assert b"there is no input 'Y'" in refused.payload

        dispatcher.apply(by_record(release(FQRV, node), version=2))
        await asyncio.sleep(0)
        split = await score(dispatcher, body([1, 7], [2, 7], fields=("x", "Y")))
        assert isinstance(split, ReplyWith)
        assert (split.code, split.rows, split.unknown_fields) == (Code.OK, 2, "Y")
        assert type(await score(dispatcher, body([1, 2]))) is Reply
    finally:
        dispatcher.close()
        await node.die()


def test_the_default_is_to_warn():
    bench = Bench()
    assert Replica(bench.model, FQRV, max_queued=1, call_soon=print, call_later=print)._scorer._tolerance._setting is (
        UnknownFields.WARN
    )
