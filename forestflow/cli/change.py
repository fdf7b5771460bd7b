"""Commands that change what is served: deploy and delete."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forestflow.cli import contract_flags as contract
from forestflow.cli.forms import PHASE_IN_FORMS, VALIDITY_FORMS
from forestflow.cli.payload import DeployFlags, ShadowFlags, payload_of
from forestflow.cli.session import (
    DEFAULT_URL,
    AsJson,
    ContractArgument,
    Exit,
    ReleaseArgument,
    Server,
    connected,
    fail,
    print_json,
    print_warnings,
    printable,
)
from forestflow.cli.versions import VERSIONS_FORMS, print_versions, version_policy

if TYPE_CHECKING:
    from forestflow.sdk import Client

Json = dict[str, Any]

POLL_SECONDS = 0.5
ANY_RELEASE = "versions"  # a deploy of versions names none; the server ignores it


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(deploy)
    app.command()(delete)


def deploy(
    target: Annotated[
        str,
        typer.Argument(
            metavar="CONTRACT|FILE.json",
            help="organization/project/number, or a payload; - reads stdin.",
        ),
    ],
    release: Annotated[str | None, typer.Option(help="Release version.")] = None,
    mojo: Annotated[
        str | None, typer.Option(metavar="FILE", help="H2O MOJO: a file of this machine, or relative to --path.")
    ] = None,
    tensorflow: Annotated[
        str | None, typer.Option(metavar="DIR|FILE", help="SavedModel directory or .keras file, likewise.")
    ] = None,
    onnx: Annotated[str | None, typer.Option(metavar="FILE", help="ONNX model, likewise.")] = None,
    mlflow: Annotated[
        str | None, typer.Option(metavar="DIR|URL", help="Folder with an MLmodel file, as MLflow writes it.")
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="SCRIPT", help="Script with a class; its whole directory comes along.")
    ] = None,
    path: Annotated[
        str | None, typer.Option(metavar="URL", help="Directory or URL that the model lies under, for the server.")
    ] = None,
    versions: Annotated[
        str | None,
        typer.Option(metavar="VERSIONS", help=f"--path has numbered directories; serve these: {VERSIONS_FORMS}."),
    ] = None,
    poll_seconds: Annotated[
        float | None, typer.Option(min=0, help="With --versions: seconds between two looks; default 2, 0: look once.")
    ] = None,
    signature: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --tensorflow: answers requests that name none.")
    ] = None,
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="With --python: the class; default Predict.")
    ] = None,
    requirement: Annotated[
        list[str] | None, typer.Option(metavar="PIP", help="With --python: a package, for this model. Repeatable.")
    ] = None,
    mlflow_flavor: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --mlflow: this flavor of the file, not the first known.")
    ] = None,
    replicas: Annotated[int | None, typer.Option(min=1, help="Loaded copies that share the load; default 1.")] = None,
    validity: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help=f"When it may answer users: {VALIDITY_FORMS}. Repeatable.")
    ] = None,
    phase_in: Annotated[
        str, typer.Option(metavar="POLICY", help=f"How fast it gets its share: {PHASE_IN_FORMS}.")
    ] = "immediate",
    log_level: Annotated[str | None, typer.Option(metavar="NONE|FULL|SAMPLE", help="Which predictions to log.")] = None,
    key_feature: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Request config in the key of the log. Repeatable."),
    ] = None,
    key_separator: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Between the parts of that key; default .")
    ] = None,
    shadow: Annotated[
        bool | None,
        typer.Option(help="Whether it shadows while others answer; without it, when its predictions are logged."),
    ] = None,
    shadow_percent: Annotated[
        int | None, typer.Option(min=0, max=100, help="How many of the requests it shadows; default 100.")
    ] = None,
    shadow_backlog: Annotated[
        int | None,
        typer.Option(min=0, help="Shadows that may wait in a replica; default 256. Over it the oldest goes."),
    ] = None,
    unknown_fields: Annotated[
        str | None,
        typer.Option(
            metavar="ignore|warn|refuse", help="Requests with fields that the model does not have; default warn."
        ),
    ] = None,
    cpu: Annotated[float | None, typer.Option(min=0, help="CPUs to reserve per replica.")] = None,
    gpu: Annotated[float | None, typer.Option(min=0, help="GPUs to reserve per replica.")] = None,
    memory_mb: Annotated[int | None, typer.Option(min=1, help="Memory to reserve per replica, in MB.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads that the model computes with.")] = None,
    max_queued: Annotated[int | None, typer.Option(min=1, help="Requests that may wait for one replica.")] = None,
    timeout_seconds: Annotated[float | None, typer.Option(help="Deadline of requests that give none.")] = None,
    merge_rows: Annotated[
        int | None, typer.Option(min=1, help="Rows of requests that may run as one batch; 1 merges nothing.")
    ] = None,
    merge_wait_ms: Annotated[
        float | None, typer.Option(min=0, help="Milliseconds that a request waits for others to run with.")
    ] = None,
    independent_rows: Annotated[
        str | None,
        typer.Option(
            metavar="auto|yes|no",
            help="Whether rows may run beside those of others, and in slices; default auto: where that was shown.",
        ),
    ] = None,
    keep: contract.Keep = None,
    expiration: contract.Expiration = None,
    router: contract.Router = None,
    routing: contract.Routing = None,
    metric: contract.Metric = None,
    metric_window: contract.MetricWindow = None,
    metric_alpha: contract.MetricAlpha = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="What the artifact must hash to, or it is refused.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A note. Repeatable.")] = None,
    show: Annotated[bool, typer.Option("--print", help="Print the payload and deploy nothing.")] = False,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Deploy a release, and wait until it answers.

    The settings of its contract may come along only while there is none; `forestflow update-contract` changes them.

    Examples: forestflow deploy payload.json;
    forestflow deploy samples/energy/0 --release v1 --mojo model.zip;
    forestflow deploy samples/iris/0 --release v1 --mlflow models/iris;
    forestflow deploy samples/mnist/0 --versions latest --path Models/mnist --tensorflow . ;
    forestflow deploy samples/energy/0 --release v2 --mojo new.zip --phase-in linear:600 --replicas 2;
    forestflow deploy samples/energy/0 --release v3 --mojo dark.zip --validity never --shadow --shadow-percent 10
    """
    try:
        models = [model for model in (mojo, tensorflow, onnx, mlflow, python) if model is not None]
        if release is None and not models and (target == "-" or target.endswith(".json") or Path(target).is_file()):
            payload = _read_payload(target)
        else:
            if (release is None) == (versions is None) or not models:
                raise ValueError(
                    "to deploy under a contract, give --release or --versions, and one of --mojo, --tensorflow, "
                    "--onnx, --mlflow and --python; or give a payload FILE.json"
                )
            if versions is not None and path is None:
                raise ValueError("--versions takes --path, the directory that holds the numbered ones")
            if versions is None and poll_seconds is not None:
                raise ValueError("--poll-seconds goes with --versions")
            flags = DeployFlags(
                release=release or ANY_RELEASE,
                mojo=mojo,
                tensorflow=tensorflow,
                onnx=onnx,
                mlflow=mlflow,
                python=python,
                path=path,
                signature=signature,
                class_name=class_name,
                requirements=tuple(requirement or ()),
                mlflow_flavor=mlflow_flavor,
                validity=validity or (),
                phase_in=phase_in,
                log_level=log_level,
                key_features=key_feature or (),
                key_separator=key_separator,
                replicas=replicas,
                cpu=cpu,
                gpu=gpu,
                memory_mb=memory_mb,
                threads=threads,
                max_queued=max_queued,
                timeout_seconds=timeout_seconds,
                merge_rows=merge_rows,
                merge_wait_ms=merge_wait_ms,
                independent_rows=independent_rows,
                shadow=ShadowFlags(enabled=shadow, percent=shadow_percent, backlog=shadow_backlog),
                unknown_fields=unknown_fields,
                contract=contract.ContractFlags(
                    keep=keep,
                    expiration=expiration,
                    router=router,
                    routing=routing,
                    metric=metric,
                    metric_window=metric_window,
                    metric_alpha=metric_alpha,
                ),
                sha256=sha256,
                tags=tag or (),
            )
            payload = {"fqrv": _fqrv(target, flags.release), **payload_of(flags)}
            if versions is not None:
                payload |= {"versions": version_policy(versions)}
            if poll_seconds is not None:
                payload |= {"pollSeconds": poll_seconds}
    except ValueError as wrong:
        fail(Exit.USAGE, str(wrong), "see `forestflow deploy --help`")
    if show:
        print_json(payload)
        return
    with connected(server) as client:
        started = time.monotonic()
        if "versions" in payload:
            print_versions(client.watch_versions(payload), as_json)
            return
        fqrv = _deploy_with_progress(client, payload)
        if as_json:
            print_json({"ServableCreatedSuccessfully": {"fqrv": fqrv}})
        else:
            typer.echo(f"deployed {_name(fqrv)} in {time.monotonic() - started:.1f} s")
            contract_of = _name(fqrv).rpartition("/")[0]
            print_warnings([client.metadata_of(contract_of, fqrv["releaseVersion"])])


