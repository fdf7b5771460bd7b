"""The logs of a release's replicas as one text, and as it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from forestflow.controlplane.control import ControlPlane
from forestflow.domain.commands import ReadLogs
from forestflow.domain.errors import ForestFlowError, Unavailable
from forestflow.domain.ids import Fqrv
from forestflow.domain.reports import LogPosition, ReplicaLog

POLL_SECONDS = 0.5
ALL_LINES = 100_000  # of a replica that starts while we follow


async def log_text(control: ControlPlane, fqrv: Fqrv, tail: int, follow: bool) -> AsyncIterator[bytes]:
    """The first part is there when this returns; those that follow come as the replicas write.

    Raises UnknownServable, Unavailable.
    """
    logs = await control.run(ReadLogs(fqrv, tail))
    return _parts(control, fqrv, logs, follow)


async def _parts(control: ControlPlane, fqrv: Fqrv, logs: list[ReplicaLog], follow: bool) -> AsyncIterator[bytes]:
    heads = _Heads()
    after: dict[str, LogPosition] = {}
    while True:
        text = heads.text(logs)
        if text:
            yield text
        if not follow or control.stopping:
            return
        after = {log.replica_id: log.position for log in logs} if logs else after
        await asyncio.sleep(POLL_SECONDS)
        try:
            logs = await control.run(ReadLogs(fqrv, ALL_LINES, after))
        except Unavailable:  # the registry comes back
            logs = []
        except ForestFlowError:  # the release is gone
            return


class _Heads:
    """Names the replica before its text, as ``tail -f`` names files, as soon as there are several."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._last = ""

    def text(self, logs: Iterable[ReplicaLog]) -> bytes:
        parts = []
        logs = [log for log in logs if log.text]
        self._seen.update(log.replica_id for log in logs)
        for log in logs:
            if len(self._seen) > 1 and log.replica_id != self._last:
                parts.append(f"==> {log.replica_id} <==\n")
            self._last = log.replica_id
            parts.append(log.text)
        return "".join(parts).encode()
