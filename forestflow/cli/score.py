"""The score command: rows from a file, from stdin or from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
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


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(score)


def score(
    contract: ContractArgument,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE.json]",
            help="A BASIC request, a list of row objects, or an object of columns; - reads stdin.",
        ),
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE[,NAME=VALUE…]",
            help='A field, or several. Repeatable; a name seen again begins the next row. "5" in quotes is text.',
        ),
    ] = None,
    config: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A config of the request. Repeatable.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Deadline that the server keeps.")] = None,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Score rows and print what the model says. `forestflow metadata` names its fields.

    Examples: forestflow score samples/energy/0 rows.json;
    forestflow score samples/energy/0 --row TemperatureCelcius=33.2 --row RelativeHumidity=30 --json;
    cat request.json | forestflow score samples/energy/0 -
    """
    from forestflow.sdk.basic import basic_request

    try:
        configs = dict(_pair(text) for text in config or ())
        request = basic_request(rows_of_flags(row)) if row else _read(file)
        if configs:
            request = {**request, "configs": {**request.get("configs", {}), **configs}}
    except ValueError as wrong:
        fail(Exit.USAGE, str(wrong), "see `forestflow score --help`")
    with connected(server) as client:
        answer = client.score_request(contract, request, timeout=timeout)
        if answer.unknown_fields:
            names = printable(", ".join(answer.unknown_fields))
            typer.echo(f"fields that the model does not have were left out: {names}", err=True)
        if as_json:
            print_json(answer.raw)
            return
        columns = list(answer.rows[0]) if answer.rows else []
        print_table(columns, [list(values.values()) for values in answer.rows], empty="no rows")
        typer.echo(f"answered by {answer.release}", err=True)


def rows_of_flags(texts: list[str]) -> list[Json]:
    """``--row`` flags as rows. Raises ValueError."""
    rows: list[Json] = [{}]
    for text in texts:
        for pair in _split(text):
            name, value = _pair(pair)
            if name in rows[-1]:
                rows.append({})
            rows[-1][name] = _value(value)
    return rows


def _read(file: str | None) -> Json:
    from forestflow.sdk.basic import basic_request, rows_of

    if file is None:
        if sys.stdin.isatty():
            raise ValueError("nothing to score: give a FILE.json, - for stdin, or --row NAME=VALUE")
        file = "-"
    try:
        content = json.loads(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as missing:
        raise ValueError(f"cannot read {file}: {missing.strerror}") from None
    except ValueError as bad:
        raise ValueError(f"{file} is not JSON: {bad}") from None
    if isinstance(content, dict) and "datum" in content:
        return content
    if isinstance(content, dict) and content and all(isinstance(values, list) for values in content.values()):
        return basic_request(rows_of(content))
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise ValueError(f"{file} holds neither a request nor rows nor columns")
    return basic_request(content)


def _split(text: str) -> list[str]:
    """At commas that begin another NAME=; others belong to a value."""
    pairs: list[str] = []
    for part in text.split(","):
        if "=" in part or not pairs:
            pairs.append(part)
        else:
            pairs[-1] += "," + part
    return pairs


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"{text!r} is not NAME=VALUE")
    return name, value


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (bool, int, float, str, list)) else text
