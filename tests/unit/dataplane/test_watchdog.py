"""The watchdog: what it makes of what it sees, and real processes that hang, stop or take too much memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from forestflow.dataplane.pulse import DIED, HUNG, MEMORY, STOPPED, death_of
from forestflow.dataplane.watchdog import MAX_STEP, STOPPED_SECONDS, HostWatch

MIB = 1 << 20


def look(watch, step=0.1, beats=0, patience=5.0, limit=0, used=0, state="R", traced=False):
    return watch.look(step, beats, patience, limit, used, state, traced)


def test_who_beats_may_go_on_for_ever():
    watch = HostWatch()
    assert [look(watch, beats=n // 40) for n in range(1000)] == [None] * 1000


def test_who_is_silent_for_longer_than_it_said_hangs():
    watch = HostWatch()
    seen = [look(watch, step=0.125) for _ in range(42)]
    assert seen == [None] * 41 + [(HUNG, 5.0)], "the first look only learns the count"


def test_a_call_may_take_as_long_as_was_said_when_it_began():
    watch = HostWatch()
    look(watch, beats=1, patience=1.0)
    assert [look(watch, beats=2, patience=100.0) for _ in range(500)] == [None] * 500
    assert [look(watch, beats=2, patience=float("inf")) for _ in range(5000)] == [None] * 5000


def test_a_machine_that_was_suspended_hangs_nobody():
    watch = HostWatch()
    look(watch)
    assert look(watch, step=86_400.0) is None
    assert look(watch, step=86_400.0) is None
    assert look(watch, beats=1) is None


def test_a_debugger_may_take_its_time():
    watch = HostWatch()
    assert [look(watch, traced=True, state="t") for _ in range(500)] == [None] * 500


def test_a_stopped_process_is_given_a_moment_whatever_it_does():
    watch = HostWatch()
    looks = int(STOPPED_SECONDS / MAX_STEP)
    assert [look(watch, MAX_STEP, state="T", patience=100) for _ in range(looks)] == [None] * looks
    assert look(watch, MAX_STEP, state="T", patience=100) == (STOPPED, STOPPED_SECONDS)
    again = HostWatch()
    for _ in range(100):  # stopped and continued, as by a shell
        assert look(again, MAX_STEP, state="T") is None
        assert look(again, MAX_STEP, beats=1, state="S") is None


def test_memory_over_the_limit():
    assert look(HostWatch(), limit=100, used=100) is None
    assert look(HostWatch(), limit=100, used=101) == (MEMORY, 100.0)
    assert look(HostWatch(), limit=0, used=1 << 60) is None


PROCESS = """
import ctypes, os, signal, sys, time
from pathlib import Path
from forestflow.dataplane import pulse
from forestflow.dataplane.memory import used_memory

pulse.GRACE_SECONDS = 0.5
mine = pulse.Pulse(Path(sys.argv[1]), 0.5)
mine.watch(0)
mine.run([7, 8], 0.1)
match sys.argv[2]:
    case "loops":
        while True: pass
    case "holds the GIL":
        ctypes.PyDLL(None).sleep(1000)
    case "is stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    case "fills the memory":
        mine.run([7, 8], 1000.0)
        mine.limit_memory(used_memory() + (64 << 20))
        filled = [b"x" * (n + (1 << 20)) for n in range(10_000)]
    case "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    case "works":
        for _ in range(10):
            mine.run([7, 8], 0.1)
            time.sleep(0.25)
        mine.run([9], 3.0)
        time.sleep(2)
        mine.close()
"""


@pytest.mark.parametrize(
    ("does", "reason", "running"),
    [
        ("loops", HUNG, {7, 8}),
        ("holds the GIL", HUNG, {7, 8}),
        ("is stopped", STOPPED, {7, 8}),
        ("fills the memory", MEMORY, {7, 8}),
        ("is killed", DIED, {7, 8}),
    ],
)
def test_a_process_that_must_end_ends_and_says_why_and_over_what(tmp_path, does, reason, running):
    ended = subprocess.run([sys.executable, "-c", PROCESS, str(tmp_path / "a.pulse"), does], timeout=60, check=False)
    assert ended.returncode == -9
    death = death_of(tmp_path / "a.pulse")
    assert death is not None
    assert (death.reason, death.running) == (reason, running)
    assert (death.message is None) is (reason == DIED)


def test_a_process_that_works_is_left_alone_and_leaves_nothing(tmp_path):
    subprocess.run([sys.executable, "-c", PROCESS, str(tmp_path / "a.pulse"), "works"], timeout=60, check=True)
    assert list(tmp_path.iterdir()) == []


def test_of_a_host_on_another_node_or_one_that_only_begins_nothing_is_known(tmp_path):
    assert death_of(tmp_path / "nowhere.pulse") is None
    (tmp_path / "begun.pulse").touch()
    assert death_of(tmp_path / "begun.pulse") is None
