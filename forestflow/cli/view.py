"""Commands that look and change nothing: contracts, list, status, metadata, stats, settings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forestflow.cli.session import (
    DEFAULT_URL,
    AsJson,
    ContractArgument,
    Exit,
    OptionalRelease,
    Server,
    connected,
    fail,
    print_json,
    print_warnings,
)
from forestflow.cli.tables import print_table, time_of

if TYPE_CHECKING:
    from forestflow.sdk import Client

Json = dict[str, Any]

READY_POLL_SECONDS = 0.2

OptionalContract = Annotated[
    str | None, typer.Argument(metavar="[CONTRACT]", help="organization/project/number; all contracts without it.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(contracts)
    app.command("list")(list_releases)
    app.command()(status)
    app.command()(metadata)
    app.command()(stats)
    app.command()(settings)


def contracts(server: Server = DEFAULT_URL, as_json: AsJson = False) -> None:
    """All contracts of the server.

    Example: forestflow contracts --json
    """
    with connected(server) as client:
        found = client.contracts()
        if as_json:
            print_json({"Contracts": {"contracts": found}})
            return
        print_table(["CONTRACT"], [[_contract(c)] for c in found], empty="no contracts")


def list_releases(contract: OptionalContract = None, server: Server = DEFAULT_URL, as_json: AsJson = False) -> None:
    """The releases of a contract, or of all contracts.

    Example: forestflow list samples/energy/0
    """
    with connected(server) as client:
        if as_json:
            names = [contract] if contract else [_contract(c) for c in client.contracts()]
            print_json([{"FQRV": fqrv} for name in names for fqrv in client.releases(name)])
            return
        rows = [_status_row(s) for s in _statuses(client, contract)]
        print_table(["CONTRACT", "RELEASE", "STATE"], [row[:3] for row in rows], empty="no releases")


def status(
    contract: OptionalContract = None,
    release: OptionalRelease = None,
    wait: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="Wait this long for the server to be ready.")
    ] = None,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Whether the server is ready, and where each release stands, those loading or failed among them.

    Exit code 4 when the server answers but is not ready; with --wait, 3 or 4 when the time is over.

    Examples: forestflow status --wait 30; forestflow status samples/energy/0 v1
    """
    deadline = time.monotonic() + (wait or 0.0)
    with connected(server) as client:
        ready = client.ready()
        while not ready and time.monotonic() < deadline:
            time.sleep(READY_POLL_SECONDS)
            ready = client.ready()
        found = [client.status_of(contract, release)] if contract and release else _statuses(client, contract)
        if as_json:
            print_json([{"ServableStatus": entry} for entry in found])
        else:
            columns = ["CONTRACT", "RELEASE", "STATE", "REPLICAS", "MESSAGE"]
            print_table(columns, map(_status_row, found), empty="no releases", right=["REPLICAS"])
        if not ready:
            fail(Exit.SERVER_FAILED, "the server is not ready", "releases that are LOADING or FAILED are the reason")


def metadata(
    contract: ContractArgument, release: OptionalRelease = None, server: Server = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """What the releases of a contract take and give.

    Example: forestflow metadata samples/energy/0 v1
    """
    with connected(server) as client:
        found = [client.metadata_of(contract, release)] if release else client.metadata(contract)
        if as_json:
            wrapped = [{"BasicMetaData": entry} for entry in found]
            print_json(wrapped[0] if release else wrapped)
            return
        rows = [
            [_release(entry), direction, io.get("name"), io.get("type"), _shape(io), io.get("description")]
            for entry in found
            for direction, key in (("in", "inputs"), ("out", "outputs"))
            for io in entry.get(key, [])
        ]
        columns = ["RELEASE", "", "NAME", "TYPE", "SHAPE", "DESCRIPTION"]
        print_table(columns, rows, empty="no release is loaded")
        print_warnings(found)


def stats(contract: ContractArgument, server: Server = DEFAULT_URL, as_json: AsJson = False) -> None:
    """What the releases of a contract have done.

    Example: forestflow stats samples/energy/0 --json
    """
    with connected(server) as client:
        found = client.stats(contract)
        if as_json:
            print_json([{"ServableMetrics": entry} for entry in found])
            return
        rows = [
            [
                _release(entry),
                int(entry.get("scoreCount", 0)),
                int(entry.get("shadeCount", 0)),
                int(entry.get("shadowDropCount", 0)),
                int(entry.get("unscoredCount", 0)),
                int(entry.get("refusedCount", 0)),
                f"{entry.get('currentPhaseInPct', 0)} %",
                time_of(entry.get("createdAtMS")),
                time_of(entry.get("becameValidAtMS")),
                ", ".join(f"{name} {value}" for name, value in entry.get("performanceMetrics", {}).items()),
            ]
            for entry in found
        ]
        numbers = ["SCORED", "SHADED", "DROPPED", "UNSCORED", "REFUSED", "PHASED IN"]
        columns = ["RELEASE", *numbers, "CREATED", "VALID SINCE", "METRICS"]
        print_table(columns, rows, empty="no releases", right=numbers)


def settings(contract: ContractArgument, release: OptionalRelease = None, server: Server = DEFAULT_URL) -> None:
    """The settings of a contract, or of one of its releases, as JSON.

    Example: forestflow settings samples/energy/0
    """
    with connected(server) as client:
        if release:
            print_json({"ServableSettings": client.settings_of(contract, release)})
        else:
            print_json({"ContractSettings": client.contract_settings(contract)})


def _statuses(client: Client, contract: str | None) -> list[Json]:
    names = [contract] if contract else [_contract(c) for c in client.contracts()]
    return [entry for name in names for entry in client.status(name)]


def _status_row(entry: Json) -> list[Any]:
    replicas = entry.get("replicas", [])
    up = f"{replicas.count('READY')}/{entry.get('desiredReplicas', 0)}"
    return [_contract(entry["fqrv"]["contract"]), _release(entry), entry["state"], up, entry.get("message")]


def _contract(contract: Json) -> str:
    return f"{contract['organization']}/{contract['project']}/{contract.get('contractNumber', 0)}"


def _release(entry: Json) -> str:
    return str(entry["fqrv"]["releaseVersion"])


def _shape(io: Json) -> str:
    return "(" + ", ".join("any" if size == "-1" else str(size) for size in io.get("shape", [])) + ")"
