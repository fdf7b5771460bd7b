"""Raw bytes to a real router with a real replica: the shortcut, what it leaves to uvicorn, and that nobody can tell."""

from __future__ import annotations

import asyncio
import json
import random
import re

import pytest

from forestflow.api.http import shortcut
from forestflow.domain.plan import ContractPlan, PlanUpdate
from forestflow.domain.routing import StickyChooser
from tests.unit.cluster.routers import get, site
from tests.unit.dataplane.test_dispatch import CONTRACT, A, B, Node, plan, release
from tests.unit.dataplane.test_replica import body

PATH = "/o/p/0/score"
BODY = body([1, 2])


def request(payload=BODY, *, path=PATH, method="POST", version="1.1", length=None, **headers):
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if length is not False:
        lines.append(f"Content-Length: {len(payload) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + payload


def chunked(payload, size=20):
    chunks = [payload[i : i + size] for i in range(0, len(payload), size)] + [b""]
    encoded = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks)
    return request(b"", length=False, Transfer_Encoding="chunked") + encoded


def sums(answer):
    assert answer.status == 200, answer
    return [d["tensors"][0]["Float64"]["data"][0] for d in json.loads(answer.body)["Prediction"]["datum"]]


async def test_takes_whole_requests_and_says_what_http_wants(here, taken):
    client = await here.connect()
    first, second = await client.ask(request()), await client.ask(request())
    assert sums(first) == sums(second) == [3.0]
    assert set(first.headers) == {"content-type", "content-length", "x-request-id"}
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert taken() == 2


@pytest.fixture
async def sticky(here, tmp_path):
    """Two releases, by key; ``sticky(answer)`` says which one it was."""
    other = await Node(tmp_path, B, "2").start()
    releases = (release(A, here.node), release(B, other))
    here.registry.update = PlanUpdate(2, {CONTRACT: ContractPlan(CONTRACT, releases, sticky_key="user")})
    await asyncio.sleep(0.1)
    yield lambda answer: json.loads(answer.body)["Prediction"]["fqrv"]["releaseVersion"]
    await other.die()


async def test_a_key_in_the_head_counts_for_its_own_request_alone(here, taken, sticky):
    client = await here.connect()
    wanted = StickyChooser({"a": 100, "b": 100}, lambda name: f"o.p.0.{name}")
    asked = [f"user {n}" for n in range(20)]
    for key in asked:
        for _ in range(2):
            assert sticky(await client.ask(request(X_ForestFlow_Key=key))) == wanted.choose(key)
    assert taken() == 40
    for key in asked:
        answer = await client.ask(
            chunked(BODY).replace(b"\r\n\r\n", b"\r\nx-forestflow-key: %b\r\n\r\n" % key.encode(), 1)
        )
        assert sticky(answer) == wanted.choose(key)
        assert sticky(await client.ask(request(body([1, 2], configs={"user": key})))) == wanted.choose(key)
        both = request(body([1, 2], configs={"user": "somebody else"}), X_ForestFlow_Key=key)
        assert sticky(await client.ask(both)) == wanted.choose(key)


async def test_requests_without_a_key_are_split_exactly(here, sticky):
    client = await here.connect()
    without = [request(), request(X_ForestFlow_Key=""), request(body([1, 2], configs={"other": "x"}))]
    answers = [sticky(await client.ask(without[n % 3])) for n in range(30)]
    assert answers.count("a") == 15


async def test_pipelined_requests_are_answered_in_order(here, taken):
    client = await here.connect()
    payloads = [body([n + 0.5, 1]) for n in range(30)]
    mixed = [chunked(p) if n % 7 == 3 else get("/alive") if n % 7 == 5 else request(p) for n, p in enumerate(payloads)]
    client.write(b"".join(mixed))
    for n in range(30):
        answer = await client.answer()
        if n % 7 == 5:
            assert json.loads(answer.body) == {"status": "alive"}
        else:
            assert sums(answer) == [n + 1.5]
    assert taken() > 0


@pytest.mark.parametrize("pause", [0, 0.02])
async def test_any_split_of_a_stream_gives_the_same_answers(here, pause):
    stream = request(body([1, 2])) + request(body([3, 4]), X_Request_Id="mine") + request(body([5, 6]))
    one = len(request(body([1, 2])))
    cuts = [1, 10, stream.index(b"\r\n\r\n") + 2, stream.index(b"\r\n\r\n") + 4, one - 1, one, one + 5, one + 300]
    for cut in cuts:
        client = await here.connect()
        client.write(stream[:cut])
        await asyncio.sleep(pause)
        client.write(stream[cut:])
        answers = [await client.answer() for _ in range(3)]
        assert [sums(a) for a in answers] == [[3.0], [7.0], [11.0]]
        assert answers[1].headers["x-request-id"] == "mine"


