"""Fifty reloads of a release leave nothing behind: no file, no descriptor of the server's processes, no process."""

from __future__ import annotations

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from tests.serving import RunningServer, golden, rows_body, running, values, wait_for

ROWS, EXPECTED = golden()
RELOADS = 50
AT_ONCE = 2
JVMS = 5  # every fifth model is one of H2O
SCRIPT = "class Predict:\n    def predict(self, rows):\n        return [float(len(row)) for row in rows]\n"
NOT_OURS = ("logs", "session_")  # logs are kept for a week; Ray keeps what it likes in its session


@pytest.fixture
def sockets():
    """A folder with a path so short that sockets can be in it."""
    with TemporaryDirectory(prefix="ff-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def server(tmp_path: Path, sockets: Path):
    """A server whose temporary files and sockets are in folders of its own."""
    (tmp_path / "tmp").mkdir()
    env = {"TMPDIR": str(tmp_path / "tmp"), "XDG_RUNTIME_DIR": str(sockets)}
    with running(tmp_path / "data", env=env) as server:
        server.http.timeout = 600  # for a machine with much else to do
        yield server


def files(*folders: Path) -> set[str]:
    """All that is below these folders, and what a JVM puts into /tmp."""
    found = {str(path) for pattern in (".java_pid*", "hsperfdata_*/*") for path in Path("/tmp").glob(pattern)}
    for folder in folders:
        for where, names, entries in os.walk(folder):
            names[:] = [name for name in names if not name.startswith(NOT_OURS)]
            found.update(os.path.join(where, name) for name in (*names, *entries))
    return found


def descriptors(server: RunningServer, role: str) -> Counter[str]:
    """What each open descriptor of the processes of that role is, without the numbers that differ each time."""
    found: Counter[str] = Counter()
    for pid in server.pids(role):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(entry)
            except FileNotFoundError:  # closed just now
                continue
            found[target.split(":[")[0]] += 1
    return found


def mine(found: set[str], pids: set[int]) -> set[str]:
    """Without files in /tmp of other JVMs of this machine."""
    return {path for path in found if not path.startswith("/tmp/") or any(path.endswith(str(pid)) for pid in pids)}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_reloads_leave_nothing(server: RunningServer, tmp_path: Path, sockets: Path) -> None:
    folders = tmp_path / "tmp", sockets, tmp_path / "data"
    seen: set[int] = set()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "serve.py").write_text(SCRIPT)
    policies = {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
    flavor = {"Python": {"script": "serve.py"}}
    script = {"path": (tmp_path / "model").as_uri(), "flavor": flavor, "servableSettings": {"policySettings": policies}}

    def reload(number: int) -> None:
        contract = f"reloads/{number % AT_ONCE}/0"
        if number % JVMS:
            server.http.post(f"/servable/{contract}/v{number}", json=script).raise_for_status()
            assert values(server.score(contract, rows_body(ROWS[:1]))) == [len(ROWS[0])]
        else:
            server.deploy(contract, f"v{number}").raise_for_status()
            assert values(server.score(contract, rows_body(ROWS[:1]))) == pytest.approx(EXPECTED[:1], rel=1e-9)
        seen.update(server.hosts_of(contract, f"v{number}"))
        server.http.delete(f"/{contract}/v{number}").raise_for_status()

    def gone() -> bool:
        return not server.pids("host")

    def all_at_once(numbers: range) -> None:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(reload, numbers))
        wait_for(gone, 300)

    all_at_once(range(2 * AT_ONCE))  # what the first ones open for good
    before, opened = files(*folders), {role: descriptors(server, role) for role in ("router", "registry")}
    threads = {role: sum(psutil.Process(pid).num_threads() for pid in server.pids(role)) for role in opened}
    family = len(server.family())
    all_at_once(range(2 * AT_ONCE, 2 * AT_ONCE + RELOADS))
    assert len(seen) >= RELOADS

    wait_for(lambda: mine(files(*folders) - before, seen) == set() or not gone())
    assert mine(files(*folders) - before, seen) == set()
    for role, was in opened.items():
        wait_for(lambda role=role, was=was: (descriptors(server, role) - was).total() < AT_ONCE)
        assert len(server.pids(role)) == 1
        grown = sum(psutil.Process(pid).num_threads() for pid in server.pids(role)) - threads[role]
        assert grown < RELOADS // 2, "no thread stays for each reload"
    wait_for(lambda: len(server.family()) <= family)


@pytest.mark.slow
def test_a_host_that_is_killed_or_hangs_leaves_no_socket(server: RunningServer, sockets: Path) -> None:
    def found() -> list[Path]:
        return list(sockets.rglob("*.sock"))

    contract = "killed/hosts/0"
    server.deploy(contract, "v1").raise_for_status()
    (pid,) = server.hosts_of(contract, "v1")
    assert len(found()) == 1
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: server.hosts_of(contract, "v1") - {pid})
    assert len(found()) == 1

    (pid,) = server.hosts_of(contract, "v1")
    os.kill(pid, signal.SIGSTOP)  # it cannot close: whoever ends it removes its socket
    server.http.delete(f"/{contract}/v1").raise_for_status()
    wait_for(lambda: not found())
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
