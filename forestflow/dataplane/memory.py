"""How much memory this machine or container has, and whom the kernel is to end first when none is left."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

HOST_SCORE = 1000  # of the kernel's oom_score_adj: ended before everything else,
OWN_SCORE = 0  # and what Ray starts would be ended like a host, were it not for this

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def total_memory(limits: tuple[Path, ...] = _LIMITS) -> int:
    """Bytes of the machine, or what its container may use if that is less."""
    total: int = psutil.virtual_memory().total
    for file in limits:
        with contextlib.suppress(OSError):  # there is one of the two, or none
            text = file.read_text().strip()
            if text.isdigit():
                total = min(total, int(text))
    return total


def used_memory() -> int:
    """Bytes of this process."""
    rss: int = psutil.Process().memory_info().rss
    return rss


def set_oom_score(score: int) -> None:
    """Have the kernel prefer processes of a higher score when it must end one. Only Linux knows it."""
    with contextlib.suppress(OSError):  # elsewhere, and where it is not allowed: the kernel's own choice
        Path("/proc/self/oom_score_adj").write_text(str(score))
