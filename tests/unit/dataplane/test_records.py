"""Batches split by record: real sockets and replicas, the client's own protocol at both ends."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest
from google.protobuf import json_format

from forestflow._gen.inference_pb2 import InferenceRequest, Prediction
from forestflow.codecs.table import BASIC, PROTOBUF
from forestflow.domain.errors import Code, QueueFull
from forestflow.domain.plan import ContractPlan, PlanUpdate
from forestflow.domain.refusals import NoActiveServables
from forestflow.domain.reports import Counts
from forestflow.domain.routing import NOTICE, StickyChooser
from forestflow.domain.settings import Routing
from tests.unit.dataplane.test_dispatch import CONTRACT, A, B, release, world  # noqa: F401 - a fixture
from tests.unit.dataplane.test_replica import body

NAMES = {"a": A, "b": B}


def by_record(*releases, sticky_key=None, version=1):
    plan = ContractPlan(CONTRACT, releases, sticky_key=sticky_key, routing=Routing.RECORD)
    return PlanUpdate(version, {CONTRACT: plan})


@pytest.fixture
async def two(world):  # noqa: F811
    """Two releases, 75 to 25, and a dispatcher that knows them."""
    one, other = await world.replica("1", A), await world.replica("2", B)
    dispatcher = world.dispatcher()
    dispatcher.apply(by_record(release(A, one, weight=75), release(B, other, weight=25)))
    await asyncio.sleep(0.05)
    dispatcher.nodes = (one, other)
    return dispatcher


async def score(dispatcher, payload, codec=BASIC, **options):
    return await dispatcher.score(dispatcher.route(CONTRACT), codec, payload, b"id", 5.0, **options)


def rows(count):
    return [[n, 1] for n in range(20, 20 + count)]


def read(reply):
    """(sums, releases) of each record, after checks of what must always hold."""
    assert reply.code == Code.OK, reply.payload
    prediction = json.loads(reply.payload)["Prediction"]
    assert list(prediction) == ["fqrv", "schema", "datum", "recordFqrvs"]
    assert prediction["fqrv"] == prediction["recordFqrvs"][0]
    assert reply.fqrv == NAMES[prediction["fqrv"]["releaseVersion"]]
    sums = [datum["tensors"][0]["Float64"]["data"][0] for datum in prediction["datum"]]
    return sums, [fqrv["releaseVersion"] for fqrv in prediction["recordFqrvs"]]


@pytest.mark.parametrize("count", [1, 2, 7, 100])
async def test_records_are_split_exactly_and_come_back_in_order(two, count):
    sums, releases = read(await score(two, body(*rows(count))))
    assert sums == [first + 1.0 for first, _ in rows(count)]
    assert abs(releases.count("a") - count * 0.75) <= 1
    assert two.take_counts() == {NAMES[name]: Counts(1, 0) for name in set(releases)}, "a part counts as one request"


async def test_split_is_exact_over_many_requests(two):
    total = Counter()
    for count in (1, 3, 5, 11, 20):
        total.update(read(await score(two, body(*rows(count))))[1])
    assert total == {"a": 30, "b": 10}


async def test_the_answer_is_encoded_in_the_protocol_of_the_client(two):
    request = json_format.ParseDict(json.loads(body(*rows(8))), InferenceRequest())
    reply = await score(two, request.SerializeToString(), PROTOBUF)
    prediction = Prediction.FromString(reply.payload)
    assert [datum.tensors[0].Float64.data[0] for datum in prediction.datum] == [n + 1.0 for n in range(20, 28)]
    assert Counter(f.release_version for f in prediction.recordFqrvs) == {"a": 6, "b": 2}
    plain = json.loads((await score(two, body(*rows(8)))).payload)["Prediction"]
    assert json_format.ParseDict(plain, Prediction()).IsInitialized()


async def test_keys_of_records_decide_before_those_of_the_request(two):
    one, other = two.nodes
    releases = release(A, one, weight=50), release(B, other, weight=50)
    wanted = StickyChooser({"a": 50, "b": 50}, lambda name: f"o.p.0.{name}").choose
    two.apply(by_record(*releases, sticky_key="a", version=2))  # a field of the schema
    sums, seen = read(await score(two, body(*rows(50), configs={"a": "ignored"})))
    assert sums == [first + 1.0 for first, _ in rows(50)]
    assert seen == [wanted(str(first)) for first, _ in rows(50)]
    two.apply(by_record(*releases, sticky_key="user", version=3))  # a config
    for user in ("x", "y", "z"):
        assert read(await score(two, body(*rows(5), configs={"user": user})))[1] == [wanted(user)] * 5
        assert read(await score(two, body(*rows(5), configs={"user": "-"}), key=user))[1] == [wanted(user)] * 5
    await score(two, body(*rows(NOTICE)))  # no key at all, the new weights coming
    assert read(await score(two, body(*rows(20))))[1].count("a") in (9, 10, 11)


async def test_the_error_of_one_part_is_the_answer(two):
    for payload, code, words in (
        (body(*rows(7), [-1, 1]), Code.INVALID, "a negative number"),
        (body(*rows(7), [13, 1]), Code.INTERNAL, "the model failed: RuntimeError: thirteen"),
    ):
        reply = await score(two, payload)
        assert reply.code == code
        assert json.loads(reply.payload)["UnknownServableError"]["errorMessage"] == words


@pytest.mark.parametrize("codec", [BASIC, PROTOBUF])
async def test_what_cannot_be_read_is_refused_as_by_any_contract(two, codec):
    reply = await score(two, b"\xff{", codec)
    assert reply.code == Code.MALFORMED


async def test_releases_with_different_outputs_cannot_answer_as_one(two):
    other = two.nodes[1].model
    answer = other.predict

    def renamed(batch, configs):
        prediction = answer(batch, configs)
        prediction.columns[0].fields = ("Total",)
        return prediction

    other.predict = renamed
    reply = await score(two, body(*rows(8)))
    assert reply.code == Code.INVALID
    assert "o.p.0.a and o.p.0.b have different outputs" in reply.payload.decode()


async def test_records_that_have_no_answer_each_cannot_be_parted(two):
    other = two.nodes[1].model
    answer = other.predict
    other.predict = lambda batch, configs: answer(batch, configs).slice(0, 1)
    reply = await score(two, body(*rows(8)))
    assert reply.code == Code.INVALID
    assert "o.p.0.b answered 2 records by 1: they cannot be parted" in reply.payload.decode()


async def test_a_part_that_finds_no_place_refuses_the_whole(two):
    one, other = two.nodes
    await other.die()
    two.apply(by_record(release(A, one, weight=75), release(B, other, weight=25, max_queued=1), version=2))
    waiting = asyncio.ensure_future(score(two, body(*rows(8))))
    await asyncio.sleep(0.05)
    with pytest.raises(QueueFull):
        await score(two, body(*rows(8)))
    await other.start()
    assert read(await waiting)[0] == [n + 1.0 for n in range(20, 28)]


async def test_shadows_get_the_whole_and_only_those_that_answer_nothing_of_it(world):  # noqa: F811
    nodes = [await world.replica(name, fqrv) for name, fqrv in (("1", A), ("2", B))]
    dispatcher = world.dispatcher()
    dispatcher.apply(by_record(release(A, nodes[0], shadow=True), release(B, nodes[1], weight=0, shadow=True)))
    await asyncio.sleep(0.05)
    await score(dispatcher, body(*rows(6)))
    await asyncio.sleep(0.05)
    assert dispatcher.take_counts() == {A: Counts(1, 0), B: Counts(0, 1)}
    assert nodes[1].model.calls == [6]


async def test_nobody_answers_without_an_active_release(world):  # noqa: F811
    dispatcher = world.dispatcher()
    dispatcher.apply(by_record())
    with pytest.raises(NoActiveServables):
        await score(dispatcher, body([1, 2]))
