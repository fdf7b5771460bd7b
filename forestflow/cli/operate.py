"""Commands of whoever runs the server: serve and config. Their flags are the settings, one each."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from forestflow.cli.session import Exit, fail, print_json
from forestflow.cli.tables import print_table
from forestflow.cluster import supervisor
from forestflow.settings.config import ConfigError, Settings, default_of, flag_of, load

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file of settings; without it ./forestflow.toml, if present."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(with_settings(serve))
    app.command()(with_settings(config))


def serve(flags: Mapping[str, Any], config: ConfigFile = None) -> None:
    """Run the server until Ctrl-C or SIGTERM.

    Flags win over FORESTFLOW_* variables, these over the TOML file. Exit code 2 for settings that cannot be, 4 when
    the server cannot start; 0 when a signal has stopped it.

    Example: forestflow serve --data-dir /var/lib/forestflow --http 127.0.0.1:8090
    """
    supervisor.block()  # before an import starts a thread
    settings = _load(flags, config)
    from importlib import import_module

    serving = import_module("forestflow.cluster.serve")
    try:
        serving.run(settings)
    except serving.CannotServe as cannot:
        fail(Exit.SERVER_FAILED, str(cannot))


def config(
    flags: Mapping[str, Any],
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """The settings that `forestflow serve` with the same flags would run with, and where each comes from.

    Example: FORESTFLOW_ROUTERS=2 forestflow config
    """
    rows = _load(flags, config).describe()
    if as_json:
        fields = ("name", "value", "origin", "default", "valid", "flag", "env", "description")
        print_json([{field: getattr(row, field) for field in fields} for row in rows])
        return
    cells = [[row.name, row.value, row.origin, row.default, row.valid, row.description] for row in rows]
    print_table(["SETTING", "VALUE", "FROM", "DEFAULT", "RANGE", "MEANING"], cells, empty="")


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter ``flags`` of a command by one option per setting."""

    @functools.wraps(command)
    def run(**given: Any) -> None:
        flags = {name: given.pop(name) for name in Settings.model_fields}
        command(flags, **given)

    parameters = [_option(name) for name in Settings.model_fields]
    hints = inspect.signature(command, eval_str=True)
    parameters += [p.replace(kind=p.KEYWORD_ONLY) for p in hints.parameters.values() if p.name != "flags"]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    del run.__wrapped__
    return run


def _option(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    shown = default_of(name)
    help_text = f"{field.description} Default: {shown}." if shown else field.description
    is_switch = field.annotation is bool
    option = typer.Option(
        f"{flag_of(name)}/--no-{name.replace('_', '-')}" if is_switch else flag_of(name),
        metavar=None if is_switch else "VALUE",
        help=help_text,
        show_default=False,
    )
    kind = bool if is_switch else str
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _load(flags: Mapping[str, Any], config: Path | None) -> Settings:
    try:
        return load(flags, config)
    except ConfigError as wrong:
        fail(Exit.USAGE, str(wrong), "`forestflow config` shows every setting and where it comes from")
