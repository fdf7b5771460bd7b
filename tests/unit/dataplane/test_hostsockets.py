"""Sockets of hosts that are killed, and a directory that its last user removes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import threading

import pytest

from forestflow.dataplane import host_sockets as hostsockets


async def serve(path):
    living = socket.socket(socket.AF_UNIX)
    living.bind(path)
    living.listen()
    return living


def dead_socket(path):
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
        killed.listen()


@pytest.mark.parametrize(("length", "fits"), [(30, True), (200, False)])
def test_the_paths_of_sockets_fit_into_an_address(length, fits, monkeypatch):
    runtime = "/tmp/" + "d" * length
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    directory = hostsockets.directory_for("forestflow-0123456789")
    assert str(directory).startswith(runtime if fits else "/tmp/forestflow-")
    with socket.socket(socket.AF_UNIX) as server, pytest.raises(FileNotFoundError):  # and not: AF_UNIX path too long
        server.bind(str(hostsockets.socket_path(directory / "missing", "0123456789ab")))


async def test_sockets_of_killed_hosts_go_with_the_next_host_and_those_of_living_ones_stay(tmp_path):
    run = tmp_path / "run"
    first, path = await hostsockets.listen(run, "first", serve)
    assert run.stat().st_mode & 0o777 == 0o700
    dead_socket(run / "killed.sock")
    second, _ = await hostsockets.listen(run, "second", serve)
    assert sorted(entry.name for entry in run.iterdir()) == ["first.sock", "second.sock"]
    dead_socket(run / "killed.sock")
    second.close()
    hostsockets.leave(run, "second")
    assert [entry.name for entry in run.iterdir()] == ["first.sock"]
    with socket.socket(socket.AF_UNIX) as router:
        router.connect(str(path))
    first.close()
    hostsockets.leave(run, "first")
    assert not run.exists()


async def test_a_host_that_hangs_keeps_its_socket(tmp_path):
    with socket.socket(socket.AF_UNIX) as hanging:
        (tmp_path / "run").mkdir(mode=0o700)
        hanging.bind(str(tmp_path / "run" / "hanging.sock"))
        hanging.listen(0)
        with socket.socket(socket.AF_UNIX) as first:  # fills its queue
            first.connect(hanging.getsockname())
            server, _ = await hostsockets.listen(tmp_path / "run", "new", serve)
            server.close()
        assert (tmp_path / "run" / "hanging.sock").is_socket()


async def test_a_host_that_was_killed_leaves_its_socket_to_who_stops_it(tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    dead_socket(tmp_path / "run" / "r1.sock")
    hostsockets.leave(tmp_path / "run", "r1")
    assert not (tmp_path / "run").exists()
    hostsockets.leave(tmp_path / "run", "r1")  # of another node


async def test_the_directory_is_not_removed_under_a_host_that_begins(tmp_path):
    run = tmp_path / "run"
    left = threading.Event()

    def leave():
        hostsockets.leave(run, "other")
        left.set()

    async def slowly(path):
        threading.Thread(target=leave).start()
        descriptor = os.open(run, os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # whoever leaves waits
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        return await serve(path)

    server, path = await hostsockets.listen(run, "r1", slowly)
    assert await asyncio.to_thread(left.wait, 10)
    assert path.is_socket()
    server.close()
    hostsockets.leave(run, "r1")


async def test_a_directory_removed_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    run, flock, removals = tmp_path / "run", fcntl.flock, []

    def removed_first(descriptor, how):
        if not removals:
            removals.append(run.rmdir())
        flock(descriptor, how)

    monkeypatch.setattr(hostsockets.fcntl, "flock", removed_first)
    server, path = await hostsockets.listen(run, "r1", serve)
    assert removals
    assert path.is_socket()
    server.close()
    hostsockets.leave(run, "r1")
    assert not run.exists()


async def test_a_directory_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    with pytest.raises(PermissionError):
        await hostsockets.listen(tmp_path / "run", "r1", serve)
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(PermissionError):
        await hostsockets.listen(tmp_path / "link", "r1", serve)
