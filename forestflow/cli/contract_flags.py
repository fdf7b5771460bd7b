"""The flags of contract settings, shared by the commands that create, change or bring them along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from forestflow.cli import forms
from forestflow.cli.forms import EXPIRATION_FORMS, ROUTER_FORMS, given

Json = dict[str, Any]

Keep = Annotated[
    int | None, typer.Option(min=1, help="How many releases to keep: short for --expiration latest:COUNT.")
]
Expiration = Annotated[
    str | None, typer.Option(metavar="POLICY", help=f"Which valid releases go: {EXPIRATION_FORMS}; default latest:1.")
]
Router = Annotated[str | None, typer.Option(metavar="ROUTER", help=f"Who answers: {ROUTER_FORMS}; default fair.")]
Routing = Annotated[
    str | None, typer.Option(metavar="batch|record", help="What is routed as one: a batch, or each record of it.")
]
Metric = Annotated[
    str | None, typer.Option(metavar="NAME", help="The metric meant by policies and routers that name none.")
]
MetricWindow = Annotated[int | None, typer.Option(min=1, help="Reports in a metric's mean; default 100.")]
MetricAlpha = Annotated[
    float | None, typer.Option(help="Weight of each new report in an exponential mean, in place of a window.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractFlags:
    """The flags as given; ``None`` means not given."""

    keep: int | None = None
    expiration: str | None = None
    router: str | None = None
    routing: str | None = None
    metric: str | None = None
    metric_window: int | None = None
    metric_alpha: float | None = None

    @property
    def any(self) -> bool:
        return self != ContractFlags()


def contract_settings(flags: ContractFlags, base: Json | None = None) -> Json:
    """``base``, or the server's defaults, with what the flags say instead. Raises ValueError for what says nothing."""
    if flags.keep is not None and flags.expiration is not None:
        raise ValueError("give --keep or --expiration, not both")
    if flags.metric_window is not None and flags.metric_alpha is not None:
        raise ValueError("give --metric-window or --metric-alpha, not both: a mean is either rolling or exponential")
    if base is None:
        from forestflow.sdk.client import DEFAULT_CONTRACT_SETTINGS

        base = DEFAULT_CONTRACT_SETTINGS
    settings = dict(base)
    keep = None if flags.keep is None else f"latest:{flags.keep}"
    if (policy := flags.expiration or keep) is not None:
        settings["expirationPolicy"] = forms.expiration(policy)
    if flags.router is not None:
        settings["router"] = forms.router(flags.router)
    if flags.routing is not None:
        settings["routing"] = flags.routing.upper()
    fresh = given(default=flags.metric, window=flags.metric_window, alpha=flags.metric_alpha)
    if fresh:
        before = base.get("metrics", {})
        if flags.metric_window is not None or flags.metric_alpha is not None:
            before = {name: value for name, value in before.items() if name == "default"}
        settings["metrics"] = {**before, **fresh}
    return settings
