"""A server that cannot start says why and what to do, in one line, with exit code 4, and soon."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from contextlib import contextmanager

import psutil
import pytest

from tests.serving import RunningServer, golden, rows_body, running, values, wait_for

pytestmark = pytest.mark.slow

CONTRACT = "start/energy/0"


def refused(data_dir, *flags, code=4, env=None):
    """What the server says, on one line, before it ends."""
    server = RunningServer(data_dir, *flags, env=env)
    server.launch()
    try:
        assert server.process.wait(100) == code, server.output.read_text()
        assert server.living() == []
    finally:
        server.end_all()
    (said,) = server.output.read_text().splitlines()
    server.output.unlink()
    assert said.startswith("forestflow: ")
    return said


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    """The data directory of a server that had a release."""
    data = tmp_path_factory.mktemp("life") / "data"
    with running(data) as server:
        server.deploy(CONTRACT, "v1").raise_for_status()
    return data


@pytest.fixture
def data(life, tmp_path):
    """A copy of it, to harm."""
    return shutil.copytree(life, tmp_path / "data")


@contextmanager
def journal(data):
    connection = sqlite3.connect(data / "journal.db")
    with connection:
        yield connection
    connection.close()


def forget_log(data):
    for path in data.glob("journal.db-*"):
        path.unlink()


def make_garbage(data):
    forget_log(data)
    (data / "journal.db").write_bytes(b"hello " * 1000)


def make_torn(data):
    """The first page is whole: it opens."""
    with journal(data) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    forget_log(data)
    with (data / "journal.db").open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


def make_directory(data):
    forget_log(data)
    (data / "journal.db").unlink()
    (data / "journal.db").mkdir()


def make_empty(data):
    forget_log(data)
    (data / "journal.db").write_bytes(b"")


def remove(data):
    forget_log(data)
    (data / "journal.db").unlink()


def make_newer(data):
    with journal(data) as connection:
        connection.execute("UPDATE schema_version SET version = 99")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (make_garbage, ["file is not a database", "journal.db", "backup"]),
        (make_torn, ["malformed", "journal.db", "backup"]),
        (make_directory, ["unable to open database file", "journal.db", "backup"]),
        (make_empty, ["the journal is empty", "secret", "artifacts", "backup", "begin anew"]),
        (remove, ["the journal is empty", "secret", "artifacts", "backup", "begin anew"]),
        (make_newer, ["newer ForestFlow", "99"]),
    ],
)
def test_a_journal_that_cannot_be_opened(data, harm, words):
    harm(data)
    for _ in range(2):  # the first start must not make a journal out of it that the second one takes
        said = refused(data)
        assert [word for word in words if word not in said] == []
    assert any((data / "artifacts").iterdir()), "the models are still there"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"contract": tor', "it is not JSON"),
        ("[1]", "it is not a JSON object"),
        ("{}", "without 'serveRequest'"),
        ('{"serveRequest": {}, "digest": 1, "createdAtMS": "soon"}', "ServableDeployed"),
        (None, "ServableDeployed"),
    ],
)
def test_a_journal_whose_last_entry_is_damaged(data, body, words):
    with journal(data) as connection:
        connection.execute("CREATE TABLE other AS SELECT * FROM events")  # without NOT NULL
        connection.execute("DROP TABLE events")
        connection.execute("ALTER TABLE other RENAME TO events")
        (last,) = connection.execute("SELECT max(seq) FROM events WHERE kind = 'ServableDeployed'").fetchone()
        connection.execute("DELETE FROM events WHERE seq > ?", (last,))
        connection.execute("UPDATE events SET body = ? WHERE seq = ?", (body, last))
    said = refused(data)
    assert f"entry {last} (ServableDeployed) of the journal cannot be used" in said
    assert words in said
    repair = f"DELETE FROM events WHERE seq >= {last}"
    assert repair in said
    if body == "{}":  # the advice is right
        with journal(data) as connection:
            connection.execute(repair)
        with running(data) as server:
            assert server.http.get("/contracts/list").status_code == 200


def test_a_journal_that_goes_bad_while_it_runs(data):
    """Ray restarts the registry for ever: scoring goes on, control commands say what is wrong."""
    rows, expected = golden()
    with running(data) as server:
        with journal(data) as connection:
            connection.execute("UPDATE events SET body = '{' WHERE seq = (SELECT max(seq) FROM events)")
        (registry,) = server.pids("registry")
        os.kill(registry, signal.SIGKILL)
        wait_for(lambda: server.http.get("/contracts/list").status_code == 507)
        reply = server.http.get("/contracts/list")
        assert "cannot be used: it is not JSON" in reply.text
        assert str(data) not in reply.text
        assert values(server.score(CONTRACT, rows_body(rows[:2]))) == pytest.approx(expected[:2], rel=1e-9)

        def said():
            return (data / "logs" / "forestflow.jsonl").read_text().count("the registry gave no Plan")

        wait_for(lambda: said() > 0)
        time.sleep(1)
        assert said() == 1, "not at every try"
        with journal(data) as connection:
            connection.execute("DELETE FROM events WHERE body = '{'")
        wait_for(lambda: server.http.get("/contracts/list").status_code == 200)


@pytest.mark.parametrize("name", ["a%20b", "what?#%3F", "ü &;'\""])
def test_a_data_directory_of_any_name(tmp_path, name):
    data = tmp_path / name
    for _ in range(2):
        with running(data) as server:
            if server.http.get(f"/{CONTRACT}/list").status_code == 404:
                server.deploy(CONTRACT, "v1").raise_for_status()
            assert server.http.get(f"/{CONTRACT}/list").json()[0]["FQRV"]["releaseVersion"] == "v1"
    assert (data / "journal.db").is_file()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [name]


def test_a_file_where_the_data_directory_should_be(tmp_path):
    (tmp_path / "data").write_text("")
    assert "cannot be used: File exists" in refused(tmp_path / "data")


@pytest.mark.parametrize(("options", "reason"), [("ro", "Read-only"), ("size=4k", "No space left")])
def test_a_disk_that_takes_nothing(tmp_path, options, reason):
    disk = tmp_path / "data"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        if reason == "No space left":
            (disk / "full").write_bytes(b"x" * 4096)
        said = refused(disk)
        assert reason in said or "full" in said
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg://u:geheim@127.0.0.1:1/db", "Connection refused"),
        ("postgresql+psycopg://u:geheim@192.0.2.1/db?connect_timeout=2", "cannot be opened"),
        ("postgresql+nothing://u:geheim@127.0.0.1/db", "its URL is not one of SQLAlchemy's"),
        ("postgresql+psycopg://u:geheim@127.0.0.1:port/db", "its URL is not one of SQLAlchemy's"),
        ("postgresql+pg8000://u:geheim@127.0.0.1/db", "pg8000"),
        ("sqlite://", "one in memory is lost"),
    ],
)
def test_a_database_that_cannot_be_reached(tmp_path, url, words):
    said = refused(tmp_path / "data", "--journal-url", url)
    assert words in said
    assert "geheim" not in said


def test_an_embedded_ray_listens_on_loopback_alone(server, contract):
    """All of it: head, node, agents, workers; and our own sockets, by default."""
    server.deploy(contract, "v1").raise_for_status()
    listening = {}
    for process in server.family():
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                listening.setdefault(connection.laddr.ip.removeprefix("::ffff:"), []).append(process.name())
    assert set(listening) == {"127.0.0.1"}, listening
    assert {"gcs_server", "raylet"} <= set(listening["127.0.0.1"])


def silent_port():
    """A port that takes connections and says nothing, as a machine that hangs does."""
    listener = socket.create_server(("127.0.0.2", 0))
    return listener, listener.getsockname()[1]


def test_an_address_at_which_no_ray_is(tmp_path):
    listener, port = silent_port()
    with listener:
        assert f"127.0.0.2:{port} within 5 s" in refused(tmp_path / "data", "--address", f"127.0.0.2:{port}")
    assert "Connection refused" in refused(tmp_path / "data", env={"RAY_ADDRESS": f"127.0.0.2:{port}"})
    assert "no address of a cluster" in refused(tmp_path / "data", "--address", "ray://127.0.0.2:10001")
    assert "Invalid address format" in refused(tmp_path / "data", "--address", "127.0.0.2")
    with socket.create_server(("127.0.0.2", 0)) as web:

        def answer():
            connection, _ = web.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        at = f"127.0.0.2:{web.getsockname()[1]}"
        assert "is not the head of a Ray cluster" in refused(tmp_path / "data", "--address", at)


def test_a_signal_while_it_looks_for_ray(tmp_path):
    listener, port = silent_port()
    server = RunningServer(tmp_path / "data", "--address", f"127.0.0.2:{port}")
    with listener:
        server.launch()
        listener.accept()[0].close()
        server.process.terminate()
        try:
            assert server.process.wait(60) == 0
        finally:
            server.end_all()
    assert server.output.read_text() == "stopped\n"
