"""A Ray cluster of several nodes on this machine, run as a script so that the tests themselves need no Ray.

Each node has a loopback address and a temporary directory of its own. Commands come as JSON lines on stdin
(``["head", ip]``, ``["worker", ip, cpus, hidden]``, ``["kill", ip]``, ``["actors"]``), answers go as JSON lines to
stdout. A worker sees an empty read-only directory in place of ``hidden``: on a real cluster it has no data directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_worker_niceness": "0"}

import ray
from ray._private import state
from ray.cluster_utils import Cluster

OBJECT_STORE_BYTES = 100 << 20
START_SECONDS = 30


class Nodes:
    """A head without CPUs, and workers by address."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cluster = Cluster()
        self._workers: dict[str, subprocess.Popen[bytes]] = {}

    def head(self, ip: str) -> str:
        """Start the head; the address of the cluster."""
        self._cluster.add_node(
            node_ip_address=ip,
            num_cpus=0,
            temp_dir=str(self._directory / ip),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
        )
        ray.init(
            self._cluster.address,
            namespace="the-tests",
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address=ip,
        )
        return str(self._cluster.address)

    def worker(self, ip: str, cpus: int, hidden: str) -> None:
        """Start a worker and wait until the cluster knows it."""
        ray_command = Path(sys.executable).with_name("ray")
        start = [str(ray_command), "start", "--block", f"--address={self._cluster.address}", f"--node-ip-address={ip}"]
        start += [f"--num-cpus={cpus}", f"--object-store-memory={OBJECT_STORE_BYTES}"]
        start += [f"--temp-dir={self._directory / ip}"]
        hide = f"mount -t tmpfs -o ro none {shlex.quote(hidden)} && exec {shlex.join(start)}"
        with (self._directory / f"{ip}.txt").open("wb") as output:
            self._workers[ip] = subprocess.Popen(
                ["unshare", "--map-root-user", "--mount", "sh", "-c", hide], stdout=output, stderr=output
            )
        deadline = time.monotonic() + START_SECONDS
        while ip not in self._alive():
            if time.monotonic() > deadline or self._workers[ip].poll() is not None:
                raise RuntimeError((self._directory / f"{ip}.txt").read_text())
            time.sleep(0.1)

    def kill(self, ip: str) -> None:
        """The node loses power: all its processes are gone at once."""
        worker = self._workers.pop(ip)
        processes = [*psutil.Process(worker.pid).children(recursive=True), psutil.Process(worker.pid)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        worker.wait()

    def actors(self) -> list[dict[str, Any]]:
        """Every actor that is not dead: class, name, state, address of its node, process."""
        addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}
        return [
            {
                "class": actor["ActorClassName"],
                "name": actor["Name"],
                "state": actor["State"],
                "ip": addresses.get(actor["Address"]["NodeID"]),
                "pid": actor["Pid"],
            }
            for actor in state.actors().values()
            if actor["State"] != "DEAD"
        ]

    def alive(self) -> list[str]:
        """Addresses of the nodes that are alive, as Ray sees it."""
        return sorted(self._alive())

    def close(self) -> None:
        for ip in list(self._workers):
            self.kill(ip)
        ray.shutdown()
        self._cluster.shutdown()

    def _alive(self) -> set[str]:
        return {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever Ray prints is not an answer
    directory = Path(tempfile.mkdtemp(prefix="ff-nodes-", dir="/tmp"))  # Ray's socket paths must stay short
    Path("/tmp/ray").mkdir(exist_ok=True)  # Ray notes its address there, whatever temp_dir says, and does not make it
    nodes = Nodes(directory)
    try:
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            answers.write(json.dumps(getattr(nodes, name)(*arguments)) + "\n")
    finally:
        nodes.close()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