async def test_a_stream_in_random_pieces_keeps_its_order(here):
    """What arrives between an answer and the requests held back meanwhile must queue up behind those."""
    dice = random.Random(7)
    stream = b"".join(request(body([n + 0.5, 1])) for n in range(1500))
    client = await here.connect()

    async def write():
        at = 0
        while at < len(stream):
            size = dice.choice([1, 30, 200, 1000, 5000])
            client.write(stream[at : at + size])
            at += size
            await asyncio.sleep(0)

    writing = asyncio.ensure_future(write())
    for n in range(1500):
        assert sums(await client.answer()) == [n + 1.5]
    await writing


async def test_what_arrives_right_after_an_answer_queues_up_behind_what_is_held(here, monkeypatch):
    answer = shortcut.ShortcutProtocol._answer
    squeezed = []

    def eager(self, outcome):
        self._held, tail = self._held[:-200], self._held[-200:]
        held = len(self._held)
        answer(self, outcome)
        if held and tail:
            squeezed.append(held)
            self.data_received(tail)  # as the loop may, before it comes to what is held
        else:
            self._held += tail

    monkeypatch.setattr(shortcut.ShortcutProtocol, "_answer", eager)
    client = await here.connect()
    client.write(b"".join(request(body([n + 0.5, 1])) for n in range(20)))
    for n in range(19):
        assert sums(await client.answer()) == [n + 1.5]
    assert squeezed


async def test_a_byte_at_a_time(here):
    client = await here.connect()
    for byte in request():
        client.write(bytes([byte]))
        await asyncio.sleep(0)
    assert sums(await client.answer()) == [3.0]


async def test_a_body_in_many_segments(here):
    rows = body(*[[n + 0.5, 1] for n in range(800)])
    client = await here.connect()
    whole = request(rows)
    for start in range(0, len(whole), 1000):
        client.write(whole[start : start + 1000])
        await asyncio.sleep(0.001)
    assert sums(await client.answer()) == [n + 1.5 for n in range(800)]
    assert sums(await client.ask(request())) == [3.0]


async def test_heads_alternate_on_one_connection(here, taken):
    client = await here.connect()
    for _ in range(3):
        assert sums(await client.ask(request(User_Agent="a"))) == [3.0]
        assert sums(await client.ask(request(body([5, 5]), User_Agent="bb"))) == [10.0]
        assert sums(await client.ask(chunked(BODY))) == [3.0]
        assert (await client.ask(get("/o/p/0/score"))).status == 405
    assert taken() == 6


async def test_request_ids_of_clients_are_theirs_and_never_remembered(here, taken):
    client = await here.connect()
    for name in ("a-1", "a-2", "a-1"):
        assert (await client.ask(request(X_Request_Id=name))).headers["x-request-id"] == name
    assert (await client.ask(request(X_Request_Id="spa ce" + "x" * 300))).headers["x-request-id"] == (
        "space" + "x" * 123
    )
    assert taken() == 4


async def test_expect_100_continue(here):
    client = await here.connect()
    client.write(request(b"", length=len(BODY), Expect="100-continue"))
    assert (await client.answer()).status == 100
    client.write(BODY)
    assert sums(await client.answer()) == [3.0]
    assert sums(await client.ask(request())) == [3.0]


async def test_http_1_0_and_connection_close_end_the_connection(here):
    for closing in (request(version="1.0"), request(Connection="close"), request(Connection="Keep-Alive, close")):
        client = await here.connect()
        assert sums(await client.ask(closing)) == [3.0]
        assert await client.closed()
    client = await here.connect()
    assert sums(await client.ask(request(Connection="keep-alive"))) == [3.0]
    assert sums(await client.ask(request(Connection="keep-alive"))) == [3.0]


