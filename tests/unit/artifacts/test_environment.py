"""Environments made by a real pip from wheels made here: nothing comes from an index."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import threading
import time
import zipfile
from importlib import metadata

import psutil
import pytest

from forestflow.artifacts import environments as environment
from forestflow.domain.errors import LoadFailed

pytestmark = pytest.mark.slow


def wheel(folder, name, version):
    """A distribution of one module, which knows its version."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", f"__version__ = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return file


def python(data_dir, requirements, code):
    """What ``code`` prints in a process as Ray starts it."""
    command = f'exec {environment.executable(data_dir, requirements)} -c "{code}"'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


@pytest.fixture
def requirements(tmp_path):
    """A package that the server does not have, and another version of one that it has."""
    wheels = tmp_path / "wheels"
    wheel(wheels, "forestflow_only_here", "1.2")
    wheel(wheels, "msgspec", "0.0.1")
    wheel(wheels, "rich", "99.0")
    return ("--no-index", f"--find-links {wheels}", "forestflow-only-here", "rich==99.0")


SHOW = "import sys, forestflow_only_here as a, rich as b, numpy; print(a.__version__, b.__version__, numpy.__version__)"


def test_its_packages_lie_over_those_of_the_server(tmp_path, requirements):
    environment.prepare(tmp_path, requirements)
    assert python(tmp_path, requirements, SHOW) == ["1.2", "99.0", metadata.version("numpy")]
    tell = "from forestflow.artifacts import environments as e; print(e.active({!r}), e.active(('x',)), e.active(()))"
    assert python(tmp_path, requirements, tell.format(requirements)) == ["True", "False", "True"]
    assert not environment.active(requirements)
    assert metadata.version("rich") != "99.0"


def test_without_it_python_is_the_servers(tmp_path, requirements):
    assert python(tmp_path, requirements, "import sys, rich; print(sys.prefix == sys.base_prefix)")
    assert not (tmp_path / "environments").exists()


SLOW = """
import os, pathlib, time
pathlib.Path(__file__).with_name("pid").write_text(str(os.getpid()))
time.sleep(600)
"""


@pytest.fixture
def slow(tmp_path):
    """Requirements whose installation never ends, and the file where the process that pip waits for writes its id."""
    source = tmp_path / "slow"
    source.mkdir()
    (source / "backend.py").write_text(SLOW)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    return ("--no-index", str(source)), source / "pid"


def written(file):
    """The process id in a file that somebody is about to write."""
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(file.read_text())


def ends(pid):
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return True


def test_a_stop_ends_pip_with_all_that_it_started(tmp_path, slow, capfd):
    requirements, pid = slow
    pip, failed = environment.Pip(), []

    def host():
        with pytest.raises(LoadFailed, match="deleted while its requirements were being installed"):
            environment.prepare(tmp_path, requirements, pip)
        failed.append(1)

    thread = threading.Thread(target=host)
    thread.start()
    builds = written(pid)
    assert pip.step.startswith("installing the requirements")
    pip.stop()
    thread.join(30)
    assert (failed, pip.step) == ([1], None)
    assert ends(builds)
    assert f"Processing {pid.parent}" in capfd.readouterr().out, "the log of the replica says what pip does"
    assert not list((tmp_path / "environments").glob("*/"))
    with pytest.raises(LoadFailed, match="deleted"):
        environment.prepare(tmp_path, requirements, pip)


def test_pip_has_a_limit_and_says_which(tmp_path, slow):
    requirements, pid = slow
    with pytest.raises(LoadFailed, match=r"within 8 s \(setting install_timeout_seconds\): ask for fewer packages"):
        environment.prepare(tmp_path, requirements, environment.Pip(8))
    assert not pid.exists() or ends(int(pid.read_text()))
    assert not list((tmp_path / "environments").glob("*/"))


def test_a_replica_that_waits_for_another_has_the_same_limit(tmp_path, requirements):
    environment.prepare(tmp_path, requirements)
    (made,) = (tmp_path / "environments").glob("*/ready")
    made.unlink()
    with made.parent.with_suffix(".lock").open("ab") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        with pytest.raises(LoadFailed, match=r"within 0\.5 s"):
            environment.prepare(tmp_path, requirements, environment.Pip(0.5))


