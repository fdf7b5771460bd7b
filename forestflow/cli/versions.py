"""The command that looks at version directories, and says which of their versions are served."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from forestflow.cli.session import (
    DEFAULT_URL,
    AsJson,
    ContractArgument,
    Exit,
    Server,
    connected,
    fail,
    print_json,
    printable,
)
from forestflow.cli.tables import print_table

Json = dict[str, Any]

VERSIONS_FORMS = "latest, latest:COUNT, all or NUMBER,NUMBER,…"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(versions)


def version_policy(text: str) -> Json:
    """Which versions to serve, from the short form."""
    kind, _, value = text.partition(":")
    if text == "latest":
        return {"latest": {}}
    if kind == "latest" and _is_number(value):
        return {"latest": {"count": int(value)}}
    if text == "all":
        return {"all": {}}
    numbers = [number.strip() for number in text.split(",")]
    if all(map(_is_number, numbers)):
        return {"specific": {"versions": numbers}}
    raise ValueError(f"--versions {text!r} is none of {VERSIONS_FORMS}")


def versions(
    contract: ContractArgument,
    serve: Annotated[
        str | None, typer.Option(metavar="VERSIONS", help=f"Serve these from now on: {VERSIONS_FORMS}.")
    ] = None,
    poll_seconds: Annotated[
        float | None, typer.Option(min=0, help="With --serve: seconds between two looks at the directory; 0: one.")
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="Look for no more versions; the releases stay.")] = False,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Where each version in the base directory of a contract stands; which of them are served.

    `forestflow deploy --versions` gives a contract a base directory.

    Examples: forestflow versions samples/mnist/0; forestflow versions samples/mnist/0 --serve latest:2
    """
    if (poll_seconds is not None and serve is None) or (end and serve is not None):
        fail(Exit.USAGE, "--poll-seconds goes with --serve, and --end goes alone", "see `forestflow versions --help`")
    with connected(server) as client:
        if end:
            ended = client.unwatch_versions(contract)
            if as_json:
                print_json({"ContractUpdatedSuccessfully": {"contract": ended}})
            else:
                typer.echo(f"{contract} looks for no more versions")
        elif serve is not None:
            print_versions(client.update_versions(contract, version_policy(serve), poll_seconds=poll_seconds), as_json)
        else:
            print_versions(client.versions(contract), as_json)


def print_versions(status: Json, as_json: bool) -> None:
    """A VersionsStatus as the table of its versions, with what is wrong with their directory on stderr."""
    if as_json:
        print_json({"VersionsStatus": status})
        return
    rows = [[v["version"], v["state"], v.get("message")] for v in status.get("versions", [])]
    print_table(["VERSION", "STATE", "MESSAGE"], rows, empty=f"no versions in {status['path']}", right=["VERSION"])
    if "message" in status:
        typer.echo(f"forestflow: {printable(status['message'])}", err=True)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
