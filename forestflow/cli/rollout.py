"""Commands that steer a rollout: phase-in by hand, reported metrics, rollback."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from forestflow.cli.session import (
    DEFAULT_URL,
    AsJson,
    ContractArgument,
    Exit,
    ReleaseArgument,
    Server,
    connected,
    fail,
    print_reply,
)
from forestflow.cli.settings_file import number, pair

Json = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("phase-in")(phase_in)
    app.command("report-metric")(report_metric)
    app.command()(rollback)


def phase_in(
    contract: ContractArgument,
    release: ReleaseArgument,
    percent: Annotated[int, typer.Argument(metavar="PERCENT", min=0, max=100, help="Of its full share.")],
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Set the phase-in percent of a release by hand; its validity rules stay.

    Example: forestflow phase-in samples/energy/0 v2 25
    """
    with connected(server) as client:
        policy = client.settings_of(contract, release)["policySettings"]
        reply = client.update_policy(
            contract, release, {**policy, "phaseInPolicy": {"ManualPhaseIn": {"percent": percent}}}
        )
        print_reply(reply, f"{contract}/{release} is phased in to {percent} %", as_json)


def report_metric(
    contract: ContractArgument,
    release: ReleaseArgument,
    metrics: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="What was measured; repeatable.")],
    count: Annotated[int, typer.Option(min=1, help="Observations behind each value.")] = 1,
    replace: Annotated[bool, typer.Option("--replace", help="Forget what was reported of these metrics.")] = False,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Report how well a release does, for policies and routers that go by it.

    Example: forestflow report-metric samples/energy/0 v2 auc=0.93 --count 50
    """
    try:
        pairs = [pair(text, "metric") for text in metrics]
        listed: list[Json] = [
            {"name": name, "value": number(value, f"metric {name}"), "count": count} for name, value in pairs
        ]
    except ValueError as wrong:
        fail(Exit.USAGE, str(wrong), "see `forestflow report-metric --help`")
    with connected(server) as client:
        reply = client.report_metrics(contract, release, listed, replace=replace)
        print_reply(reply, f"reported {', '.join(metrics)} of {contract}/{release}", as_json)


def rollback(
    contract: ContractArgument,
    seq: Annotated[int, typer.Option("--to", metavar="SEQ", help="Entry of `forestflow history` to go back to.")],
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Go back to the settings that a contract and its releases had after an entry of its history.

    Clocks, counts and metrics go on; releases deleted since do not come back.

    Example: forestflow rollback samples/energy/0 --to 12
    """
    with connected(server) as client:
        rolled = client.rollback(contract, seq)
        print_reply(
            {"ContractUpdatedSuccessfully": {"contract": rolled}}, f"{contract} is as after entry {seq}", as_json
        )
