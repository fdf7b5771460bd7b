"""The control-plane facade: what a transport may ask of the registry, wherever the registry runs."""

from __future__ import annotations

from typing import Any, Protocol

from forestflow.domain.commands import Answer, Command


class Channel(Protocol):
    """Takes a command to the registry and brings its answer back."""

    async def __call__(self, command: Command[Any]) -> Any:
        """Raise the ForestFlowError that the registry answers; Unavailable when it is down."""
        ...


class ControlPlane:
    """Runs commands and queries. Once it is ``stopping``, answers without an end of their own are to end."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.stopping = False

    async def run(self, command: Command[Answer]) -> Answer:
        """Return a command's answer once the router that asked has the Plan that shows its effect.

        Raises :class:`~forestflow.domain.errors.ForestFlowError`, as the command says.
        """
        answer: Answer = await self._channel(command)
        return answer
