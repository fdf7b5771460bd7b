"""``forestflow serve``: brings up Ray (or joins it), the registry and the routers; takes everything down again.

The process that runs this is the supervisor: it owns no state and serves no request.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

from forestflow.artifacts.sources.rules import SourceRules
from forestflow.cluster import logs
from forestflow.cluster.ray_node import NoRay, RayNode
from forestflow.cluster.supervisor import Phase, Work, supervise
from forestflow.controlplane import data_directory as datadir
from forestflow.domain.errors import StorageFailed
from forestflow.settings.config import Endpoint, Settings

FRAME_HEADROOM = 1 << 20
STOP_SECONDS = 5.0
JOIN_SECONDS = 60.0  # for a cluster that was there a moment ago
LOOK_SECONDS = 0.2  # between two looks whether the end was asked for
FAILED = 4  # the exit code of a process that must end without coming back to the command line

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
    starting: list[Any] = field(default_factory=list)  # routers that do not answer yet

    @property
    def url(self) -> str:
        return f"http://{Endpoint(*self.endpoint)}"


def run(settings: Settings) -> None:
    """Serve until a signal asks for the end (see :mod:`forestflow.cluster.supervisor`).

    Raises CannotServe with a reason. Ends the process itself when it hangs: while Ray starts at once, later when a stop
    takes longer than it may.
    """
    terminal = _Terminal()
    node = RayNode(settings.address or os.environ.get("RAY_ADDRESS"), settings.num_cpus)

    def abandon(why: str | None) -> NoReturn:
        node.end()
        terminal.say("stopped") if why is None else terminal.complain(f"forestflow: {why}")
        os._exit(FAILED if why else 0)

    try:
        supervise(lambda work: _serve(settings, node, terminal, work), abandon)
    except (datadir.DataUnusable, NoRay) as error:
        raise CannotServe(str(error)) from error
    terminal.say("stopped")


def _serve(settings: Settings, node: RayNode, terminal: _Terminal, work: Work) -> None:
    """In a thread of its own, for Ray and databases wait inside C."""
    began = time.monotonic()
    with contextlib.ExitStack() as undo:
        undo.enter_context(datadir.held(settings.data_dir))
        logs.configure(_log_settings(settings))
        _endpoints(settings)  # what is wrong with them is told before Ray takes its seconds
        datadir.check_journal(settings.data_dir, settings.journal_url)
        datadir.secret(settings.data_dir)
        undo.enter_context(terminal.quiet(settings.data_dir / "logs" / "ray.log"))
        limit = JOIN_SECONDS if node.address else None  # an embedded Ray has limits of its own
        late = f"Ray at {node.address} did not let this server join within {JOIN_SECONDS:g} s; is this a node of it?"
        work.enter(Phase(stop_seconds=0, limit_seconds=limit, overdue=late))
        undo.enter_context(node.up(_namespace(settings)))
        work.enter(Phase(stop_seconds=settings.drain_seconds + 4 * STOP_SECONDS))
        server = undo.enter_context(_server(settings, work))
        also = f", tf-infer at http://{server.tf_infer}" if server.tf_infer else ""
        terminal.say(
            f"ForestFlow serves {server.url} and gRPC at {server.grpc}{also} (API at {server.url}/docs, "
            f"data in {settings.data_dir}, up in {time.monotonic() - began:.1f} s); Ctrl-C stops it"
        )
        work.wait()
        terminal.say("stopping: answering what is under way")


# --- what serving needs, each undone in reverse -----------------------------------------------------------------------


class _Terminal:
    """The terminal for our own words; whatever Ray prints, from Python or C++, can be sent elsewhere."""

    def __init__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._kept = [os.dup(1), os.dup(2)]

    def say(self, text: str) -> None:
        self._write(0, text)

    def complain(self, text: str) -> None:
        self._write(1, text)

    def _write(self, number: int, text: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads it any more, which is no reason to stop
            os.write(self._kept[number], f"{text}\n".encode())

    @contextlib.contextmanager
    def quiet(self, noise: Path) -> Iterator[None]:
        """What anybody else prints goes to that file."""
        try:
            noise.parent.mkdir(parents=True, exist_ok=True)
            sink = noise.open("ab")
        except OSError as error:
            raise CannotServe(f"{noise} cannot be written: {error.strerror}") from error
        with sink:
            try:
                for number in (1, 2):
                    os.dup2(sink.fileno(), number)
                yield
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                for number, descriptor in zip((1, 2), self._kept, strict=True):
                    os.dup2(descriptor, number)


@contextlib.contextmanager
def _server(settings: Settings, work: Work) -> Iterator[Server]:
    import ray

    from forestflow.cluster import actors as cluster
    from forestflow.settings.sections import (
        DispatchSettings,
        PingSettings,
        RegistrySettings,
        RouterSettings,
        TfInferSettings,
    )

    http, grpc, root = _endpoints(settings)
    secret = datadir.secret(settings.data_dir)
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
            default_timeout=settings.default_timeout_seconds,
            memory_share=settings.replica_memory_share,
            cluster_grows=settings.cluster_grows,
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
        started = registry.start.remote()
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
                observers=_observers(settings),
            )
            actor = cast(Any, cluster.ForestFlowRouter).options(**options).remote(shared, router)
            server.starting.append(actor)
            server.endpoint, _ = _results([actor.endpoint.remote(), started], work)
            server.starting.remove(actor)
            server.routers.append(actor)
        yield server
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, StorageFailed):
            raise CannotServe(datadir.unreadable(settings.data_dir, settings.journal_url, cause)) from error
        raise CannotServe(f"an actor did not start, {_log_settings(settings).file} may say more:\n{error}") from error
    finally:
        _stop(server, settings.drain_seconds)


def _results(references: Sequence[Any], work: Work) -> list[Any]:
    """Wait for all of them; the first that fails, or a wish to end, ends the wait."""
    import ray

    waiting = list(references)
    while waiting:
        work.check()
        done, waiting = ray.wait(waiting, timeout=LOOK_SECONDS)
        ray.get(done)
    return cast(list[Any], ray.get(list(references)))


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
    for actor in [*server.routers, *server.starting, server.registry]:
        ray.kill(actor, no_restart=True)


# --- small things -----------------------------------------------------------------------------------------------------


def _namespace(settings: Settings) -> str:
    """One ForestFlow per data directory, so that several may share a cluster."""
    return "forestflow-" + hashlib.sha256(str(settings.data_dir.resolve()).encode()).hexdigest()[:8]


def _log_settings(settings: Settings) -> logs.LogSettings:
    return logs.LogSettings(settings.log_level, settings.log_file or settings.data_dir / "logs" / "forestflow.jsonl")


def _observers(settings: Settings) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Who looks at finished requests: import strings, each with its arguments."""
    if settings.access_log is None:
        return ()
    return (("forestflow.api.access_log:AccessLog", {"file": settings.access_log}),)


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
