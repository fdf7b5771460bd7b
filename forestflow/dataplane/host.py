"""A host process: loads a model and answers frames on its sockets, from one thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import secrets
import struct
import threading
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from forestflow.codecs import table
from forestflow.dataplane import host_sockets as hostsockets
from forestflow.dataplane import wire
from forestflow.dataplane.memory import total_memory, used_memory
from forestflow.dataplane.pulse import BEAT_SECONDS, Pulse, pulse_path
from forestflow.dataplane.replica import Replica
from forestflow.dataplane.replies import Job
from forestflow.domain.assignment import Assignment, Loaded
from forestflow.domain.errors import LoadFailed
from forestflow.domain.independence import Independence
from forestflow.domain.plan import ReplicaAddress
from forestflow.domain.reports import ReplicaLoad
from forestflow.servables import independence, loading
from forestflow.servables.base import Servable

T = TypeVar("T")

SERVABLE_NUMBER = 1  # of the one servable a host has today


class Host:
    """Owns the data-plane thread. Its methods are called from other threads and wait for that thread."""

    def __init__(self, *, node_id: str, bind_ip: str, socket_directory: Path, secret: bytes) -> None:
        self._node_id = node_id
        self._bind_ip = bind_ip
        self._socket_directory = socket_directory
        self._secret = secret
        self._loop = _new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="data-plane", daemon=True)
        self._thread.start()
        self._loading = threading.Lock()
        self._servers: list[asyncio.Server] = []
        self._replica: Replica | None = None
        self._servable: Servable | None = None
        self._pulse: Pulse | None = None
        self._independence: Mapping[str, Independence] = {}
        self.loaded: Loaded | None = None

    def load(self, assignment: Assignment) -> Loaded:
        """Load, warm up, open the sockets. Raises LoadFailed; calling it again for the same replica is harmless."""
        with self._loading:
            if self.loaded is None:
                self.loaded = self._run(self._load(assignment))
            return self.loaded

    def inspect(self) -> ReplicaLoad | None:
        """What its replica does now; ``None`` without one. Does not wait for a call of the model to end."""
        replica = self._replica
        return None if replica is None else ReplicaLoad(os.getpid(), *replica.waiting, dict(replica.batches))

    def drain(self, timeout_seconds: float) -> bool:
        """Wait until nothing is queued; False when the time ran out first."""
        return self._run(self._drain(timeout_seconds))

    def close(self) -> None:
        """Close the sockets, free the model, end the thread."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _load(self, assignment: Assignment) -> Loaded:
        with hostsockets.held(self._socket_directory):
            path = pulse_path(hostsockets.socket_path(self._socket_directory, assignment.replica_id))
            self._pulse = Pulse(path, assignment.timeout_seconds)
        most = int(total_memory() * assignment.memory_share)
        try:
            self._pulse.watch(most)
            self._servable = loading.load(assignment.artifact, assignment.flavor, assignment.resources)
            address = await self._open(self._servable, assignment, self._pulse)
        except BaseException:
            self._release()
            raise
        if assignment.resources.memory_mb:
            self._pulse.limit_memory(min(most, used_memory() + (assignment.resources.memory_mb << 20)))
        self._beat()
        # What is loaded stays: keep the collector from walking it again and again between requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        metadata = replace(self._servable.metadata, independence=self._independence)
        return Loaded(assignment, address, metadata, os.getpid())

    def _beat(self) -> None:
        if self._pulse is not None:
            self._pulse.beat()
            self._loop.call_later(BEAT_SECONDS, self._beat)

    async def _open(self, servable: Servable, assignment: Assignment, pulse: Pulse) -> ReplicaAddress:
        try:
            servable.warm_up()
        except (Exception, SystemExit) as error:
            raise LoadFailed(f"the model does not score: {type(error).__name__}: {error}") from error
        self._independence = independence.settled(servable, assignment.merging.independent_rows)
        table.warm_up(assignment.fqrv)
        self._replica = Replica(
            servable,
            assignment.fqrv,
            max_queued=assignment.max_queued,
            merging=assignment.merging,
            pulse=pulse,
            merge_key=independence.merge_key(servable, self._independence),
            unknown_fields=assignment.unknown_fields,
        )
        unix, unix_path = await hostsockets.listen(
            self._socket_directory,
            assignment.replica_id,
            lambda path: self._loop.create_unix_server(lambda: self._protocol(assignment), path=path),
        )
        self._servers.append(unix)
        tcp = await self._loop.create_server(lambda: self._protocol(assignment), host=self._bind_ip, port=0)
        self._servers.append(tcp)
        host, port = tcp.sockets[0].getsockname()[:2]
        return ReplicaAddress(assignment.replica_id, self._node_id, str(unix_path), f"{host}:{port}")

    def _protocol(self, assignment: Assignment) -> ReplicaProtocol:
        assert self._replica is not None
        return ReplicaProtocol(self._replica, self._secret, assignment.max_frame)

    async def _drain(self, timeout_seconds: float) -> bool:
        deadline = time.monotonic() + timeout_seconds
        while self._replica is not None and not self._replica.idle:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    async def _close(self) -> None:
        self._release()
        if self.loaded is not None:
            hostsockets.leave(self._socket_directory, self.loaded.assignment.replica_id)

    def _release(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        self._replica = None
        if self._pulse is not None:
            self._pulse.pause()
        if self._servable is not None:
            self._servable.close()
            self._servable = None
        if self._pulse is not None:
            self._pulse.close()
            self._pulse = None


class ReplicaProtocol(asyncio.BufferedProtocol):
    """One router's connection: handshake, then requests."""

    def __init__(self, replica: Replica, secret: bytes, max_frame: int) -> None:
        self._replica = replica
        self._secret = secret
        self._max_frame = max_frame
        self._reader = wire.InPlaceReader(wire.HANDSHAKE_MAX)
        self._nonce = secrets.token_bytes(wire.NONCE_BYTES)
        self._trusted = False
        self._cancelled: set[int] = set()
        self._reply = self._send  # one bound method, so that the replica sees one connection
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        wire.widen(transport)
        self._transport.write(wire.hello(self._nonce))

    def connection_lost(self, exc: Exception | None) -> None:
        self._replica.cancel(self._reply)  # its router is gone, or sends them to another replica

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            for frame in self._reader.received(nbytes):
                if self._trusted:
                    self._request(frame)
                else:
                    self._proof(bytes(frame))
            if self._cancelled:
                self._replica.cancel(self._reply, self._cancelled)
                self._cancelled = set()
        except (wire.FrameError, IndexError, ValueError, struct.error):
            self._transport.abort()

    def _proof(self, frame: bytes) -> None:
        if frame[0] != wire.PROOF or len(frame) != 1 + wire.MAC_BYTES + wire.NONCE_BYTES:
            raise wire.FrameError("expected a proof")
        wire.check_mac(self._secret, b"router", self._nonce, frame[1 : 1 + wire.MAC_BYTES])
        numbers = json.dumps({"servables": {str(self._replica.fqrv): SERVABLE_NUMBER}}).encode()
        self._transport.write(wire.welcome(self._secret, frame[1 + wire.MAC_BYTES :], numbers))
        self._trusted = True
        self._reader = wire.InPlaceReader(self._max_frame)

    def _request(self, frame: wire.Frame) -> None:
        if frame[0] == wire.REQUEST:
            priority, codec, servable, number, timeout_ms, request_id, payload = wire.parse_request(frame)
            _check_number(servable)
            whole = cast(bytes, payload) if codec in table.READ_VIEWS else bytes(payload)
            deadline = time.monotonic() + timeout_ms / 1000
            job = Job(self._reply, number, codec, request_id, whole, deadline, priority == wire.ALONE)
            self._replica.submit(job, priority)
        elif frame[0] == wire.CANCEL:
            self._cancelled.add(wire.parse_cancel(frame))
        elif frame[0] == wire.BACKLOG:
            servable, shadows = wire.parse_backlog(bytes(frame))
            _check_number(servable)
            self._replica.limit_backlog(shadows)
        else:
            raise wire.FrameError("expected a request")

    def _send(self, frame: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(frame)


def _check_number(servable: int) -> None:
    if servable != SERVABLE_NUMBER:
        raise wire.FrameError(f"no servable has the number {servable}")


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not on Windows
        return asyncio.new_event_loop()
    return cast(asyncio.AbstractEventLoop, uvloop.new_event_loop())
