"""Logs of replicas: written by a real process, read in parts, across a rotation."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from forestflow.cluster import servable_log as servablelog
from forestflow.domain.ids import Contract, Fqrv

FQRV = Fqrv(Contract("o", "ü p", 3), "v 1")


@pytest.fixture
def directory(tmp_path):
    found = servablelog.directory_of(tmp_path, FQRV)
    assert found == tmp_path / "logs/servables/o/ü p/3/v 1"
    found.mkdir(parents=True)
    return found


def captured(directory, code):
    """Run code in a process whose output goes to the log of replica ``r``; what it wrote elsewhere."""
    start = (
        "import sys, os, logging, pathlib\n"
        "from forestflow.cluster import logs, servable_log as servablelog\n"
        "logs.configure(logs.LogSettings('INFO'))\n"
        "capture = servablelog.Capture(pathlib.Path(sys.argv[1]), max_bytes=200)\n"
        "capture.start()\n"
    )
    command = [sys.executable, "-c", start + code, str(directory / "r.log")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C"})
    return done.stdout + done.stderr


def text(directory, tail=1000, after=None):
    return servablelog.read(directory, "r", tail, after).text


def test_whatever_a_process_says_is_in_its_log_to_the_last_word(directory):
    outside = captured(
        directory,
        "print('prïnted \\udc80')\n"
        "os.write(1, b'from C\\n')\n"
        "sys.stderr.write('error\\n')\n"
        "logging.getLogger('forestflow.x').error('record', exc_info=ValueError('boom'))\n"
        "os.system('echo child')\n"
        "print('no end of line', end='', flush=True)\n"
        "os._exit(3)",
    )
    assert outside == ""
    said = text(directory).splitlines()
    assert said[:3] == ["prïnted \\udc80", "from C", "error"]
    assert said[3].endswith("ERROR record")
    assert said[-3:] == ["ValueError: boom", "child", "no end of line"]
    assert (directory / "r.log").stat().st_mode & 0o077 == 0


def test_a_process_that_starts_again_goes_on_in_the_same_file(directory):
    for word in ("one", "two"):
        captured(directory, f"print({word!r})")
    assert text(directory) == "one\ntwo\n"
    assert text(directory, tail=1) == "two\n"
    assert text(directory, tail=0) == ""


def test_a_long_log_begins_a_new_file_and_loses_nothing_on_the_way(directory):
    captured(
        directory,
        "print('a' * 150); capture.check()\nprint('b' * 150); capture.check()\nprint('c'); capture.check()\n"
        "os.system('echo child'); sys.stderr.write('e')",
    )
    assert (directory / "r.log.1").read_text() == "a" * 150 + "\n" + "b" * 150 + "\n"
    assert (directory / "r.log").read_text() == "c\nchild\ne"
    assert text(directory, tail=4) == "b" * 150 + "\nc\nchild\ne"


def test_reading_goes_on_where_it_stopped_also_across_a_rotation(directory):
    log = directory / "r.log"
    log.write_text("one\ntw")
    first = servablelog.read(directory, "r", 10)
    assert first.text == "one\ntw"
    log.write_text("one\ntwo\nthr")
    second = servablelog.read(directory, "r", 0, first.position)
    assert second.text == "o\n", "whole lines alone"
    assert servablelog.read(directory, "r", 0, second.position).text == ""
    log.write_text("one\ntwo\nthree\n")
    log.rename(directory / "r.log.1")
    log.write_text("four\n")
    third = servablelog.read(directory, "r", 0, second.position)
    fourth = servablelog.read(directory, "r", 0, third.position)
    assert (third.text, fourth.text) == ("three\n", "four\n")
    assert servablelog.read(directory, "r", 0, fourth.position).text == ""
    (directory / "r.log.1").unlink()
    assert servablelog.read(directory, "r", 0, second.position).text == "four\n", "what is gone is gone"


def test_a_lot_is_read_in_parts(directory, monkeypatch):
    monkeypatch.setattr(servablelog, "READ_BYTES", 100)
    (directory / "r.log").write_text("x" * 250 + "\nlast\n")
    assert text(directory).endswith("x\nlast\n")
    position, parts = servablelog.LogPosition((directory / "r.log").stat().st_ino, 0), []
    while (log := servablelog.read(directory, "r", 0, position)).text:
        parts.append(log.text)
        position = log.position
    assert "".join(parts) == "x" * 250 + "\nlast\n"
    assert max(map(len, parts)) == 100


def test_replicas_by_the_time_they_wrote(directory):
    assert servablelog.replicas_in(directory) == []
    assert servablelog.replicas_in(directory / "missing") == []
    for number, name in enumerate(("b", "c", "a")):
        (directory / f"{name}.log").touch()
        os.utime(directory / f"{name}.log", (number, number))
    assert servablelog.replicas_in(directory) == ["b", "c", "a"]
    assert servablelog.read(directory, "missing", 10) is None


def test_logs_of_replicas_that_are_long_gone_are_removed_with_their_folders(tmp_path, directory):
    other = servablelog.directory_of(tmp_path, Fqrv(Contract("o", "q", 0), "v"))
    other.mkdir(parents=True)
    for file in (directory / "old.log", directory / "old.log.1", other / "new.log"):
        file.touch()
    now = (other / "new.log").stat().st_mtime
    for file in (directory / "old.log", directory / "old.log.1"):
        os.utime(file, (0, now - servablelog.KEEP_SECONDS - 1))
    servablelog.remove_old(tmp_path, now)
    assert not directory.parents[1].exists()
    assert (other / "new.log").exists()


def test_names_longer_than_files_may_have_are_cut(tmp_path):
    long = servablelog.directory_of(tmp_path, Fqrv(Contract("ü" * 255, "p", 0), "v"))
    long.mkdir(parents=True)


def test_the_log_of_a_replica_elsewhere_is_kept_here_and_removed_there(tmp_path, directory):
    captured(directory, "print('önly here')")
    log = servablelog.read(directory, "r", 10)
    servablelog.keep(tmp_path / "here" / "v", log)
    servablelog.remove(directory, "r")
    assert not (tmp_path / "logs").exists()
    assert servablelog.read(tmp_path / "here" / "v", "r", 10).text == "önly here\n"
