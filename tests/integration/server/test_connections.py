"""A real server's ports under what clients and attackers do: offered upgrades, endless trailers, crowds."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack

import grpc
import httpx
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.serving import golden, rows_body, running, values, wait_for

ROWS, EXPECTED = golden()
BODY = json.dumps(rows_body(ROWS[:2])).encode()
SETTINGS = {"expirationPolicy": {"KeepLatest": {"servablesToKeep": 7}}, "router": {"FairPhaseInPctBasedRouter": {}}}
OFFER = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n"


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), 30)


def head(path, length, method="POST", more=""):
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{more}"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def answer(reader):
    """Status and body of the next response on a connection."""
    status = int(reader.readline().split()[1])
    length = 0
    while (line := reader.readline().strip().lower()) != b"":
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return status, reader.read(length)


@pytest.mark.parametrize("path", ["/{}/score", "/{}/score?in=general"], ids=["shortcut", "general"])
def test_the_body_behind_an_offered_upgrade_is_a_body(server, contract, path):
    """It used to be dropped, or, when it came after its head, be read as a request of its own."""
    assert server.deploy(contract, "v1").status_code == 200
    before = server.http.get(f"/{contract}/contract-settings").json()
    settings = json.dumps(SETTINGS).encode()
    inside = head(f"/contract/{contract}", len(settings), "PUT") + settings
    path = path.format(contract)
    with connect(server) as connection, connection.makefile("rb") as reader:
        connection.sendall(head(path, len(BODY), more=OFFER) + BODY + head("/alive", 0, "GET"))
        status, body = answer(reader)
        assert status == 200
        assert values(httpx.Response(200, content=body)) == pytest.approx(EXPECTED[:2], rel=1e-9)
        assert answer(reader)[0] == 200
        connection.sendall(head(path, len(inside), more=OFFER))
        time.sleep(0.2)
        connection.sendall(inside)
        assert answer(reader)[0] == 400
        connection.sendall(head("/alive", 0, "GET"))
        assert answer(reader)[0] == 200
    assert server.http.get(f"/{contract}/contract-settings").json() == before
    assert server.http.put(f"/contract/{contract}", content=settings).status_code == 200, "it could have changed"
    assert server.http.get(f"/{contract}/contract-settings").json() != before


def test_an_endless_trailer_takes_no_memory_and_nobodys_time(server, contract):
    assert server.deploy(contract, "v1").status_code == 200
    router = psutil.Process(server.pids("router")[0])
    assert values(server.score(contract, BODY)) == pytest.approx(EXPECTED[:2], rel=1e-9)
    before = router.memory_info().rss
    taken = []

    def attack():
        with connect(server) as connection:
            lines = f"POST /{contract}/score HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.sendall(lines.encode() + b"2\r\n{}\r\n0\r\nX-Sum: ")
            sent = 0
            try:
                while sent < 100 << 20:
                    connection.sendall(b"x" * 65_536)
                    sent += 65_536
            except OSError:
                pass
            taken.append(sent)

    attackers = [threading.Thread(target=attack) for _ in range(4)]
    for attacker in attackers:
        attacker.start()
    for _ in range(20):
        assert values(server.score(contract, BODY)) == pytest.approx(EXPECTED[:2], rel=1e-9)
    for attacker in attackers:
        attacker.join(60)
    assert len(taken) == 4
    assert max(taken) < 32 << 20, "it was read on and on"
    assert router.memory_info().rss - before < 64 << 20


def test_a_crowd_of_connections_leaves_the_established_ones_alone(tmp_path):
    with running(tmp_path / "data", "--max-connections", "10") as server, ExitStack() as stack:
        assert server.deploy("o/p/0", "v1").status_code == 200
        router = psutil.Process(server.pids("router")[0])

        def established(port):
            found = router.net_connections("tcp")
            return sum(c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port for c in found)

        for _ in range(100):
            stack.enter_context(connect(server))
            time.sleep(0.003)
        assert values(server.score("o/p/0", BODY)) == pytest.approx(EXPECTED[:2], rel=1e-9)
        wait_for(lambda: established(server.port) <= 10)
        for _ in range(20):  # this client's connection is idle for a moment at a time, those of the crowd for longer
            stack.enter_context(connect(server))
            assert values(server.score("o/p/0", BODY)) == pytest.approx(EXPECTED[:2], rel=1e-9)

        host, port = server.grpc.split(":")
        with grpc.insecure_channel(server.grpc) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            assert check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
            for _ in range(50):
                stack.enter_context(socket.create_connection((host, int(port)), 30))
            wait_for(lambda: established(int(port)) <= 10)
            assert check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