def delete(
    contract: ContractArgument,
    release: ReleaseArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    server: Server = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Delete a release; the last one takes its contract along. Asks first, on a terminal.

    Example: forestflow delete samples/energy/0 v1 --yes
    """
    with connected(server) as client:
        if not yes and sys.stdin.isatty() and not typer.confirm(f"delete {contract}/{release}?", err=True):
            raise typer.Exit(Exit.INTERRUPTED)
        deleted = client.delete(contract, release)
        if as_json:
            print_json({"ServablesDeletedSuccessfully": {"fqrv": deleted}})
        else:
            for fqrv in deleted:
                typer.echo(f"deleted {_name(fqrv)}")


def _read_payload(target: str) -> Json:
    try:
        payload = json.loads(sys.stdin.buffer.read() if target == "-" else Path(target).read_bytes())
    except OSError as missing:
        raise ValueError(f"cannot read {target}: {missing.strerror}") from None
    except ValueError as bad:
        raise ValueError(f"{target} is not JSON: {bad}") from None
    if not isinstance(payload, dict):
        raise ValueError(f"{target} holds no JSON object")
    return payload


def _deploy_with_progress(client: Client, payload: Json) -> Json:
    """Deploy, with a spinner on stderr if that is a terminal. Ctrl-C leaves the deploy to the server."""
    if not sys.stderr.isatty():
        return client.deploy(payload)
    from rich.console import Console
    from rich.text import Text

    outcome: dict[str, Any] = {}
    worker = threading.Thread(target=_deploy_into, args=(client, payload, outcome), daemon=True)
    started = time.monotonic()
    worker.start()
    try:
        with Console(stderr=True).status("loading") as spinner:
            while worker.is_alive():
                worker.join(POLL_SECONDS)
                spinner.update(Text(f"{_progress(client, payload)} · {time.monotonic() - started:.0f} s"))
    except KeyboardInterrupt:
        fail(Exit.INTERRUPTED, "interrupted; the server goes on loading", "see `forestflow status`")
    if "error" in outcome:
        raise outcome["error"]
    return dict(outcome["fqrv"])


def _deploy_into(client: Client, payload: Json, outcome: dict[str, Any]) -> None:
    try:
        outcome["fqrv"] = client.deploy(payload)
    except Exception as failed:  # raised again by the thread that waits
        outcome["error"] = failed


def _progress(client: Client, payload: Json) -> str:
    """What the server says of the release now; just "loading" where it says nothing."""
    from forestflow.sdk import ClientError

    try:
        fqrv = payload["fqrv"]
        contract = fqrv["contract"]
        number = contract.get("contractNumber", contract.get("contract_number"))
        release = fqrv.get("releaseVersion", fqrv.get("release_version"))
        status = client.status_of(f"{contract['organization']}/{contract['project']}/{number}", release)
    except (ClientError, KeyError, TypeError, AttributeError, ValueError):
        return "loading"
    return printable(status.get("message") or status["state"].lower())


def _fqrv(contract: str, release: str) -> Json:
    parts = contract.split("/")
    if len(parts) != 3 or not all(parts) or not (parts[2].isascii() and parts[2].isdigit()):
        raise ValueError(f"{contract!r} is no contract; write organization/project/number")
    address = {"organization": parts[0], "project": parts[1], "contractNumber": int(parts[2])}
    return {"contract": address, "releaseVersion": release}


def _name(fqrv: Json) -> str:
    contract = fqrv["contract"]
    number = contract.get("contractNumber", 0)
    return printable(f"{contract['organization']}/{contract['project']}/{number}/{fqrv['releaseVersion']}")
