"""The load of gRPC that is not Python's: nghttp2's ``h2load``, one connection, unary calls of one message."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import grpc

from benchmarks.turns import Rate
from benchmarks.wrk import LoadFailed

_PREFIX = struct.Struct(">BI")  # of a message: not compressed, its length
_RATE = re.compile(r"([\d.]+) req/s")
_REQUESTS = re.compile(r"requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout")
_DATA = re.compile(r"\((\d+)\) data")


def of_h2load(address: str, method: str, message: bytes, in_flight: int) -> Rate:
    """Calls a second of a gRPC method that answers the same number of bytes each time, after it was warmed up here.

    h2load reads no ``grpc-status``, but an error has no message: it is found by the bytes that did not come. Raises
    :class:`LoadFailed` for that, for answers that are not 200, and where h2load is missing.
    """
    path = shutil.which("h2load")
    if path is None:
        raise LoadFailed("h2load is not installed: `apt-get install nghttp2-client` (Debian, Ubuntu)")
    with grpc.insecure_channel(address) as channel:
        answer = len(channel.unary_unary(method)(message, timeout=30, wait_for_ready=True)) + _PREFIX.size

    def rate(seconds: float) -> float:
        with tempfile.TemporaryDirectory(prefix="ff-h2load-") as folder:
            body = Path(folder, "body")
            body.write_bytes(_PREFIX.pack(0, len(message)) + message)
            whole = max(1, round(seconds))
            command = [path, "-c", "1", "-m", str(in_flight), "-D", str(whole), "-d", str(body)]
            command += ["-H", "content-type: application/grpc", "-H", "te: trailers", f"http://{address}{method}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=whole + 60, check=False)
        counts, data, figure = (pattern.search(done.stdout) for pattern in (_REQUESTS, _DATA, _RATE))
        if done.returncode or not counts or not data or not figure:
            raise LoadFailed(f"h2load of {method} ended with {done.returncode}: {(done.stderr or done.stdout)[-800:]}")
        succeeded, *others = map(int, counts.groups())
        if not succeeded or any(others) or int(data[1]) < succeeded * answer:
            raise LoadFailed(f"{method}: {done.stdout[-800:]}")
        return float(figure[1])

    rate(2)
    return rate
