"""Flags of deploy as payloads that the codec accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forestflow.cli.change import _progress
from forestflow.cli.payload import DeployFlags, payload_of, phase_in, validity
from forestflow.cli.score import rows_of_flags
from forestflow.codecs import control as codec
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.settings import (
    FairPhaseInPctBasedRouter,
    KeepLatest,
    LatestPhaseInPctBasedRouter,
    LinearTimeBasedPhaseIn,
    LogLevel,
    MinServedEventsBasedValidity,
    NeverValid,
    PerformanceBasedValidity,
    Resources,
    ServableSettings,
    TimeBasedValidity,
)

FQRV = Fqrv(Contract("o", "p", 0), "r")


def understood(**flags: Any) -> Any:
    payload = payload_of(DeployFlags(**{"release": "r", "mojo": "m.zip", **flags}))
    return codec.parse_serve_request(json.dumps(payload).encode(), FQRV)


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
        replicas=2,
        cpu=0.5,
        gpu=1.0,
        memory_mb=512,
        max_queued=9,
        timeout_seconds=2.5,
        keep=3,
        router="latest",
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
    assert (settings.logging_settings.log_level, settings.logging_settings.key_features) == (LogLevel.SAMPLE, ("k",))
    hosting = settings.deployment_settings
    assert (hosting.replicas, hosting.max_queued, hosting.timeout_seconds) == (2, 9, 2.5)
    assert hosting.resources == Resources(0.5, 1.0, 512)
    assert request.contract_settings.expiration_policy == KeepLatest(3)
    assert request.contract_settings.router == LatestPhaseInPctBasedRouter()


def test_parts_of_the_contract_settings(tmp_path: Path) -> None:
    assert understood(keep=2).contract_settings.router == FairPhaseInPctBasedRouter()
    assert understood(router="fair").contract_settings.expiration_policy == KeepLatest(1)
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


@pytest.mark.parametrize("flags", [{"router": "other"}, {"tags": ["x"]}, {"tags": ["=x"]}])
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
