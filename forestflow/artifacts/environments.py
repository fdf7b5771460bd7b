"""Python environments of models with requirements of their own: a thin layer over the server's own, made by pip.

Theory of operation. An environment is a ``venv`` whose packages lie over those of the server, so that pip installs
only what differs, in seconds and megabytes. It is made once per node and set of requirements. As modules cannot be
exchanged once they are imported, a host of such a model starts by way of :func:`main` (the ``py_executable`` of its
Ray ``runtime_env``): Ray's worker then runs in the environment where it is there, else in the server's own. There
:func:`prepare` makes it, outside of Ray's time limits, and the host starts once more.

Whoever uses an environment holds a lock on it; one that nobody holds is removed when another is made. On a node without
the data directory that happens when a host begins or ends, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import IO

from forestflow.domain.errors import LoadFailed

# What a host itself runs on: a model cannot bring its own.
PINNED = ("ray", "protobuf", "grpcio", "msgpack", "msgspec", "orjson", "uvloop")

WAIT_SECONDS = 0.2
INSTALL_SECONDS = 600.0
FRESH_SECONDS = 30.0  # so long may the host that made an environment take to start in it

_READY = "ready"
_PIP_LINES = 8  # the last of what pip says when it fails
_PIP_PLACES = ("WARNING", "Looking in")  # where it searched is no business of a client
_PIP_STEPS = ("Collecting ", "Building wheel", "Installing ")  # those of its lines that tell how far it is
_LOCK_VARIABLE = "FORESTFLOW_ENVIRONMENT_LOCK"  # the descriptor of the lock of the environment that a process runs in

_log = logging.getLogger("forestflow.environment")


def executable(data_dir: Path, requirements: Sequence[str]) -> str:
    """The command that starts Python for those requirements, as ``py_executable`` of a Ray ``runtime_env``."""
    return shlex.join([sys.executable, "-m", "forestflow.artifacts.environments", str(data_dir), _name(requirements)])


def active(requirements: Sequence[str]) -> bool:
    """Whether this process runs in the environment of those requirements."""
    return not requirements or Path(sys.prefix).name == _name(requirements)


class Pip:
    """The pip of one process: how far it is, how long it may take, and an end to it from another thread."""

    def __init__(self, timeout_seconds: float = INSTALL_SECONDS) -> None:
        self.step: str | None = None  # what is being done, as a user may read it
        self._timeout_seconds = timeout_seconds
        self._process: subprocess.Popen[str] | None = None
        self._ends = 0.0
        self._stopped = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        """The time runs from now on."""
        self._ends = time.monotonic() + self._timeout_seconds

    def end(self) -> None:
        """Nothing is being installed any more."""
        self.step = None

    def check(self) -> float:
        """The seconds left; raises LoadFailed when there are none, or after a stop."""
        if self._stopped:
            raise LoadFailed("the release was deleted while its requirements were being installed")
        left = self._ends - time.monotonic()
        if left <= 0:
            raise LoadFailed(
                f"pip did not install the requirements within {self._timeout_seconds:g} s (setting "
                "install_timeout_seconds): ask for fewer packages or for versions that have wheels, put them where pip "
                "finds them sooner, or raise the setting"
            )
        return left

    def stop(self) -> None:
        """End it, with all that it started."""
        with self._lock:
            self._stopped = True
            self._kill()

    def run(self, command: Sequence[str], directory: Path, lock: IO[bytes]) -> tuple[int, list[str]]:
        """Run a command; return its exit status and the lines it printed, which standard output shows as they come.

        Raises LoadFailed.
        """
        with self._lock:
            left = self.check()
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=(lock.fileno(),),  # a pip that outlives its host keeps others from the same directory
            )
        timer = threading.Timer(left, self._kill)
        timer.start()
        try:
            with self._process as process:
                try:
                    lines = [self._heard(line) for line in process.stdout or ()]
                except BaseException:
                    self._kill()
                    raise
        finally:
            timer.cancel()
        self.check()
        return process.returncode, lines

    def _heard(self, line: str) -> str:
        if line.startswith(_PIP_STEPS):
            self.step = f"installing the requirements: {line.strip()[:200]}"
        if not line.startswith(_PIP_PLACES):
            print(line, end="", flush=True)
        return line.rstrip("\n")

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def prepare(data_dir: Path, requirements: Sequence[str], pip: Pip | None = None) -> None:
    """Make the environment if it is not there.

    Raises LoadFailed with pip's last lines, or when it took too long or was stopped.
    """
    pip = pip or Pip()
    pip.begin()
    try:
        _prepare(data_dir, requirements, pip)
    finally:
        pip.end()


def release(data_dir: Path) -> None:
    """Give up the environment that this process runs in: on a node without the data directory nobody needs it later.

    To be called by a host that ends; what it has not imported yet it may not find any more.
    """
    held = os.environ.pop(_LOCK_VARIABLE, None)
    if held is not None:
        os.close(int(held))
    remove_unused(data_dir)


def remove_unused(data_dir: Path) -> None:
    """On a node without the data directory, remove the environments that no process holds."""
    root = _root(data_dir)
    if not data_dir.is_dir() and root.is_dir() and root.stat().st_uid == os.getuid():
        _remove_unused(root)


def _prepare(data_dir: Path, requirements: Sequence[str], pip: Pip) -> None:
    target = _root(data_dir) / _name(requirements)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while not (target / _READY).exists():
        lock = _locked(target, fcntl.LOCK_EX)
        if lock is None:  # another host makes it, and will hold it as long as it lives
            pip.check()
            pip.step = "waiting for another replica, which installs the same requirements"
            time.sleep(WAIT_SECONDS)
            continue
        with lock:
            if (target / _READY).exists():
                return
            _remove_unused(target.parent, but=target)
            try:
                _install(target, requirements, lock, pip)
            except BaseException:
                shutil.rmtree(target, ignore_errors=True)
                raise
            (target / _READY).touch()


def _root(data_dir: Path) -> Path:
    """On a node without the data directory, a directory of that node."""
    if data_dir.is_dir():
        return data_dir / "environments"
    return Path(tempfile.gettempdir()) / f"forestflow-{os.getuid()}-environments"


def _name(requirements: Sequence[str]) -> str:
    content = json.dumps([sys.version, sorted(requirements), _pins()])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _pins() -> list[str]:
    versions = {dist.name.lower(): dist.version for name in PINNED for dist in metadata.distributions(name=name)}
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


def _install(target: Path, requirements: Sequence[str], lock: IO[bytes], pip: Pip) -> None:
    pip.step = "installing the requirements"
    shutil.rmtree(target, ignore_errors=True)
    venv.create(target, symlinks=True, with_pip=False)
    (packages,) = (target / "lib").glob("python*/site-packages")
    ours = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    # addsitedir, so that the .pth files there (of editable installs, for example) count, too
    (packages / "server.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in ours))
    (target / "requirements.txt").write_text("\n".join(requirements) + "\n")
    (target / "constraints.txt").write_text("\n".join(_pins()) + "\n")
    command = [str(target / "bin" / "python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "-r", "requirements.txt", "-c", "constraints.txt"]
    status, lines = pip.run(command, target, lock)
    if status:
        _log.error("pip failed:\n%s", "\n".join(lines))
        said = [line for line in lines if line.strip() and not line.startswith(_PIP_PLACES)]
        raise LoadFailed("pip cannot install the requirements:\n" + "\n".join(said[-_PIP_LINES:]))


def _remove_unused(root: Path, but: Path | None = None) -> None:
    for path in root.glob("*.lock"):
        if (but is None or path.stem != but.name) and not _fresh(path.with_suffix("")):
            with path.open("ab") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                path.unlink(missing_ok=True)


def _fresh(target: Path) -> bool:
    try:
        return time.time() - (target / _READY).stat().st_mtime < FRESH_SECONDS
    except FileNotFoundError:
        return False


def _locked(target: Path, how: int) -> IO[bytes] | None:
    """The environment's lock, or ``None`` while others have it, or have just removed it."""
    path = target.with_suffix(".lock")
    lock = path.open("ab")
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    lock.close()
    return None


def main(data_dir: Path, name: str, arguments: Sequence[str]) -> None:
    """Become Python with those arguments, in the environment if it is there. Its lock lasts as long as the process."""
    os.environ.pop(_LOCK_VARIABLE, None)
    python = sys.executable
    target = _root(data_dir) / name
    if target.is_dir() and target.stat().st_uid == os.getuid():
        lock = _locked(target, fcntl.LOCK_SH)
        if lock is not None and (target / _READY).exists():
            os.set_inheritable(lock.fileno(), True)
            os.environ[_LOCK_VARIABLE] = str(lock.fileno())
            os.utime(target / _READY, (0, 0))  # not fresh any more: from now on the lock protects it
            python = str(target / "bin" / "python")
    os.execv(python, [python, *arguments])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
