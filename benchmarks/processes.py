"""Starts a server in a process group of its own and stops all of it, by process id, whatever it spawned.

Ray's daemons may be adopted by init and its workers rewrite their titles (and with them their environment), so a
tree is found three ways and united: what descends from the process we started, what carries the marker that we put
into its environment, and what descends from those.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil

_MARKER = "FORESTFLOW_BENCH_ID"
REPOSITORY = Path(__file__).resolve().parent.parent
PYTHON = str(REPOSITORY / ".venv" / "bin" / "python")


class StartFailed(RuntimeError):
    """A server did not come up, ended early, or answered wrongly."""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Running:
    """One started command and everything below it. Use as a context manager."""

    def __init__(self, command: Sequence[str], *, cwd: Path = REPOSITORY, env: Mapping[str, str] | None = None) -> None:
        self._id = uuid.uuid4().hex
        self._log = tempfile.NamedTemporaryFile(prefix="ff-bench-", suffix=".log", delete=False)  # noqa: SIM115 closed in stop
        self._seen: dict[int, psutil.Process] = {}
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {}), _MARKER: self._id},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def log_tail(self) -> str:
        """The last lines that the command printed."""
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(Path(self._log.name).read_text(errors="replace").splitlines()[-25:])
        return ""

    def check_alive(self) -> None:
        """Raises :class:`StartFailed` with the end of the log when the command has ended."""
        code = self._process.poll()
        if code is not None:
            raise StartFailed(f"ended with {code}:\n{self.log_tail}")

    def tree(self) -> list[psutil.Process]:
        """Every live process that belongs to this command."""
        found: dict[int, psutil.Process] = {}
        roots = [p for p in psutil.process_iter() if p.pid == self._process.pid or self._marked(p)]
        for root in [*roots, *self._seen.values()]:
            with contextlib.suppress(psutil.Error):
                if root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
                    found[root.pid] = root
                    found.update((child.pid, child) for child in root.children(recursive=True))
        self._seen = found
        return list(found.values())

    def _marked(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, OSError):
            return process.environ().get(_MARKER) == self._id
        return False

    def memory_mb(self) -> tuple[float, str]:
        """Memory of the whole tree in MB (10^6 bytes), and of which kind: ``PSS`` or, where unreadable, ``RSS``."""
        processes, kind, total = self.tree(), "PSS", 0
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                try:
                    total += process.memory_full_info().pss
                except (psutil.AccessDenied, AttributeError):
                    kind, total = "RSS", total + process.memory_info().rss
        return total / 1e6, kind

    def stop(self, grace: float = 20.0) -> None:
        """SIGTERM to the command, time to end by itself, then SIGKILL to whatever is left of its tree."""
        self.tree()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        for _ in range(3):
            left = self.tree()
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            if not left:
                break
            psutil.wait_procs(left, timeout=5)
        self._process.wait(5)
        self._log.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._log.name)


def poll(running: Running, timeout: float, interval: float = 0.02) -> Iterator[float]:
    """Yield the seconds since ``running`` was started, over and over, until ``timeout``; raises when it ended."""
    while (passed := time.monotonic() - running.started) < timeout:
        running.check_alive()
        yield passed
        time.sleep(interval)
    raise StartFailed(f"not up after {timeout:.0f} s:\n{running.log_tail}")
