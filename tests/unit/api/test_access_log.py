"""The access log: its lines, its bounds, and what becomes of it when the disk or the file does."""

from __future__ import annotations

import json
import os
import time

import pytest

from forestflow.api import access_log
from forestflow.api.access_log import MAX_TEXT, AccessLog, line_of
from forestflow.api.observer import Finished
from forestflow.domain.ids import Contract
from tests.unit.api.test_observer import PROTOCOLS, chunked, post
from tests.unit.cluster.routers import get, site

CONTRACT = Contract("o", "p", 0)


def request(number=0, **changed):
    given = {
        "method": "POST", "path": f"/{number}", "protocol": "basic", "contract": CONTRACT, "release": "v1",
        "status": 200, "code": "OK", "request_bytes": 1, "answer_bytes": 2, "milliseconds": 1.23456, "request_id": "r",
    }  # fmt: skip
    return Finished(**given | changed)


def lines(file):
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_a_line():
    assert json.loads(line_of(1_700_000_000.5, request())) == {
        "time": "2023-11-14T22:13:20.500+00:00", "method": "POST", "path": "/0", "protocol": "basic",
        "contract": "o/p/0", "release": "v1", "status": 200, "code": "OK", "request_bytes": 1, "answer_bytes": 2,
        "ms": 1.235, "request_id": "r",
    }  # fmt: skip


def test_nothing_from_outside_forges_a_line_or_fills_the_disk():
    line = line_of(0, request(path='/a\n{"status": 200}\u2028\x1b[0m"', release="é" * 5000, contract=None))
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert not any(byte < 0x20 for byte in line[:-1])
    read = json.loads(line)
    assert read["path"] == '/a\n{"status": 200}\u2028\x1b[0m"'
    assert len(read["release"]) == MAX_TEXT
    assert read["contract"] is None


def test_what_waits_is_written_at_the_end(tmp_path):
    log = AccessLog(tmp_path / "logs" / "access.jsonl")
    for number in range(2500):
        log.finished(request(number))
    log.close()
    assert [line["path"] for line in lines(tmp_path / "logs" / "access.jsonl")] == [f"/{n}" for n in range(2500)]


def test_several_routers_append_to_one_file(tmp_path):
    logs = [AccessLog(tmp_path / "access.jsonl") for _ in range(4)]
    for number in range(2000):
        logs[number % 4].finished(request(number))
    for log in logs:
        log.close()
    assert sorted(int(line["path"][1:]) for line in lines(tmp_path / "access.jsonl")) == list(range(2000))


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(access_log, "WRITE_SECONDS", 0.01)
    file, moved = tmp_path / "access.jsonl", tmp_path / "access.1"
    log = AccessLog(file)
    log.finished(request(1))
    until(lambda: file.exists() and lines(file))
    os.rename(file, moved)
    log.finished(request(2))
    log.close()
    assert [line["path"] for line in lines(moved)] == ["/1"]
    assert [line["path"] for line in lines(file)] == ["/2"]


def test_a_disk_that_takes_nothing_is_reported_once_and_harms_nobody(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(access_log, "WRITE_SECONDS", 0.01)
    (tmp_path / "file").write_text("")
    log = AccessLog(tmp_path / "file" / "access.jsonl")
    for number in range(2):
        log.finished(request(number))
        until(lambda: not log._waiting)
    log.close()
    messages = [record.message for record in caplog.records]
    assert sum("cannot be written" in message for message in messages) == 1
    assert sum(int(m.split()[0]) for m in messages if "are missing in the access log" in m) == 2


def test_lines_wait_in_bounded_memory(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(access_log, "MAX_WAITING", 3)
    monkeypatch.setattr(access_log, "WRITE_SECONDS", 60)
    log = AccessLog(tmp_path / "access.jsonl")
    for number in range(10):
        log.finished(request(number))
    log.close()
    assert [line["path"] for line in lines(tmp_path / "access.jsonl")] == ["/0", "/1", "/2"]
    assert [record.message for record in caplog.records] == ["7 requests are missing in the access log"]


@pytest.mark.parametrize("header", ["Accept: */*", "X-Anything: past the shortcut"])
async def test_over_every_protocol(tmp_path, header):
    file = tmp_path / "access.jsonl"
    observer = ("forestflow.api.access_log:AccessLog", {"file": file})
    async with site(tmp_path, observers=(observer,)) as here:
        for path, body in PROTOCOLS.values():
            assert (await here.ask(post(path, body, header, "X-Request-Id: mine"))).status == 200
        assert (await here.ask(get("/alive?token=secret"))).status == 200
        assert (await here.ask(get("/nowhere"))).status == 404
        assert (await here.ask(chunked("/o/p/0/score", b"no chunk\r\n"))).status == 400
    written = lines(file)
    assert [(line["protocol"], line["path"], line["status"], line["code"]) for line in written] == [
        *((name, path, 200, "OK") for name, (path, _) in PROTOCOLS.items()),
        ("control", "/alive", 200, "OK"),
        ("control", "/nowhere", 404, "NOT_FOUND"),
        ("", "/o/p/0/score", 400, "MALFORMED"),
    ]
    for line, (_, body) in zip(written, PROTOCOLS.values(), strict=False):
        assert (line["contract"], line["release"], line["request_id"]) == ("o/p/0", "a", "mine")
        assert line["request_bytes"] == len(body)
    assert b"secret" not in file.read_bytes()
