"""Signals and the server's thread, in a process of their own, without Ray."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import psutil
import pytest

from forestflow.cluster.supervisor import Phase, Stopped, Work

PRELUDE = """
import os, signal, sys, threading, time
from forestflow.cluster.supervisor import Phase, block, supervise, unblock
def abandon(why):
    print("abandoned:", why, flush=True)
    os._exit(7)
"""


@contextmanager
def running(code, prelude=PRELUDE):
    command = [sys.executable, "-c", prelude + textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def end(process):
    return process.wait(60), process.stdout.read()


ORDERLY = """
def work(work):
    work.enter(Phase(30))
    print("up", flush=True)
    work.wait()
    time.sleep(0.2)  # signals come while it stops, too
    print("stopped in order", flush=True)
supervise(work, abandon)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_any_number_of_signals_ends_it_once_in_order(number):
    with running(ORDERLY) as process:
        while process.poll() is None:
            process.send_signal(number)
        assert end(process) == (0, "stopped in order\n")


def test_what_was_inherited_does_not_matter():
    inherited = (
        "import signal\n"
        "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])\n"
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        with running(ORDERLY, inherited + PRELUDE) as process:
            process.send_signal(number)
            assert end(process) == (0, "stopped in order\n")


def test_a_hangup_that_nohup_has_ignored_stays_ignored():
    with running(ORDERLY, "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + PRELUDE) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert end(process) == (0, "stopped in order\n")


def test_a_handler_that_a_library_puts_back_is_not_run():
    """Ray's shutdown gives SIGTERM its default again, which kills."""
    code = """
    def work(work):
        work.enter(Phase(30))
        import ctypes
        ctypes.CDLL(None).signal(int(signal.SIGTERM), None)  # SIG_DFL
        print("up", flush=True)
        work.wait()
        print("stopped in order", flush=True)
    supervise(work, abandon)
    """
    with running(code) as process:
        process.send_signal(signal.SIGTERM)
        assert end(process) == (0, "stopped in order\n")


STUCK = """
lock = threading.Lock()
lock.acquire()
def work(work):
    work.enter({phase})
    print("up", flush=True)
    lock.acquire()  # as a call into C that does not come back
supervise(work, abandon)
"""


def test_a_phase_that_may_be_cut_short_ends_at_once():
    with running(STUCK.format(phase="Phase(0)")) as process:
        process.send_signal(signal.SIGTERM)
        assert end(process) == (7, "abandoned: None\n")


def test_a_stop_that_takes_too_long_is_given_up():
    with running(STUCK.format(phase="Phase(0.1, overdue='too late')")) as process:
        process.send_signal(signal.SIGTERM)
        assert end(process) == (7, "abandoned: too late\n")


def test_a_phase_that_takes_too_long_is_given_up_without_a_signal():
    with running(STUCK.format(phase="Phase(0, 0.1, 'no answer')")) as process:
        assert end(process) == (7, "abandoned: no answer\n")


def test_an_error_of_the_work_is_raised():
    code = """
    def work(work):
        print("up", flush=True)
        raise LookupError("of the work")
    try:
        supervise(work, abandon)
    except LookupError as error:
        print(error)
    """
    with running(code) as process:
        assert end(process) == (0, "of the work\n")


def test_a_child_can_be_ended_by_signals_again():
    code = """
    def work(work):
        work.enter(Phase(30))
        child = os.fork()
        if child == 0:
            unblock()
            print("up", flush=True)
            time.sleep(60)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), child, flush=True)
    supervise(work, abandon)
    """
    with running(code) as process:
        (child,) = psutil.Process(process.pid).children()
        child.terminate()
        assert end(process) == (0, f"-15 {child.pid}\n")


def test_what_was_asked_for_before_a_phase_ends_it():
    work = Work()
    work.enter(Phase(1))
    work.ask()
    with pytest.raises(Stopped):
        work.enter(Phase(1))
    with pytest.raises(Stopped):
        work.check()
    work.wait()