GARBAGE = [
    b"\x00\x01\x02\r\n\r\n",
    b"HELLO\r\n\r\n",
    b"POST\r\n\r\n",
    b"POST /o/p/0/score\r\n\r\n",
    b"POST /o/p/0/score HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"POST /o/p/0/score HTTP/1.1\r\nHost localhost\r\n\r\n",
    b"POST /o/p/0/score HTTP/1.1\r\nHost: local\x00host\r\nContent-Length: 0\r\n\r\n",
    b"post /o/p/0/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    b"POST /o/p/0/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n Folded: 1\r\n\r\n{}",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


async def test_what_is_not_http_is_refused(here):
    for garbage in GARBAGE:
        answer = await here.ask(garbage)
        assert answer.status in (400, 505), garbage
        assert json.loads(answer.body)["error"]["requestId"] == answer.headers["x-request-id"]
    assert sums(await here.ask(request())) == [3.0]


LENGTHS = ["-1", "+5", "1_0", "0x10", "five", "", " ", "1e2", "9" * 20, "9" * 5000, "5, 5", "5 5"]


async def test_lengths_that_are_none_are_refused_everywhere_alike(here, taken):
    for length in LENGTHS:
        for head in (request(length=length), request(b"", length=length)):
            client = await here.connect()
            assert (await client.ask(head)).status in (400, 413), length
            assert await client.closed(), "what follows cannot be told from a request"
    assert taken() == 0


async def test_two_lengths_are_never_believed(here, taken):
    for other in (len(BODY), len(BODY) - 1, 0):
        client = await here.connect()
        client.write(request(Content_Length=other))
        assert (await client.answer()).status in (400, 422)
        assert await client.closed()
    assert taken() == 0


async def test_length_and_chunks_together_are_never_believed(here, taken):
    smuggled = b"0\r\n\r\n" + request(body([9, 9]))
    client = await here.connect()
    client.write(request(smuggled, Transfer_Encoding="chunked"))
    assert (await client.answer()).status == 400
    assert await client.closed()
    assert here.node.model.calls == []
    assert taken() == 0


async def test_a_body_over_the_limit_is_refused_before_it_arrives(here):
    client = await here.connect()
    answer = await client.ask(request(b"", length=100_001))
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert await client.closed()
    assert (await here.ask(request(b" " * 100_001))).status == 413
    assert (await here.ask(request(b" " * (100_000 - len(BODY)) + BODY))).status == 200
    assert (await here.ask(chunked(b" " * 200_000, 50_000))).status == 413


async def test_a_head_that_never_ends_is_cut_off(here):
    client = await here.connect()
    client.write(b"POST /o/p/0/score HTTP/1.1\r\nHost: localhost\r\n")
    for n in range(66):
        await asyncio.sleep(0.001)
        client.write(b"X-%d: %b\r\n" % (n, b"x" * 990))
    assert (await client.answer()).status == 431
    assert await client.closed()
    assert sums(await here.ask(request())) == [3.0]


async def test_heads_of_some_length_still_work_without_the_shortcut(here, taken):
    assert sums(await here.ask(request(User_Agent="x" * 5000))) == [3.0]
    assert taken() == 0


async def test_targets_of_other_forms(here):
    for path in ("http://localhost/o/p/0/score", "//o/p/0/score", "/o/p/0/score/", "*", "/o/p/%30/score?x=1"):
        answer = await here.ask(request(path=path))
        assert answer.status in (200, 400, 403, 404, 405, 422), (path, answer)
    assert sums(await here.ask(request(path="/o/p/0/score?x=1"))) == [3.0]
    assert sums(await here.ask(request(path="/%6f/p/0/score"))) == [3.0]
    assert (await here.ask(request(path="/o%2fp/p/0/score"))).status == 400


async def test_clients_that_leave_harm_nobody(tmp_path):
    async with site(tmp_path, swallow=True) as here:
        for part in (request(), request()[:-5], request()[:20], request() * 3):
            client = await here.connect()
            client.write(part)
            await client.writer.drain()
            await asyncio.sleep(0.02)
            client.writer.transport.abort()
        del here.node.replica.submit  # the replica answers again
        await asyncio.sleep(0.05)
        assert sums(await here.ask(request())) == [3.0]


async def test_a_deadline_that_passes_is_told_on_the_same_connection(tmp_path, taken):
    async with site(tmp_path, swallow=True) as here:
        client = await here.connect()
        late = await client.ask(request(X_Request_Timeout="0.1"))
        assert late.status == 504
        assert json.loads(late.body)["error"]["requestId"] == late.headers["x-request-id"]
        del here.node.replica.submit
        assert sums(await client.ask(request())) == [3.0]
        assert taken() == 2


async def test_pipelined_requests_are_taken_only_as_fast_as_their_answers_are_read(here, monkeypatch):
    protocols = []
    made = shortcut.ShortcutProtocol.connection_made

    def remember(self, transport):
        protocols.append(self)
        made(self, transport)

    monkeypatch.setattr(shortcut.ShortcutProtocol, "connection_made", remember)
    client = await here.connect()
    rows = body(*[[n + 0.5, 1] for n in range(800)])
    client.write(request(rows) * 400)  # the answers are some 20 MB
    waiting = []
    for _ in range(20):
        await asyncio.sleep(0.02)
        waiting.append(protocols[0].transport.get_write_buffer_size())
    assert max(waiting) < 1 << 20
    for _ in range(400):
        assert (await client.answer()).status == 200


async def test_a_contract_that_goes_is_unknown_to_heads_seen_before(here):
    client = await here.connect()
    assert sums(await client.ask(request())) == [3.0]
    here.registry.update = PlanUpdate(2, {CONTRACT: None})
    await asyncio.sleep(0.1)
    assert (await client.ask(request())).status == 404
    here.registry.update = PlanUpdate(3, plan(release(A, here.node)).contracts)
    await asyncio.sleep(0.1)
    assert sums(await client.ask(request())) == [3.0]


async def test_remembered_heads_are_bounded(here, monkeypatch):
    monkeypatch.setattr(shortcut, "REMEMBERED_HEADS", 3)
    client = await here.connect()
    for n in range(10):
        assert sums(await client.ask(request(User_Agent=f"agent-{n}"))) == [3.0]


SAME = {
    "ok": request(),
    "own id": request(X_Request_Id="mine"),
    "accept": request(Accept="application/json"),
    "malformed": request(b"{"),
    "empty": request(b""),
    "negative": request(body([-1, 2])),
    "failing model": request(body([13, 2])),
    "no datum": request(b'{"schema": [], "datum": []}'),
    "bad timeout": request(X_Request_Timeout="soon"),
    "wrong type": request(Content_Type="text/csv").replace(b"Content-Type: application/json\r\n", b""),
    "unknown contract": request(path="/o/p/9/score"),
    "no number": request(path="/o/p/x/score"),
    "strange host": request().replace(b"localhost", b"evil.example"),
}


async def test_nobody_can_tell_the_shortcut_from_the_general_case(here, monkeypatch):
    def comparable(name, answer):
        if name != "own id":
            del answer.headers["x-request-id"]
            answer.body = re.sub(rb'"requestId":"[^"]+"', b"", answer.body)
        if answer.status != 200:  # it depends on the length of the id
            del answer.headers["content-length"]
        return answer

    async def answers():
        told = {name: comparable(name, await here.ask(asked)) for name, asked in SAME.items()}
        here.node.replica.submit = lambda job, priority: None  # so that the deadline passes, however fast all else is
        told["late"] = comparable("late", await here.ask(request(X_Request_Timeout="0.01")))
        del here.node.replica.submit
        return told

    short = await answers()
    assert {short[name].status for name in ("ok", "own id", "accept")} == {200}
    assert short["late"].status == 504
    monkeypatch.setattr(shortcut.Shortcut, "admit", lambda self, head: None)
    for name, answer in (await answers()).items():
        assert answer == short[name], name


async def test_idle_connections_are_closed_and_busy_ones_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr("forestflow.cluster.router.IDLE_SECONDS", 0.3)
    monkeypatch.setattr("forestflow.cluster.router.SWEEP_SECONDS", 0.05)
    async with site(tmp_path, swallow=True) as here:
        silent, dawdling, waiting = [await here.connect() for _ in range(3)]
        dawdling.write(request()[:30])
        waiting.write(request(X_Request_Timeout="1"))
        assert await silent.closed(2)
        assert await dawdling.closed(2)
        assert (await waiting.answer()).status == 504
        assert await waiting.closed(2)


async def test_a_stop_answers_what_took_the_shortcut_then_closes(tmp_path, taken):
    async with site(tmp_path) as here:
        held = []
        submit = here.node.replica.submit
        here.node.replica.submit = lambda job, priority: held.append((job, priority))
        busy, idle = await here.connect(), await here.connect()
        busy.write(request())
        while not held:
            await asyncio.sleep(0.01)
        stopping = asyncio.ensure_future(asyncio.to_thread(here.router.stop))
        assert await idle.closed()
        submit(*held[0])
        assert sums(await busy.answer()) == [3.0]
        assert await busy.closed()
        await stopping
        assert taken() == 1
