"""Says why something takes long, while it does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable


@contextlib.asynccontextmanager
async def explained(
    why: Callable[[], Awaitable[str | None]], say: Callable[[str | None], None], every_seconds: float
) -> AsyncIterator[None]:
    """As long as the block runs, ask ``why`` now and then, and ``say`` what it answers.

    An answer that fails is passed over: the block itself reports what is wrong.
    """

    async def explain() -> None:
        while True:
            await asyncio.sleep(every_seconds)
            say(await why())

    explaining = asyncio.get_running_loop().create_task(explain())
    try:
        yield
    finally:
        explaining.cancel()
        await asyncio.gather(explaining, return_exceptions=True)
