"""Commands that look into the replicas of a release: replicas, logs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from forestflow.cli.session import (
    DEFAULT_URL,
    AsJson,
    ContractArgument,
    ReleaseArgument,
    Server,
    connected,
    print_json,
    printable,
)
from forestflow.cli.tables import print_table


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(replicas)
    app.command()(logs)


def replicas(
    contract: ContractArgument, release: ReleaseArgument, server: Server = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """What each replica of a release does, and how its requests were merged.

    BATCHES counts the calls of the model for users by their number of rows.

    Example: forestflow replicas samples/energy/0 v1
    """
    with connected(server) as client:
        found = client.replicas(contract, release)
        if as_json:
            print_json([{"ReplicaStatus": entry} for entry in found])
            return
        rows = [
            [
                entry["replica"],
                entry["state"],
                entry.get("pid"),
                entry.get("queued"),
                entry.get("shadowBacklog"),
                ", ".join(map(_batch_size, entry.get("batchSizes", []))),
                entry.get("message"),
            ]
            for entry in found
        ]
        columns = ["REPLICA", "STATE", "PID", "QUEUED", "SHADOWS", "BATCHES", "MESSAGE"]
        print_table(columns, rows, empty="no replicas", right=["PID", "QUEUED", "SHADOWS"])


def logs(
    contract: ContractArgument,
    release: ReleaseArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written, until Ctrl-C.")] = False,
    tail: Annotated[
        int, typer.Option("--tail", "-n", min=0, help="How many lines of each replica, from the end.")
    ] = 200,
    server: Server = DEFAULT_URL,
) -> None:
    """What a release's replicas write: their standard output and error, and tracebacks.

    Example: forestflow logs -f samples/energy/0 v1
    """
    with connected(server) as client:
        for part in client.logs(contract, release, tail=tail, follow=follow):
            typer.echo(printable(part.replace("\t", "    ")), nl=False)


def _batch_size(entry: dict[str, Any]) -> str:
    least, most = entry["minRows"], entry["maxRows"]
    rows = f"{least} row" if least == most else f"{least}-{most} rows"
    return f"{rows}: {entry['calls']}"
