"""The access log of a real server with two routers: each request is there once, over each protocol."""

from __future__ import annotations

import json
from collections import Counter

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.serving import running

SCORES = {
    "basic": "/o/p/7/score",
    "tfserving": "/v1/models/none:predict",
    "openinference": "/v2/models/none/infer",
    "graphpipe": "/o/p/7/gp",
    "tfinfer": "/o/p/7/infer",
}
ROUNDS = 20


def test_each_request_is_in_the_log_once(tmp_path):
    file = tmp_path / "access.jsonl"
    expected: Counter[tuple[str, str, str]] = Counter()
    with running(tmp_path / "data", "--access-log", str(file), "--routers", "2") as server:
        for number in range(ROUNDS):
            with httpx.Client(base_url=server.url) as client:  # a new connection, to one router or the other
                for protocol, path in SCORES.items():
                    client.post(path, content=b"{}", headers={"X-Request-Id": f"{protocol}-{number}"})
                    expected["POST", path, f"{protocol}-{number}"] += 1
                client.get("/alive", headers={"X-Request-Id": f"alive-{number}"})
                expected["GET", "/alive", f"alive-{number}"] += 1
        with grpc.insecure_channel(server.grpc) as channel:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    written = Counter((entry["method"], entry["path"], entry["request_id"]) for entry in entries)
    assert written & expected == expected
    assert ("gRPC", "/grpc.health.v1.Health/Check", 0) in [
        (entry["method"], entry["path"], entry["status"]) for entry in entries
    ]
    protocols = {entry["path"]: entry["protocol"] for entry in entries}
    assert {path: protocols[path] for path in SCORES.values()} == {path: name for name, path in SCORES.items()}
    unknown = [entry for entry in entries if entry["protocol"] in ("basic", "tfserving", "openinference")]
    assert {(entry["status"], entry["code"]) for entry in unknown} == {(404, "NOT_FOUND")}