def test_on_a_node_without_the_data_directory_nothing_is_kept_that_nobody_uses(tmp_path, requirements, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    data_dir, root = tmp_path / "elsewhere", tmp_path / f"forestflow-{os.getuid()}-environments"
    environment.prepare(data_dir, requirements)
    (made,) = root.glob("*/ready")
    environment.remove_unused(data_dir)
    assert made.exists(), "its host is about to start in it"
    code = "from forestflow.artifacts import environments; from pathlib import Path; print(1, flush=True); input(); "
    code += f"environments.release(Path({str(data_dir)!r}))"
    command = f'exec {environment.executable(data_dir, requirements)} -c "{code}"'
    with subprocess.Popen(["bash", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout.readline() == b"1\n"
        environment.remove_unused(data_dir)
        assert made.exists()
        user.communicate(b"\n", timeout=30)
        assert user.returncode == 0
    assert list(root.iterdir()) == []
    environment.prepare(data_dir, requirements)
    subprocess.run(["bash", "-c", f"exec {environment.executable(data_dir, requirements)} -c 0"], check=True)
    environment.remove_unused(data_dir)  # as the next host does when one ended without a word
    assert list(root.iterdir()) == []


def test_it_is_made_once_and_removed_when_another_is_made_and_nobody_uses_it(tmp_path, requirements, monkeypatch):
    monkeypatch.setattr(environment, "FRESH_SECONDS", 0)
    environment.prepare(tmp_path, requirements)
    (made,) = (tmp_path / "environments").glob("*/ready")
    at = made.stat().st_mtime_ns
    environment.prepare(tmp_path, requirements[::-1])  # order does not matter
    assert made.stat().st_mtime_ns == at
    with made.parent.with_suffix(".lock").open("ab") as used:
        fcntl.flock(used, fcntl.LOCK_SH)
        environment.prepare(tmp_path, requirements[:-1])
        assert len(list((tmp_path / "environments").glob("*/ready"))) == 2
    environment.prepare(tmp_path, requirements[:-2])
    assert not made.exists()
    assert len(list((tmp_path / "environments").iterdir())) == 2, "an environment and its lock"


def test_hosts_that_make_the_same_one_do_not_wait_for_each_other_to_end(tmp_path, requirements):
    over, held = threading.Event(), []

    def host():
        environment.prepare(tmp_path, requirements)
        (made,) = (tmp_path / "environments").glob("*/ready")
        with made.parent.with_suffix(".lock").open("ab") as used:  # as its process does
            fcntl.flock(used, fcntl.LOCK_SH)
            held.append(1)
            over.wait(60)

    hosts = [threading.Thread(target=host) for _ in range(3)]
    for one in hosts:
        one.start()
    deadline = time.monotonic() + 60
    while len(held) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(held) == 3
    over.set()
    for one in hosts:
        one.join()


def test_a_running_python_holds_its_environment(tmp_path, requirements):
    environment.prepare(tmp_path, requirements)
    (made,) = (tmp_path / "environments").glob("*/ready")
    command = f"exec {environment.executable(tmp_path, requirements)} -c 'print(1, flush=True); input()'"
    with subprocess.Popen(["bash", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout.readline() == b"1\n"
        environment.prepare(tmp_path, requirements[:-1])
        assert made.exists()
        user.communicate(b"\n", timeout=30)
    environment.prepare(tmp_path, requirements[:-2])
    assert not made.exists()


@pytest.mark.parametrize(
    ("wanted", "why"),
    [("forestflow-only-here==7", "No matching distribution found"), ("msgspec==0.0.1", r"\(constraint\) msgspec==")],
)
def test_what_pip_says_is_told_and_nothing_is_left(tmp_path, requirements, caplog, wanted, why):
    with pytest.raises(LoadFailed, match=why) as failed:
        environment.prepare(tmp_path, (*requirements[:2], wanted))
    assert "Looking in links" in caplog.text, "the log has all of it"
    assert str(tmp_path) not in failed.value.message
    assert not list((tmp_path / "environments").glob("*/"))
