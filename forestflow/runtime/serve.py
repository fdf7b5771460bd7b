"""``forestflow serve``: brings up Ray (or joins it), the registry and the routers; takes everything down again.

The process that runs this is the supervisor: it owns no state and serves no request.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

from forestflow.runtime import logs
from forestflow.runtime.config import Endpoint, Settings
from forestflow.runtime.sources.rules import SourceRules

EMBEDDED_NODE_IP = "127.0.0.2"  # Ray replaces 127.0.0.1 by the machine's own address
OBJECT_STORE_BYTES = 100 << 20  # models and requests do not travel through the object store
FRAME_HEADROOM = 1 << 20
STOP_SECONDS = 5.0

_log = logging.getLogger("forestflow.serve")


class CannotServe(Exception):
    """The server cannot start: ``CannotServe(message)``; the message says what to do."""


@dataclass(slots=True)
class Server:
    """A running ForestFlow: its actors, where it listens, and what must be undone."""

    endpoint: tuple[str, int]
    grpc: Endpoint
    registry: Any
    tf_infer: Endpoint | None = None
    routers: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{Endpoint(*self.endpoint)}"


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises CannotServe with a reason."""
    stopped = threading.Event()
    _on_signals(stopped)
    began = time.monotonic()
    with contextlib.ExitStack() as undo:
        undo.enter_context(_data_directory(settings.data_dir))
        logs.configure(_log_settings(settings))
        _endpoints(settings)  # what is wrong with them is told before Ray takes its seconds
        terminal = undo.enter_context(_terminal(settings.data_dir / "logs" / "ray.log"))
        undo.enter_context(_ray(settings))
        _on_signals(stopped)  # again: Ray has put its own in place
        server = undo.enter_context(_server(settings))
        also = f", tf-infer at http://{server.tf_infer}" if server.tf_infer else ""
        terminal.write(
            f"ForestFlow serves {server.url} and gRPC at {server.grpc}{also} (API at {server.url}/docs, "
            f"data in {settings.data_dir}, up in {time.monotonic() - began:.1f} s); Ctrl-C stops it\n"
        )
        stopped.wait()
        terminal.write("stopping: answering what is under way\n")
    print("stopped", flush=True)


# --- what serving needs, each undone in reverse -----------------------------------------------------------------------


