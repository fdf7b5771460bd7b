"""Flags of deploy as payloads that the codec accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forestflow.cli.change import _progress
from forestflow.cli.contract_flags import ContractFlags, contract_settings
from forestflow.cli.forms import expiration, phase_in, router, validity
from forestflow.cli.payload import DeployFlags, ShadowFlags, payload_of
from forestflow.cli.score import rows_of_flags
from forestflow.codecs.control import rest as codec
from forestflow.domain.errors import Malformed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.independence import IndependentRows
from forestflow.domain.policies.expiration import ExpirationPolicy, KeepAll, KeepLatest, KeepTopRanked, MaxAge
from forestflow.domain.policies.phase_in import LinearTimeBasedPhaseIn
from forestflow.domain.policies.routers import (
    ContractRouter,
    FairPhaseInPctBasedRouter,
    LatestPhaseInPctBasedRouter,
    PerformanceRouter,
    StickyRouter,
)
from forestflow.domain.policies.validity import (
    MinServedEventsBasedValidity,
    NeverValid,
    PerformanceBasedValidity,
    TimeBasedValidity,
)
from forestflow.domain.policies.view import Ordering
from forestflow.domain.requests import MLmodel, Onnx, Python, TensorFlow
from forestflow.domain.settings import (
    ContractSettings,
    LoggingSettings,
    LogLevel,
    Merging,
    MetricSettings,
    Resources,
    Routing,
    ServableSettings,
    ShadowSettings,
    UnknownFields,
)

FQRV = Fqrv(Contract("o", "p", 0), "r")


def understood(**flags: Any) -> Any:
    payload = payload_of(DeployFlags(**{"release": "r", "mojo": "m.zip", **flags}))
    return codec.parse_serve_request(json.dumps(payload).encode(), FQRV)


@pytest.mark.parametrize(("text", "setting"), [("ignore", 1), ("warn", 2), ("REFUSE", 3)])
def test_what_becomes_of_unknown_fields(text: str, setting: int) -> None:
    assert understood(unknown_fields=text).servable_settings == ServableSettings(unknown_fields=UnknownFields(setting))
    with pytest.raises(Malformed, match="'DROP' is none of IGNORE, WARN, REFUSE"):
        understood(unknown_fields="drop")


def test_each_flavor_has_a_flag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    here = f"file://{tmp_path}"

    def deployed(**flags: Any) -> Any:
        request = understood(mojo=None, **flags)
        return request.path, request.flavor

    assert deployed(onnx="m/iris.onnx") == (f"{here}/m", Onnx("iris.onnx"))
    assert deployed(tensorflow="m/1", signature="s") == (f"{here}/m", TensorFlow("1", "s"))
    assert deployed(tensorflow="1", path="s3://b/m") == ("s3://b/m", TensorFlow("1"))
    assert deployed(mlflow="iris", mlflow_flavor="onnx") == (f"{here}/iris", MLmodel(".", "onnx"))
    assert deployed(mlflow="s3://b/iris") == ("s3://b/iris", MLmodel())
    assert deployed(mlflow="iris", path="git@host:o/p.git#v0.r") == ("git@host:o/p.git#v0.r", MLmodel("iris"))
    python = Python("p.py", "Model", ("joblib==1.5", "-r more.txt"))
    assert deployed(python="p.py", class_name="Model", requirements=("joblib==1.5", "-r more.txt")) == (here, python)
    assert deployed(python="p.py") == (here, Python("p.py"))


def test_flavor_flags_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="name one model: --mojo, --tensorflow, --onnx, --mlflow, --python"):
        understood(onnx="a.onnx")
    with pytest.raises(ValueError, match=r"--signature goes with --tensorflow"):
        understood(signature="s")
    with pytest.raises(ValueError, match=r"--requirement goes with --python"):
        understood(mojo=None, onnx="a.onnx", requirements=("x",))
    with pytest.raises(ValueError, match="is a URL: name its directory with --path"):
        understood(mojo=None, onnx="https://host/a.onnx")


def test_nothing_but_a_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    request = understood()
    assert (request.path, request.flavor.mojo_path) == (f"file://{tmp_path}", "m.zip")
    assert request.servable_settings == ServableSettings()
    assert request.contract_settings is None


def test_everything() -> None:
    request = understood(
        path="s3://bucket/dir",
        mojo="a/m.zip",
        validity=["after:1.5", "served:10", "metric:0.5", "never"],
        phase_in="linear:600",
        log_level="sample",
        key_features=["k"],
        key_separator="-",
        replicas=2,
        cpu=0.5,
        gpu=1.0,
        memory_mb=512,
        threads=3,
        max_queued=9,
        timeout_seconds=2.5,
        merge_rows=64,
        merge_wait_ms=1.5,
        independent_rows="no",
        shadow=ShadowFlags(enabled=False, percent=10, backlog=0),
        contract=ContractFlags(keep=3, router="latest", routing="record", metric="auc", metric_alpha=0.5),
        tags=["a=b=c"],
    )
    assert (request.path, request.flavor.mojo_path, request.tags) == ("s3://bucket/dir", "a/m.zip", {"a": "b=c"})
    settings = request.servable_settings
    assert settings.policy_settings.validity_policy == (
        TimeBasedValidity(1500),
        MinServedEventsBasedValidity(10),
        PerformanceBasedValidity(0.5),
        NeverValid(),
    )
    assert settings.policy_settings.phase_in_policy == LinearTimeBasedPhaseIn(600)
    assert settings.logging_settings == LoggingSettings(LogLevel.SAMPLE, ("k",), "-")
    assert settings.shadow == ShadowSettings(False, 10, 0)
    hosting = settings.deployment_settings
    assert (hosting.replicas, hosting.max_queued, hosting.timeout_seconds) == (2, 9, 2.5)
    assert hosting.resources == Resources(0.5, 1.0, 512, 3)
    assert hosting.merging == Merging(64, 1.5, IndependentRows.NO)
    assert request.contract_settings == ContractSettings(
        KeepLatest(3), LatestPhaseInPctBasedRouter(), Routing.RECORD, MetricSettings("auc", alpha=0.5)
    )


def test_parts_of_the_contract_settings(tmp_path: Path) -> None:
    assert understood(contract=ContractFlags(keep=2)).contract_settings.router == FairPhaseInPctBasedRouter()
    assert understood(contract=ContractFlags(router="fair")).contract_settings.expiration_policy == KeepLatest(1)
    assert understood(path=str(tmp_path)).path == f"file://{tmp_path}"
    assert understood(key_features=["k"]).servable_settings.logging_settings.log_level is LogLevel.FULL


@pytest.mark.parametrize("text", ["", "never:1", "after", "after:-1", "after:1e400x", "served:1.5", "metric:x", "soon"])
def test_validity_that_says_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        validity(text)


@pytest.mark.parametrize(
    "text", ["", "immediate:1", "linear", "linear:-1", "linear:1.5", "steps", "steps:5", "manual:x"]
)
def test_phase_in_that_says_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        phase_in(text)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("immediate", {"ImmediatePhaseIn": {}}),
        ("linear:600", {"LinearTimeBasedPhaseIn": {"phaseInOverSecs": 600}}),
        ("manual:5", {"ManualPhaseIn": {"percent": 5}}),
        (
            "steps:0=5,60=100",
            {"StepPhaseIn": {"steps": [{"afterSecs": 0, "percent": 5}, {"afterSecs": 60, "percent": 100}]}},
        ),
    ],
)
def test_phase_in(text: str, policy: dict[str, Any]) -> None:
    assert phase_in(text) == policy


def test_a_metric_of_a_name() -> None:
    assert validity("metric:auc=0.9") == {"PerformanceBasedValidity": {"minThreshold": 0.9, "metric": "auc"}}
    assert validity("metric:0.9") == {"PerformanceBasedValidity": {"minThreshold": 0.9}}


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("all", KeepAll()),
        ("latest:2", KeepLatest(2)),
        ("age:60", MaxAge(60)),
        ("top:3:auc", KeepTopRanked(3, "auc")),
        ("top:1:rmse:test,asc", KeepTopRanked(1, "rmse:test", Ordering.ASC)),
    ],
)
def test_expiration(text: str, policy: ExpirationPolicy) -> None:
    assert understood(contract=ContractFlags(expiration=text)).contract_settings.expiration_policy == policy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fair", FairPhaseInPctBasedRouter()),
        ("latest", LatestPhaseInPctBasedRouter()),
        ("sticky:user", StickyRouter("user")),
        ("performance:auc", PerformanceRouter("auc")),
        ("performance:rmse,epsilon=0.25,asc", PerformanceRouter("rmse", 0.25, Ordering.ASC)),
        ("performance,asc", PerformanceRouter(None, ordering=Ordering.ASC)),
    ],
)
def test_router(text: str, expected: ContractRouter) -> None:
    flags = ContractFlags(router=text, metric="auc")
    assert understood(contract=flags).contract_settings.router == expected


@pytest.mark.parametrize("text", ["", "latest", "latest:x", "top:3", "top:3:", "top:auc:3", "age:1d", "all:1"])
def test_expiration_that_says_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        expiration(text)


@pytest.mark.parametrize("text", ["", "sticky", "sticky:", "performance:", "fair:1", "performance:auc,epsilon=x"])
def test_router_that_says_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="is n"):
        router(text)


def test_flags_change_what_they_name_and_leave_the_rest() -> None:
    base = {
        "expirationPolicy": {"KeepAll": {}},
        "router": {"StickyRouter": {"keyConfig": "user"}},
        "routing": "RECORD",
        "metrics": {"default": "auc", "window": 7},
    }
    assert contract_settings(ContractFlags(keep=3), base) == {**base, "expirationPolicy": expiration("latest:3")}
    assert contract_settings(ContractFlags(metric="rmse"), base)["metrics"] == {"default": "rmse", "window": 7}
    assert contract_settings(ContractFlags(metric_alpha=0.5), base)["metrics"] == {"default": "auc", "alpha": 0.5}
    for both in (
        ContractFlags(keep=1, expiration="all"),
        ContractFlags(metric_window=1, metric_alpha=0.5),
    ):
        with pytest.raises(ValueError, match="not both"):
            contract_settings(both, base)


def test_the_hash_of_the_artifact_comes_along() -> None:
    assert understood(sha256="ab" * 32).sha256 == "ab" * 32


@pytest.mark.parametrize("flags", [{"contract": ContractFlags(router="other")}, {"tags": ["x"]}, {"tags": ["=x"]}])
def test_other_flags_that_say_nothing(flags: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is n"):
        understood(**flags)


@pytest.mark.parametrize(
    ("flags", "rows"),
    [
        (["a=1", "b=2.5"], [{"a": 1, "b": 2.5}]),
        (["a=1,b=x", "a=2,b=y"], [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        (['a="5"', "b=true", "c=null"], [{"a": "5", "b": True, "c": "null"}]),
        (["a=Paris, France", "b=x=y"], [{"a": "Paris, France", "b": "x=y"}]),
        (["a=[1,2]", "b={}"], [{"a": [1, 2], "b": "{}"}]),
    ],
)
def test_rows(flags: list[str], rows: list[dict[str, Any]]) -> None:
    assert rows_of_flags(flags) == rows


class Silent:
    """A client whose server has nothing to say yet."""

    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status
        self.asked: list[tuple[str, str]] = []

    def status_of(self, contract: str, release: str) -> dict[str, Any]:
        self.asked.append((contract, release))
        return self._status


def test_progress_reads_either_casing() -> None:
    client: Any = Silent({"state": "LOADING", "message": "warming up\x1b"})
    snake = {"contract": {"organization": "o", "project": "p", "contract_number": 0}, "release_version": "r"}
    camel = {"contract": {"organization": "o", "project": "p", "contractNumber": 0}, "releaseVersion": "r"}
    for fqrv in (snake, camel):
        assert _progress(client, {"fqrv": fqrv}) == "warming up\\x1b"
    assert client.asked == [("o/p/0", "r")] * 2
    assert _progress(Silent({"state": "LOADING"}), {"fqrv": camel}) == "loading"  # type: ignore[arg-type]
    assert _progress(client, {"fqrv": 3}) == "loading"
