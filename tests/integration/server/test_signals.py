"""Signals: any number, at any moment, to the server alone or to its group. It always ends, and leaves no process."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from tests.serving import RunningServer, golden, rows_body, wait_for

pytestmark = pytest.mark.slow

END_SECONDS = 60  # a busy machine; 3 are usual


@pytest.fixture
def server(tmp_path):
    server = RunningServer(tmp_path / "data")
    yield server
    server.end_all()


def named(server, part):
    """Whether the server has a process with that in its command line."""
    for process in server.living():
        try:
            if part in " ".join(process.cmdline()):
                return True
        except psutil.NoSuchProcess:
            continue
    return False


MOMENTS = {
    "the data directory is held": lambda s: (s.data_dir / "lock").exists(),
    "Ray is on its way": lambda s: (s.data_dir / "logs" / "ray.log").exists(),
    "Ray's head is there": lambda s: named(s, "gcs_server"),
    "Ray's node is there": lambda s: named(s, "raylet/raylet"),
    "the registry is there": lambda s: named(s, "ray::ForestFlowRegistry"),
    "a router is there": lambda s: named(s, "ray::ForestFlowRouter"),
    "it serves": lambda s: "serves" in s.output.read_text(),
}


def signal_both(server, number=signal.SIGTERM):
    """To the process and to its group, as `timeout` and terminals do."""
    os.kill(server.process.pid, number)
    os.killpg(server.process.pid, number)


def assert_ends(server):
    assert server.process.wait(END_SECONDS) == 0
    wait_for(lambda: server.living() == [])  # the kernel ends the last of them
    assert server.output.read_text().splitlines()[-1] == "stopped"


@pytest.mark.parametrize("moment", MOMENTS)
def test_two_signals_at_once_end_it(server, moment):
    server.launch()
    wait_for(lambda: MOMENTS[moment](server))
    signal_both(server)
    assert_ends(server)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_storm_of_signals_does_not_break_the_stop(server, number):
    server.start()
    while server.process.poll() is None:
        try:
            signal_both(server, number)
        except ProcessLookupError:
            break
        time.sleep(0.002)
    assert_ends(server)
    assert "stopping: answering what is under way" in server.output.read_text()


def test_a_request_under_way_is_answered_though_the_group_got_signals(server):
    server.start()
    rows, _ = golden()
    server.deploy("signals/energy/0", "v1").raise_for_status()
    body = rows_body(rows * 5000)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/signals/energy/0/score", json.dumps(body), {"Content-Type": "application/json"})
    replies = []
    reading = threading.Thread(target=lambda: replies.append(json.load(connection.getresponse())))
    reading.start()
    signal_both(server)
    assert_ends(server)
    reading.join()
    connection.close()
    assert len(replies[0]["Prediction"]["datum"]) == len(body["datum"])


def test_ray_is_in_no_session_of_the_server(server):
    server.start()
    family = server.family()
    assert len(family) > 5
    mine = os.getsid(server.process.pid)
    assert [p.pid for p in family if os.getsid(p.pid) == mine] == [server.process.pid]


def test_a_server_that_is_killed_takes_ray_with_it(server):
    server.start()
    server.process.kill()
    # Ray's two agents go last: they want to report the death of their node to a head that is gone, too.
    wait_for(lambda: [p for p in server.living() if "Agent" not in p.name()] == [])


def test_every_process_may_get_the_signal(server):
    """systemd does so unless KillMode says mixed: Ray goes at the same time."""
    server.start()
    for process in server.living():
        process.terminate()
    assert server.process.wait(END_SECONDS) == 0
    wait_for(lambda: server.living() == [])


def test_signals_that_were_ignored_or_blocked_where_it_was_started(server):
    """As `nohup … &` in a script does it; SIGHUP stays ignored, which is what nohup is for."""
    script = (
        "import os, signal, sys\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    launch = subprocess.Popen

    def ignoring(command, **options):
        return launch([sys.executable, "-c", script, *command], **options)

    for number in (signal.SIGTERM, signal.SIGINT):
        server.output.unlink(missing_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subprocess, "Popen", ignoring)
            server.launch()
        server.wait_until_ready()
        os.kill(server.process.pid, signal.SIGHUP)
        assert server.http.get("/ready").status_code == 200
        os.kill(server.process.pid, number)
        assert_ends(server)
