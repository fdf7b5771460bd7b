"""Every command has a handler in the registry, and a way in over each transport."""

import contextlib
from dataclasses import fields, is_dataclass

import pytest

from forestflow.api.grpc import control as grpc_control
from forestflow.api.grpc import health, score
from forestflow.api.http import control as rest
from forestflow.api.http import logs
from forestflow.domain import commands
from forestflow.domain.commands import Command
from forestflow.domain.refusals import UnknownContract, UnknownServable
from tests.unit.controlplane.test_registry import World

COMMANDS = [
    kind
    for kind in vars(commands).values()
    if isinstance(kind, type) and is_dataclass(kind) and issubclass(kind, Command)
]

# Codecs read these from a body, so that no transport names them.
MADE_BY_CODECS = {commands.Deploy, commands.UpdateVersions}

# Over gRPC, GetContract and GetServable tell what these do; history and logs are read over REST.
NOT_OVER_GRPC = {
    commands.ListReleases,
    commands.ListSettings,
    commands.GetHistory,
    commands.GetPlanAt,
    commands.ReadLogs,
}


@pytest.mark.parametrize("kind", COMMANDS)
async def test_the_registry_handles(kind, tmp_path):
    world = World(tmp_path)
    await world.start()
    try:
        with contextlib.suppress(
            AttributeError, UnknownContract, UnknownServable
        ):  # handlers make nothing of arguments that are none
            await world.registry.run(kind(*[None] * len(fields(kind))))
    finally:
        await world.registry.stop()


async def test_a_command_without_a_handler_is_refused(tmp_path):
    world = World(tmp_path)
    await world.start()
    try:
        with pytest.raises(Exception, match="there is no command Command"):
            await world.registry.run(Command())
    finally:
        await world.registry.stop()


@pytest.mark.parametrize("kind", [kind for kind in COMMANDS if kind not in MADE_BY_CODECS])
def test_there_is_a_way_in(kind):
    assert any(kind in vars(module).values() for module in (rest, logs))
    over_grpc = any(kind in vars(module).values() for module in (grpc_control, score, health))
    assert over_grpc is (kind not in NOT_OVER_GRPC)
