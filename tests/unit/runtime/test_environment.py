"""Environments made by a real pip from wheels made here: nothing comes from an index."""

from __future__ import annotations

import fcntl
import subprocess
import threading
import time
import zipfile
from importlib import metadata

import pytest

from forestflow.domain.errors import LoadFailed
from forestflow.runtime import environment

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
    tell = "from forestflow.runtime import environment as e; print(e.active({!r}), e.active(('x',)), e.active(()))"
    assert python(tmp_path, requirements, tell.format(requirements)) == ["True", "False", "True"]
    assert not environment.active(requirements)
    assert metadata.version("rich") != "99.0"


def test_without_it_python_is_the_servers(tmp_path, requirements):
    assert python(tmp_path, requirements, "import sys, rich; print(sys.prefix == sys.base_prefix)")
    assert not (tmp_path / "environments").exists()


def test_it_is_made_once_and_removed_when_another_is_made_and_nobody_uses_it(tmp_path, requirements):
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
