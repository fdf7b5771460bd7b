"""Commands that show the plan of a contract: now and why, and how it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from forestflow.cli.session import DEFAULT_URL, AsJson, ContractArgument, Server, connected, print_json, printable
from forestflow.cli.settings_file import instant
from forestflow.cli.tables import print_table, time_of

Json = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(plan)
    app.command()(history)


def plan(contract: ContractArgument, server: Server = DEFAULT_URL, as_json: AsJson = False) -> None:
    """What each release of a contract gets now, and why, rule by rule.

    Example: forestflow plan samples/energy/0
    """
    with connected(server) as client:
        found = client.plan(contract)
    if as_json:
        print_json({"PlanExplanation": found})
    else:
        print_plan(found)


def history(
    contract: ContractArgument,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The plan at that time: local, RFC 3339, or milliseconds since 1970."),
    ] = None,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """What happened to a contract, also to one that is gone; or with --at, which release answered then, and why.

    Examples: forestflow history samples/energy/0; forestflow history samples/energy/0 --at "2026-11-21 14:05:00"
    """
    with connected(server) as client:
        if at is not None:
            past = client.plan_at(contract, instant(at))
            if as_json:
                print_json({"PlanAt": past})
                return
            print_plan(past["plan"])
            typer.echo("\nsince this event:")
            _print_entries([past["cause"]])
            return
        found = client.history(contract)
    if as_json:
        print_json({"History": found})
    else:
        _print_entries(found["entries"])


def print_plan(found: Json) -> None:
    """A PlanExplanation as a table, then the rules of each release."""
    releases = found.get("releases", [])
    rows = [
        [
            _name(release),
            f"{100 * release['share']:.1f} %",
            release["weight"],
            f"{release['phaseInPct']} %",
            "yes" if release["shadows"] else "",
            time_of(release.get("becameValidAtMS")),
            time_of(release.get("changesAtMS")),
        ]
        for release in releases
    ]
    columns = ["RELEASE", "SHARE", "WEIGHT", "PHASED IN", "SHADOWS", "VALID SINCE", "CHANGES"]
    print_table(columns, rows, empty="no releases", right=["SHARE", "WEIGHT", "PHASED IN"])
    for release in releases:
        typer.echo(f"\n{printable(_name(release))}: {printable(release['reason'])}")
        for rule in release.get("rules", []):
            then = f", until {time_of(rule['changesAtMS'])}" if "changesAtMS" in rule else ""
            mark = "holds" if rule["holds"] else "does not hold"
            typer.echo(f"  {rule['rule']} {mark}: {printable(rule['detail'])}{then}")
    if found.get("expiring"):
        names = ", ".join(fqrv["releaseVersion"] for fqrv in found["expiring"])
        typer.echo(f"\nto expire as soon as a release that stays can answer: {printable(names)}")


def _print_entries(entries: Sequence[Json]) -> None:
    rows = [
        [int(entry["seq"]), time_of(entry["atMS"]), entry["kind"], entry.get("release"), words_of(entry)]
        for entry in entries
    ]
    print_table(["SEQ", "TIME", "EVENT", "RELEASE", "DETAIL"], rows, empty="no events", right=["SEQ"])


def words_of(entry: Json) -> str:
    """The detail of an event in a few words; nothing for kinds that this version does not know."""
    detail = entry["detail"]
    match entry["kind"]:
        case "ContractSet":
            return _settings(detail["contractSettings"])
        case "ServableDeployed":
            return _policies(detail["serveRequest"].get("servableSettings", {}))
        case "ServableUpdated":
            return _policies(detail["servableSettings"])
        case "ServableBecameValid":
            return ""
        case "MetricReported":
            values = ", ".join(f"{sample['value']:g}" for sample in detail["samples"])
            return f"{detail['name']} {'is' if detail['replace'] else 'adds'} {values}"
        case "ServablesDeleted":
            names = ", ".join(fqrv["releaseVersion"] for fqrv in detail["fqrv"])
            return names + (" and the contract" if detail["contract"] else "")
        case _:
            return ""


def _settings(settings: Json) -> str:
    words = [_shim(settings["router"]), _shim(settings["expirationPolicy"])]
    return ", ".join(words + [f"{name} {settings[name]}" for name in ("routing",) if name in settings])


def _policies(settings: Json) -> str:
    policy = settings.get("policySettings", {})
    shims = [*policy.get("validityPolicy", []), policy.get("phaseInPolicy", {})]
    return ", ".join(_shim(shim) for shim in shims if shim)


def _shim(shim: Json) -> str:
    """``{"KeepLatest": {"servablesToKeep": 2}}`` as ``KeepLatest(2)``."""
    [(name, arguments)] = shim.items()
    listed = ", ".join(
        " ".join(f"{step['afterSecs']}:{step['percent']}" for step in value) if isinstance(value, list) else str(value)
        for value in arguments.values()
    )
    return f"{name}({listed})" if listed else str(name)


def _name(release: Json) -> str:
    return str(release["fqrv"]["releaseVersion"])
