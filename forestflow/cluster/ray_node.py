"""Ray under a server: an embedded node of its own, or the node of a cluster on this machine.

An embedded Ray listens on loopback alone, with every one of its ports. Its daemons get a session of their own: what a
terminal, `timeout` or a shell sends to the server's process group must reach the server, which ends Ray in order, and
not Ray. They still end when the server is killed, for Ray has the kernel kill them when their parent dies.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import psutil

from forestflow.cluster.supervisor import unblock

OBJECT_STORE_BYTES = 100 << 20  # models and requests do not travel through the object store
LOOPBACK = "127.0.0.1"
PROBE_SECONDS = 5.0
STOP_SECONDS = 5.0
KILL_ROUNDS = 3

# RFC 9113, 3.4: what a client says first; the server's first frame, too, must be SETTINGS.
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS_AT, _SETTINGS = 3, 4


class NoRay(Exception):
    """Ray did not start, or cannot be joined: ``NoRay(message)``; the message says what to do."""


class RayNode:
    """The Ray of one server. ``up`` and ``end`` may run in different threads."""

    def __init__(self, address: str | None, num_cpus: int | None) -> None:
        """``address`` is that of a cluster, ``auto``, or nothing (``local``) for an embedded Ray."""
        self.address = None if address in (None, "", "local") else address
        self._num_cpus = num_cpus
        self._temporary: str | None = None
        self._starting = False
        self._ended = False

    @contextlib.contextmanager
    def up(self, namespace: str) -> Iterator[None]:
        """Start Ray or join it; afterwards, leave it or end it. Raises NoRay."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what it says would reach the terminal
        os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")  # it ends innocents; we have watchdogs
        os.environ.setdefault("RAY_worker_niceness", "0")  # these workers serve users; Ray would run them at 15
        if self.address is None:
            # Without clusters, Ray leaves 127.0.0.1 as it is, and binds to it; otherwise it takes the machine's own.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        else:
            _check_form(self.address)
        import ray

        common: dict[str, Any] = {"namespace": namespace, "log_to_driver": False, "logging_level": "ERROR"}
        try:
            try:
                self._join(common) if self.address else self._start(common)
            except NoRay:
                raise
            except Exception as error:  # Ray raises Exception itself, too
                what = f"joining Ray at {self.address} failed" if self.address else "Ray did not start"
                raise NoRay(f"{what}: {' '.join(str(error).split()) or type(error).__name__}") from error
            yield
        finally:
            ray.shutdown()
            if self._temporary is not None:
                _end_children()
                shutil.rmtree(self._temporary, ignore_errors=True)

    def end(self) -> None:
        """End an embedded Ray at once, whatever it does; what is about to start ends by itself."""
        self._ended = True
        if self.address is None:
            _kill_children()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _start(self, common: dict[str, Any]) -> None:
        import ray

        self._temporary = tempfile.mkdtemp(prefix="ff-ray-", dir="/tmp")  # Ray's socket paths must stay short
        os.register_at_fork(after_in_child=self._in_child)
        self._starting = True
        try:
            ray.init(
                "local",
                num_cpus=self._num_cpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address=LOOPBACK,
                _temp_dir=self._temporary,
                **common,
            )
        finally:
            self._starting = False

    def _join(self, common: dict[str, Any]) -> None:
        import ray
        from ray._private import services

        try:
            address = services.canonicalize_bootstrap_address(self.address)
        except ConnectionError as error:
            raise NoRay("no Ray cluster runs on this machine; `ray start` makes or joins one") from error
        except ValueError as error:
            raise NoRay(f"{error}; give host:port or auto") from error
        probe(address)
        ray.init(address, **common)

    def _in_child(self) -> None:
        """Runs in each process that Ray forks, before its program is loaded."""
        if self._ended:
            os._exit(1)
        if self._starting:
            os.setsid()
            unblock()


def probe(address: str) -> None:
    """Raise NoRay unless something that speaks HTTP/2, as Ray's head does, answers there within seconds."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return
            connection.sendall(_HTTP2_PREFACE)
            with connection.makefile("rb") as stream:
                first = stream.read(_SETTINGS_AT + 1)
    except TimeoutError:
        raise NoRay(f"no Ray cluster answers at {address} within {PROBE_SECONDS:g} s; is its head node up?") from None
    except (OSError, OverflowError, ValueError) as error:  # no such host or port, or nobody there
        reason = getattr(error, "strerror", None) or error
        raise NoRay(f"no Ray cluster can be reached at {address}: {reason}; is its head node up?") from error
    if len(first) <= _SETTINGS_AT or first[_SETTINGS_AT] != _SETTINGS:
        raise NoRay(f"what answers at {address} is not the head of a Ray cluster; its port is 6379 unless it was set")


def _check_form(address: str) -> None:
    scheme, separator, _ = address.partition("://")
    if separator:
        raise NoRay(
            f"{address} is no address of a cluster to join: {scheme}:// reaches Ray from outside, and a server must "
            "run on one of its nodes; give the head's host:port, such as 10.0.0.1:6379, or auto"
        )


def _end_children() -> None:
    """Whatever of the embedded Ray is still there ends now."""
    _, alive = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=STOP_SECONDS)
    if alive:
        _kill_children()


def _kill_children() -> None:
    """Kill all processes below this one, and those that they started meanwhile."""
    for _ in range(KILL_ROUNDS):
        children = psutil.Process().children(recursive=True)
        for process in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(children, timeout=STOP_SECONDS)
