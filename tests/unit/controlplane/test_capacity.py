"""What a cluster lacks for a replica, from the totals of its nodes as Ray names them."""

from __future__ import annotations

import pytest

from forestflow.controlplane.capacity import lacking, waiting
from forestflow.domain.settings import Resources

GIB = 1 << 30
SMALL = {"CPU": 2.0, "memory": 20.0 * GIB, "node:10.0.0.1": 1.0, "object_store_memory": 1.0}
LARGE = {"CPU": 16.0, "memory": 64.0 * GIB}
WITH_GPU = {"CPU": 4.0, "GPU": 1.0, "memory": 8.0 * GIB}
MOST = "the cluster's nodes have at most 16 CPU, 1 GPU, 65536 MiB of memory"


@pytest.mark.parametrize(
    ("resources", "nodes", "expected"),
    [
        (Resources(), [SMALL], None),
        (Resources(cpu=2, memory_mb=20 << 10), [SMALL], None),
        (Resources(gpu=0), [SMALL], None),
        (Resources(cpu=0.5), [], "the cluster has no node that is up"),
        (
            Resources(gpu=1),
            [SMALL],
            "no node has 1 GPU; the cluster's nodes have at most 2 CPU, 0 GPU, 20480 MiB of memory",
        ),
        (Resources(cpu=20, gpu=0.5), [SMALL, LARGE, WITH_GPU], f"no node has 20 CPU; {MOST}"),
        (Resources(cpu=20, gpu=2.5), [LARGE, WITH_GPU], f"no node has 20 CPU and 2.5 GPU; {MOST}"),
        (Resources(cpu=6, gpu=1), [LARGE, WITH_GPU], f"no node has 6 CPU and 1 GPU together; {MOST}, not all on one"),
        (Resources(cpu=10, gpu=1), [{**LARGE, "GPU": 1.0}], None),
        # two nodes with 2 CPU each are no node with 4: a host is one process
        (
            Resources(cpu=4),
            [SMALL, SMALL],
            "no node has 4 CPU; the cluster's nodes have at most 2 CPU, 0 GPU, 20480 MiB of memory",
        ),
        (Resources(memory_mb=100_000), [LARGE, WITH_GPU], f"no node has 100000 MiB of memory; {MOST}"),
    ],
)
def test_lacking(resources, nodes, expected):
    assert lacking(resources, nodes) == expected


def test_waiting():
    free = [{"CPU": 0.5, "memory": 2.0 * GIB}, {"memory": 4.0 * GIB}]
    assert waiting(Resources(cpu=0.5, memory_mb=1024), free) is None
    assert waiting(Resources(cpu=1), free) == "waits for a node with 1 CPU free"
    assert (
        waiting(Resources(cpu=0.5, memory_mb=3072), free) == "waits for a node with 0.5 CPU and 3072 MiB of memory free"
    )
    assert waiting(Resources(), free) is None
