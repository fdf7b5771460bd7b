"""What every command that talks to a server shares: where it is, how to print, and what an error costs."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from forestflow.sdk import Client

DEFAULT_URL = "http://127.0.0.1:8090"


class Exit(enum.IntEnum):
    """Exit codes, as promised by ``forestflow --help``."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    SERVER_FAILED = 4
    INTERRUPTED = 130


Server = Annotated[
    str, typer.Option("--server", envvar="FORESTFLOW_URL", metavar="URL", help="Where the server answers.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the server's JSON instead of a table.")]
ContractArgument = Annotated[str, typer.Argument(metavar="CONTRACT", help="organization/project/number")]
ReleaseArgument = Annotated[str, typer.Argument(metavar="RELEASE", help="The release version.")]
OptionalRelease = Annotated[
    str | None, typer.Argument(metavar="[RELEASE]", help="The release version; all of the contract without it.")
]


@contextmanager
def connected(url: str) -> Iterator[Client]:
    """A client of the server at ``url``; its errors end the command with a hint and their exit code."""
    from forestflow.sdk import Client, RequestRefused, ServerUnreachable

    if "://" not in url:
        url = "http://" + url
    try:
        with Client(url) as client:
            yield client
    except RequestRefused as refused:
        # 501: the model has no such output, which is no failure of the server
        failed = refused.status >= 500 and refused.status != 501
        code = Exit.SERVER_FAILED if failed else Exit.REFUSED
        where = f" (request id {refused.request_id}, in the server's log)" if failed else ""
        fail(code, f"{refused.message}{where}", _next_step(refused.status, refused.code))
    except ServerUnreachable as unreachable:
        fail(
            Exit.UNREACHABLE,
            f"no server answers at {unreachable.url}: {unreachable.message}",
            "start one with `forestflow serve`, or name another with --server URL or FORESTFLOW_URL",
        )
    except ValueError as wrong:
        fail(Exit.USAGE, str(wrong))
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def fail(code: Exit, message: str, next_step: str | None = None) -> NoReturn:
    """Say what went wrong and what to do about it, on stderr, and end the command."""
    typer.echo(f"forestflow: {printable(message)}", err=True)
    if next_step:
        typer.echo(f"  {next_step}", err=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """A value as JSON on stdout: indented on a terminal, one line for programs."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def print_reply(reply: Any, words: str, as_json: bool) -> None:
    """What a command has done, in words or as the server said it."""
    if as_json:
        print_json(reply)
    else:
        typer.echo(words)


def print_warnings(metadata: Sequence[dict[str, Any]]) -> None:
    """What the models say that they take and do not use, on stderr."""
    for entry in metadata:
        for warning in entry.get("warnings", ()):
            typer.echo(f"{printable(entry['fqrv']['releaseVersion'])}: {printable(warning)}", err=True)


def printable(text: str) -> str:
    """Text of the server without characters that would steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _next_step(status: int, code: str) -> str | None:
    if code in ("UnknownContract", "UnknownServable", "NoActiveServablesForContract"):
        return "`forestflow contracts` and `forestflow status` show what there is"
    if code == "ServableAlreadyExistsError":
        return "deploy under another --release, or remove it first with `forestflow delete`"
    if code == "CreateServableRequestInvalidError":
        return "nothing was left behind: correct it and deploy again"
    if status in (429, 503):
        return "try again in a moment"
    if status == 507:
        return "nothing was changed; free space in the server's data directory and try again"
    return None
