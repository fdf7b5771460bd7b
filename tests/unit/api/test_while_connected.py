"""Scoring on the general way, while the client is there to read the answer."""

from __future__ import annotations

import asyncio

import pytest

from forestflow.api.http.edge import while_connected
from forestflow.domain.errors import Malformed


class Client:
    """Its end of the connection; ``messages`` are what it sends after the body."""

    def __init__(self, *messages):
        self.messages = list(messages)
        self.gone = asyncio.Event()

    async def receive(self):
        if self.messages:
            return self.messages.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def scoring(cancelled, seconds):
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        cancelled.append(True)
        raise
    return "an answer"


async def test_who_stays_gets_the_answer():
    client, cancelled = Client(), []
    assert await while_connected(client.receive, scoring(cancelled, 0.01)) == "an answer"
    client.gone.set()
    await asyncio.sleep(0.01)
    assert not cancelled


async def test_who_goes_has_the_scoring_cancelled_and_nothing_else():
    client, cancelled = Client(), []
    asyncio.get_running_loop().call_later(0.01, client.gone.set)
    with pytest.raises(Malformed, match="closed the connection"):
        await while_connected(client.receive, scoring(cancelled, 60))
    assert cancelled
    await asyncio.sleep(0)  # the task itself goes on


async def test_a_message_that_says_nothing_ends_the_watch_alone():
    client = Client({"type": "http.request", "body": b"", "more_body": False})
    assert await while_connected(client.receive, scoring([], 0.01)) == "an answer"


async def test_whoever_cancels_the_task_itself_has_it_cancelled():
    client, cancelled = Client(), []
    task = asyncio.create_task(while_connected(client.receive, scoring(cancelled, 60)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled


async def test_an_error_of_the_scoring_is_the_scorings():
    async def fails():
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await while_connected(Client().receive, fails())
