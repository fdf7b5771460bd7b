"""What surrounds every call into a model's own code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def foreign() -> Iterator[None]:
    """The replica's thread as the script may expect it: without a running event loop, so that it may run its own."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)
