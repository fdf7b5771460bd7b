"""Ray Serve doing the same scoring: ``python -m benchmarks.peers.ray_serve VARIANT PORT``, started by :func:`command`.

All variants run with ``RAY_SERVE_THROUGHPUT_OPTIMIZED=1``: user code in the replica's own loop, buffered logs, gRPC
between deployments, and direct ingress, where the ingress replica itself listens for HTTP, without a Python proxy.
Access logs are off. What differs:

- ``direct``: FastAPI ingress deployment, which calls a scoring deployment; the client speaks to the ingress replica.
- ``batched``: the same with ``@serve.batch`` on the scoring deployment (up to 16 requests, no wait).
- ``haproxy``: ``direct`` behind the bundled HAProxy, as Ray's high-throughput guide sets it up.
- ``single``: no second deployment; the FastAPI ingress scores in its own process.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.processes import PYTHON

VARIANTS = ("direct", "batched", "haproxy", "single")


def command(variant: str, ports: list[int], temp: Path) -> tuple[list[str], Mapping[str, str], int]:
    """How to start ``variant``: the command, its environment, and the port to load. Needs two free ``ports``."""
    proxy, replica = ports
    env = {
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(replica),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(replica + 20),
        "RAY_SERVE_LOG_TO_STDERR": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    if variant == "haproxy":
        env |= {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_NBTHREAD": "1",
            "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{temp}/haproxy.cfg",
            "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{temp}/admin.sock",
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(temp),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{temp}/server-state",
        }
    line = [PYTHON, "-m", "benchmarks.peers.ray_serve", variant, str(proxy), str(temp)]
    return line, env, proxy if variant == "haproxy" else replica


def main(variant: str, port: int, temp: str) -> None:
    """Start a local Ray and the Serve application; run until SIGTERM."""
    import ray
    from ray import serve

    from benchmarks.peers.ray_serve_app import build

    ray.init(
        _node_ip_address="127.0.0.2",
        _temp_dir=temp,
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 * 1024 * 1024,
        runtime_env={"env_vars": {"PYTHONPATH": str(Path.cwd())}},
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(build(variant), route_prefix="/", logging_config={"enable_access_log": False, "log_level": "ERROR"})
    print("READY", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    os._exit(0)  # the benchmark kills the rest: a graceful end drains for half a minute


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp(prefix="ffb"))
