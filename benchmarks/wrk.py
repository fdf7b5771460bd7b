"""The load driver: ``wrk``, one thread, keep-alive, one POST over and over; figures out as numbers.

wrk is written in C and has one thread here, so it takes far less of the machine than what it measures. A Lua hook at
its end prints exact figures, so that nothing is read back from its rounded text.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """\
wrk.method = "POST"
{headers}
local file = assert(io.open("{body}", "rb"))
wrk.body = file:read("*a")
file:close()
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nFIGURES {{"requests": %d, "micros": %d, "p50": %f, "p99": %f, "max": %f, ' ..
    '"bad_status": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.status, e.connect, e.read, e.write, e.timeout))
end
"""


class LoadFailed(RuntimeError):
    """wrk is missing, did not run, or the server answered other than it should."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw. Latencies in seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def find_wrk() -> str:
    """Where wrk is; raises :class:`LoadFailed` with how to get it."""
    path = shutil.which("wrk")
    if path is None:
        raise LoadFailed("wrk is not installed: `apt-get install wrk` (Debian, Ubuntu) or `brew install wrk` (macOS)")
    return path


def run(
    url: str,
    body: bytes,
    *,
    connections: int,
    seconds: float,
    warm_up: float = 1.0,
    headers: Mapping[str, str] | None = None,
) -> Load:
    """POST ``body`` to ``url`` from one thread over ``connections`` connections for ``seconds`` seconds.

    ``headers`` beside ``Content-Type: application/json``, which they may replace.

    A run of ``warm_up`` seconds goes before and is not counted. Raises :class:`LoadFailed` when an answer is not a
    2xx or 3xx, a socket breaks, or nothing is answered.
    """
    with tempfile.TemporaryDirectory(prefix="ff-wrk-") as folder:
        body_file, script = Path(folder, "body"), Path(folder, "post.lua")
        body_file.write_bytes(body)
        told = {"Content-Type": "application/json", **(headers or {})}
        lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in told.items())
        script.write_text(_SCRIPT.format(body=body_file, headers=lines))
        if warm_up > 0:
            _once(url, script, connections, warm_up)
        return _once(url, script, connections, seconds)


def _once(url: str, script: Path, connections: int, seconds: float) -> Load:
    whole = max(1, round(seconds))  # wrk counts whole seconds
    command = [find_wrk(), "-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "60s", "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=whole + 90, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    if done.returncode != 0 or not lines:
        raise LoadFailed(f"wrk ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    figures = json.loads(lines[0].removeprefix("FIGURES "))
    bad = {k: figures[k] for k in ("bad_status", "connect", "read", "write", "timeout") if figures[k]}
    if bad or not figures["requests"]:
        raise LoadFailed(f"{url}: {figures['requests']} requests, errors {bad or 'none'}")
    return Load(figures["requests"], figures["micros"] / 1e6, figures["p50"] / 1e6, figures["p99"] / 1e6)
