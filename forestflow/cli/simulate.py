"""The command that tries settings out: the timeline of shares that they would give, drawn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from forestflow.cli.session import DEFAULT_URL, AsJson, ContractArgument, Exit, Server, connected, fail, print_json
from forestflow.cli.settings_file import pair, read_settings, seconds

Json = dict[str, Any]

PIPED_WIDTH = 80


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(simulate)


def simulate(
    contract: ContractArgument,
    contract_settings: Annotated[
        str | None, typer.Option(metavar="FILE", help="ContractSettings to try; without it, those in force.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(metavar="RELEASE=FILE", help="PolicySettings to try for a release. Repeatable."),
    ] = None,
    horizon: Annotated[str, typer.Option(metavar="TIME", help="How far to look: 90s, 15m, 1.5h, 2d.")] = "1h",
    rate: Annotated[float, typer.Option(min=0, help="Requests per second of users.")] = 0.0,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw a PNG too.")] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw an SVG too.")] = None,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """What settings would do from now on, as a chart of the releases' shares. Nothing is changed.

    Examples: forestflow simulate samples/energy/0 --horizon 1h;
    forestflow simulate samples/energy/0 --policy v2=policy.json --rate 10 --png plan.png
    """
    from forestflow.cli.figure import can_draw, save
    from forestflow.cli.timeline import span, timeline_of

    try:
        settings = read_settings(contract_settings, "ContractSettings") if contract_settings else None
        named = [pair(text, "--policy") for text in policy or ()]
        policies = {release: read_settings(file, "PolicySettings") for release, file in named}
        horizon_secs = seconds(horizon)
        if horizon_secs < 1:
            raise ValueError(f"--horizon {horizon!r} is under one second")
    except ValueError as wrong:
        fail(Exit.USAGE, str(wrong), "see `forestflow simulate --help`")
    if (png or svg) and not can_draw():
        fail(Exit.USAGE, "--png and --svg need matplotlib", "install it with: pip install 'forestflow[charts]'")
    with connected(server) as client:
        found = client.simulate(
            contract,
            contract_settings=settings,
            policies=policies,
            horizon_secs=horizon_secs,
            events_per_second=rate,
        )
    timeline = timeline_of(found, horizon_secs)
    title = f"{contract}: shares over {span(horizon_secs * 1000)}"
    for file, kind in ((png, "png"), (svg, "svg")):
        if file is not None:
            try:
                save(timeline, title, file, kind)
            except OSError as failed:
                fail(Exit.USAGE, f"cannot write {file}: {failed.strerror}")
    if as_json:
        print_json({"Simulation": found})
        return
    from rich.console import Console

    from forestflow.cli.chart import draw

    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    colour = sys.stdout.isatty() and console.color_system is not None and not console.no_color
    typer.echo(title + "\n")
    console.print(draw(timeline, console.width, colour=colour))
    if timeline.happens:
        typer.echo("")
    for at_ms, words in timeline.happens:
        typer.echo(f"      +{span(at_ms - timeline.start_ms)} {words}")
    for file in (png, svg):
        if file is not None:
            typer.echo(f"wrote {file}", err=True)
