"""Puts the commands together."""

from __future__ import annotations

from typing import Annotated

import typer

from forestflow.cli import change, operate, plan, replicas, rollout, score, simulate, update, versions, view

HELP = """Serve models under policies: deploy releases, split traffic among them, score, and see what happens.

Start with `forestflow serve`. Then, in another terminal:

forestflow deploy samples/energy/0 --release v1 --mojo forestflow/examples/models/energy_gbm_v1.zip

forestflow metadata samples/energy/0

forestflow score samples/energy/0 --row TemperatureCelcius=33.2,ExhaustVacuumHg=60.5,RelativeHumidity=30.0

forestflow stats samples/energy/0

Exit codes: 0 done; 1 refused by the server (4xx); 2 wrong usage or settings; 3 no server answers;
4 the server failed (5xx), cannot start or is not ready; 130 interrupted.
"""

app = typer.Typer(
    name="forestflow",
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        try:
            version = metadata.version("forestflow")
        except metadata.PackageNotFoundError:
            version = "(not installed as a package)"
        typer.echo(f"forestflow {version}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


for group in (operate, change, update, rollout, score, view, replicas, plan, simulate, versions):
    group.register(app)
