"""Commands that create a contract, or change the settings of one or of a release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from forestflow.cli import contract_flags as flags
from forestflow.cli.forms import PHASE_IN_FORMS, VALIDITY_FORMS, phase_in, validity
from forestflow.cli.payload import ShadowFlags, logging_settings
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
from forestflow.cli.settings_file import read_settings

if TYPE_CHECKING:
    from forestflow.sdk import Client

Json = dict[str, Any]

SettingsFile = Annotated[
    str | None,
    typer.Argument(
        metavar="[FILE]", help="ContractSettings as JSON, as `forestflow settings` prints; - reads stdin. Or flags."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("create-contract")(create_contract)
    app.command("update-contract")(update_contract)
    app.command("update-policy")(update_policy)
    app.command("update-logging")(update_logging)
    app.command("update-shadow")(update_shadow)


def create_contract(
    contract: ContractArgument,
    file: SettingsFile = None,
    keep: flags.Keep = None,
    expiration: flags.Expiration = None,
    router: flags.Router = None,
    routing: flags.Routing = None,
    metric: flags.Metric = None,
    metric_window: flags.MetricWindow = None,
    metric_alpha: flags.MetricAlpha = None,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Create a contract with settings of its own, before the first deploy.

    Examples: forestflow create-contract samples/energy/0 contract.json;
    forestflow create-contract samples/energy/0 --expiration top:3:auc --router performance:auc
    """
    given = flags.ContractFlags(
        keep=keep,
        expiration=expiration,
        router=router,
        routing=routing,
        metric=metric,
        metric_window=metric_window,
        metric_alpha=metric_alpha,
    )
    with connected(server) as client:
        base = read_settings(file, "ContractSettings") if file else None
        reply = client.create_contract(contract, flags.contract_settings(given, base))
        print_reply(reply, f"created {contract}", as_json)


def update_contract(
    contract: ContractArgument,
    file: SettingsFile = None,
    keep: flags.Keep = None,
    expiration: flags.Expiration = None,
    router: flags.Router = None,
    routing: flags.Routing = None,
    metric: flags.Metric = None,
    metric_window: flags.MetricWindow = None,
    metric_alpha: flags.MetricAlpha = None,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Replace the settings of a contract by those of a file, or change those that flags name.

    Examples: forestflow update-contract samples/energy/0 contract.json;
    forestflow update-contract samples/energy/0 --router sticky:user --routing record
    """
    given = flags.ContractFlags(
        keep=keep,
        expiration=expiration,
        router=router,
        routing=routing,
        metric=metric,
        metric_window=metric_window,
        metric_alpha=metric_alpha,
    )
    _check(bool(file) or given.any, "a FILE or what to change", "update-contract")
    with connected(server) as client:
        base = read_settings(file, "ContractSettings") if file else client.contract_settings(contract)
        reply = client.update_contract(contract, flags.contract_settings(given, base))
        print_reply(reply, f"updated {contract}", as_json)


def update_policy(
    contract: ContractArgument,
    release: ReleaseArgument,
    validity_rules: Annotated[
        list[str] | None,
        typer.Option("--validity", metavar="RULE", help=f"In place of all its rules: {VALIDITY_FORMS}. Repeatable."),
    ] = None,
    phase: Annotated[
        str | None, typer.Option("--phase-in", metavar="POLICY", help=f"In place of its phase-in: {PHASE_IN_FORMS}.")
    ] = None,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Change when a release may answer users, or how fast it gets its share. Clocks and counts go on.

    Example: forestflow update-policy samples/energy/0 v2 --phase-in steps:0=5,3600=100
    """
    changes: Json = {}
    with connected(server) as client:
        if validity_rules:
            changes["validityPolicy"] = [validity(text) for text in validity_rules]
        if phase is not None:
            changes["phaseInPolicy"] = phase_in(phase)
        _check(bool(changes), "--validity or --phase-in", "update-policy")
        reply = client.update_policy(contract, release, {**_of(client, contract, release, "policySettings"), **changes})
        print_reply(reply, f"updated {contract}/{release}", as_json)


def update_logging(
    contract: ContractArgument,
    release: ReleaseArgument,
    log_level: Annotated[str | None, typer.Option(metavar="NONE|FULL|SAMPLE", help="Which predictions to log.")] = None,
    key_feature: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Request config in the key, in place of all there are. Repeatable."),
    ] = None,
    key_separator: Annotated[str | None, typer.Option(metavar="TEXT", help="Between the parts of the key.")] = None,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Change which predictions of a release are logged, and under which key.

    Example: forestflow update-logging samples/energy/0 v2 --log-level none
    """
    changes = logging_settings(log_level, key_feature or (), key_separator)
    _check(bool(changes), "--log-level, --key-feature or --key-separator", "update-logging")
    with connected(server) as client:
        before = {"logLevel": "NONE", **_of(client, contract, release, "loggingSettings")}
        reply = client.update_logging(contract, release, {**before, **changes})
        print_reply(reply, f"updated {contract}/{release}", as_json)


def update_shadow(
    contract: ContractArgument,
    release: ReleaseArgument,
    shadow: Annotated[bool | None, typer.Option(help="Whether it shadows while others answer.")] = None,
    percent: Annotated[
        int | None, typer.Option("--shadow-percent", min=0, max=100, help="How many of the requests it shadows.")
    ] = None,
    backlog: Annotated[
        int | None, typer.Option("--shadow-backlog", min=0, help="Shadows that may wait in a replica.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="First forget what was set: all requests, when predictions are logged.")
    ] = False,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Change whether and how much a release shadows. Its replicas follow at once, with the model they have.

    Example: forestflow update-shadow samples/energy/0 dark --shadow-percent 10 --shadow-backlog 64
    """
    changes = ShadowFlags(enabled=shadow, percent=percent, backlog=backlog).settings()
    _check(bool(changes) or reset, "--[no-]shadow, --shadow-percent, --shadow-backlog or --reset", "update-shadow")
    with connected(server) as client:
        before = {} if reset else _of(client, contract, release, "shadow")
        reply = client.update_shadow(contract, release, {**before, **changes})
        print_reply(reply, f"updated {contract}/{release}", as_json)


def _of(client: Client, contract: str, release: str, part: str) -> Json:
    """A part of the settings of a release as they are."""
    return dict(client.settings_of(contract, release).get(part, {}))


def _check(says_something: bool, what: str, command: str) -> None:
    if not says_something:
        fail(Exit.USAGE, f"give {what}", f"see `forestflow {command} --help`")
