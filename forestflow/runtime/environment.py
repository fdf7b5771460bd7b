"""Python environments of models with requirements of their own: a thin layer over the server's own, made by pip.

Theory of operation. An environment is a ``venv`` whose packages lie over those of the server, so that pip installs
only what differs, in seconds and megabytes. It is made once per node and set of requirements. As modules cannot be
exchanged once they are imported, a host of such a model starts by way of :func:`main` (the ``py_executable`` of its
Ray ``runtime_env``): Ray's worker then runs in the environment where it is there, else in the server's own. There
:func:`prepare` makes it, outside of Ray's time limits, and the host starts once more.

Whoever uses an environment holds a lock on it; one that nobody holds is removed when another is made.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
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

_READY = "ready"
_PIP_LINES = 8  # the last of what pip says when it fails
_PIP_PLACES = ("WARNING", "Looking in")  # where it searched is no business of a client

_log = logging.getLogger("forestflow.environment")


def executable(data_dir: Path, requirements: Sequence[str]) -> str:
    """The command that starts Python for those requirements, as ``py_executable`` of a Ray ``runtime_env``."""
    return shlex.join([sys.executable, "-m", "forestflow.runtime.environment", str(data_dir), _name(requirements)])


def active(requirements: Sequence[str]) -> bool:
    """Whether this process runs in the environment of those requirements."""
    return not requirements or Path(sys.prefix).name == _name(requirements)


def prepare(data_dir: Path, requirements: Sequence[str]) -> None:
    """Make the environment if it is not there. Raises LoadFailed with pip's last lines."""
    target = _root(data_dir) / _name(requirements)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while not (target / _READY).exists():
        lock = _locked(target, fcntl.LOCK_EX)
        if lock is None:  # another host makes it, and will hold it as long as it lives
            time.sleep(WAIT_SECONDS)
            continue
        with lock:
            if (target / _READY).exists():
                return
            _remove_unused(target)
            try:
                _install(target, requirements, lock)
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


def _install(target: Path, requirements: Sequence[str], lock: IO[bytes]) -> None:
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
    done = subprocess.run(
        command,
        cwd=target,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        pass_fds=(lock.fileno(),),  # a pip that outlives its host keeps others from the same directory
    )
    if done.returncode:
        _log.error("pip failed:\n%s", done.stdout)
        said = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith(_PIP_PLACES)]
        raise LoadFailed("pip cannot install the requirements:\n" + "\n".join(said[-_PIP_LINES:]))


def _remove_unused(but: Path) -> None:
    for path in but.parent.glob("*.lock"):
        if path.stem != but.name:
            with path.open("ab") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                path.unlink(missing_ok=True)


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
    python = sys.executable
    target = _root(data_dir) / name
    if target.is_dir() and target.stat().st_uid == os.getuid():
        lock = _locked(target, fcntl.LOCK_SH)
        if lock is not None and (target / _READY).exists():
            os.set_inheritable(lock.fileno(), True)
            python = str(target / "bin" / "python")
    os.execv(python, [python, *arguments])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