@contextlib.contextmanager
def _data_directory(path: Path) -> Iterator[None]:
    """Make it, and hold it for one server alone."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / "lock").open("w")
    except OSError as error:
        raise CannotServe(f"the data directory {path} cannot be used: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotServe(f"another server uses {path}; give this one --data-dir") from None
        yield


@contextlib.contextmanager
def _terminal(noise: Path) -> Iterator[TextIO]:
    """The terminal for our own words; whatever Ray prints, from Python or C++, goes to the file ``noise``."""
    noise.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with noise.open("ab") as sink, os.fdopen(os.dup(1), "w", buffering=1) as terminal:
        try:
            for number in (1, 2):
                os.dup2(sink.fileno(), number)
            yield terminal
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)


@contextlib.contextmanager
def _ray(settings: Settings) -> Iterator[None]:
    address = settings.address or os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what it says would reach the terminal
    os.environ.setdefault("RAY_worker_niceness", "0")  # these workers serve users; Ray would run them at 15
    import ray

    common: dict[str, Any] = {
        "namespace": _namespace(settings),
        "log_to_driver": False,
        "logging_level": "ERROR",
    }
    temporary = None
    try:
        if address:
            ray.init(address, **common)
        else:
            temporary = tempfile.mkdtemp(prefix="ff-ray-", dir="/tmp")  # Ray's socket paths must stay short
            ray.init(
                "local",
                num_cpus=settings.num_cpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address=EMBEDDED_NODE_IP,
                _temp_dir=temporary,
                **common,
            )
        yield
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise CannotServe(f"Ray failed: {error}") from error
    finally:
        ray.shutdown()
        if temporary:
            _end_children()
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _server(settings: Settings) -> Iterator[Server]:
    import ray

    from forestflow.runtime import cluster
    from forestflow.runtime.dispatch import DispatchSettings
    from forestflow.runtime.registry import RegistrySettings
    from forestflow.runtime.router import PingSettings, RouterSettings, TfInferSettings

    http, grpc, root = _endpoints(settings)
    secret = _secret(settings.data_dir)
    max_frame = settings.max_body_bytes * 4 + FRAME_HEADROOM  # answers may be longer than what was asked
    shared = cluster.ClusterSettings(
        namespace=_namespace(settings),
        secret=secret,
        data_dir=settings.data_dir,
        journal_url=settings.journal_url,
        artifact_max_bytes=settings.artifact_max_bytes,
        sources=SourceRules(
            schemes=settings.source_schemes,
            hosts=settings.source_hosts,
            timeout_seconds=settings.fetch_timeout_seconds,
            max_bytes=settings.artifact_max_bytes,
            s3_credentials_file=settings.s3_credentials_file,
        ),
        logs=_log_settings(settings),
        code_servables=settings.code_servables,
        install_timeout_seconds=settings.install_timeout_seconds,
        registry=RegistrySettings(
            load_timeout_seconds=settings.load_timeout_seconds,
            max_queued=settings.max_queued_per_replica,
            max_frame=max_frame,
            host_cpu=settings.host_cpu,
        ),
    )
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    options: dict[str, Any] = {"num_cpus": 0, "max_restarts": -1, "scheduling_strategy": here}
    registry = (
        cast(Any, cluster.ForestFlowRegistry)
        .options(name=cluster.REGISTRY_NAME, namespace=shared.namespace, max_concurrency=10_000, **options)
        .remote(shared)
    )
    server = Server((http.host, http.port), grpc, registry, root)
    try:
        for _ in range(settings.routers):
            router = RouterSettings(
                host=http.host,
                port=server.endpoint[1],
                grpc=grpc,
                grpc_pings=PingSettings(
                    settings.grpc_min_ping_seconds, settings.grpc_max_ping_strikes, settings.grpc_ping_without_calls
                ),
                dispatch=DispatchSettings(
                    node_id="",
                    secret=secret,
                    default_timeout=settings.default_timeout_seconds,
                    max_queued=settings.max_queued_per_replica,
                    max_frame=max_frame,
                ),
                max_body_bytes=settings.max_body_bytes,
                control_max_body_bytes=settings.control_max_body_bytes,
                max_connections=settings.max_connections,
                drain_seconds=settings.drain_seconds,
                allowed_hosts=settings.allowed_hosts,
                model_aliases=settings.model_aliases,
                tf_infer=TfInferSettings(
                    batch_transpose=settings.tf_infer_batch_transpose,
                    cors=settings.tf_infer_cors,
                    max_body_bytes=settings.tf_infer_max_body_bytes,
                    url_hosts=settings.url_hosts,
                    web=settings.tf_infer_web,
                    root=settings.tf_infer_root,
                    endpoint=root,
                ),
            )
            actor = cast(Any, cluster.ForestFlowRouter).options(**options).remote(shared, router)
            server.routers.append(actor)
            server.endpoint = ray.get(actor.endpoint.remote())
        ray.get(registry.start.remote())
    except ray.exceptions.RayError as error:
        _stop(server, settings.drain_seconds)
        raise CannotServe(f"an actor did not start, {_log_settings(settings).file} may say more:\n{error}") from error
    try:
        yield server
    finally:
        _stop(server, settings.drain_seconds)


def _stop(server: Server, drain_seconds: float) -> None:
    """Routers first, so that nothing new comes in; then hosts and registry."""
    import ray
    from ray.exceptions import RayError

    calls = [router.stop.remote() for router in server.routers]
    ray.wait(calls, num_returns=len(calls), timeout=drain_seconds + STOP_SECONDS) if calls else None
    try:
        ray.get(server.registry.stop.remote(), timeout=STOP_SECONDS * 2)
    except RayError as error:
        _log.error("the registry did not stop in order: %s", error)
    for actor in [*server.routers, server.registry]:
        ray.kill(actor, no_restart=True)


def _on_signals(stopped: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())


# --- small things -----------------------------------------------------------------------------------------------------


def _namespace(settings: Settings) -> str:
    """One ForestFlow per data directory, so that several may share a cluster."""
    return "forestflow-" + hashlib.sha256(str(settings.data_dir.resolve()).encode()).hexdigest()[:8]


def _log_settings(settings: Settings) -> logs.LogSettings:
    return logs.LogSettings(settings.log_level, settings.log_file or settings.data_dir / "logs" / "forestflow.jsonl")


def _secret(directory: Path) -> bytes:
    """The secret that routers and replicas share; made at the first start, readable by the owner alone."""
    path = directory / "secret"
    if not path.exists():
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()


def _endpoints(settings: Settings) -> tuple[Endpoint, Endpoint, Endpoint | None]:
    """Where HTTP, gRPC and, if it is wanted, tf-infer's root will listen. Raises CannotServe when they cannot."""
    http, grpc = _free(settings.http_endpoint, "--http"), _free(settings.grpc_endpoint, "--grpc")
    wanted = settings.tf_infer_endpoint
    root = None if wanted is None else _free(wanted, "--tf-infer")
    if http == grpc:  # SO_REUSEPORT would let both have it
        raise CannotServe(f"--http and --grpc are both {http}; give each a port of its own")
    if root in (http, grpc):
        raise CannotServe(f"--tf-infer is {root}, which --http or --grpc has; give each a port of its own")
    return http, grpc, root


def _free(endpoint: Endpoint, flag: str) -> Endpoint:
    """The endpoint, with a port that is free now in place of 0.

    Fails early and clearly when somebody else has the port (SO_REUSEPORT would share it silently).
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return Endpoint(endpoint.host, probe.getsockname()[1])
    except OSError as error:
        raise CannotServe(f"cannot listen on {endpoint}: {error.strerror}; choose another with {flag}") from error


def _end_children() -> None:
    """Whatever of the embedded Ray is still there ends now."""
    import psutil

    children = psutil.Process().children(recursive=True)
    _, alive = psutil.wait_procs(children, timeout=STOP_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=STOP_SECONDS)
