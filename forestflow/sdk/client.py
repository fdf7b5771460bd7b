"""A thin client of ForestFlow's HTTP API: one method per route, plain Python values, errors as exceptions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote

import httpx

from forestflow.domain.ids import Contract
from forestflow.sdk.basic import Prediction, Row, basic_request, prediction, rows_of
from forestflow.sdk.errors import RequestRefused, ServerUnreachable, refused

DEFAULT_URL = "http://127.0.0.1:8090"
# A deploy is answered when the model is loaded; the server's own limits (fetch_, load_timeout_seconds) end it earlier.
DEPLOY_TIMEOUT_SECONDS = 900.0
MAX_CONNECTIONS = 100

Json = dict[str, Any]

DEFAULT_CONTRACT_SETTINGS: Json = {
    "expirationPolicy": {"KeepLatest": {"servablesToKeep": 1}},
    "router": {"FairPhaseInPctBasedRouter": {}},
}


class Client:
    """Talks to one server. Safe to share between threads; use as a context manager or call :meth:`close`.

    Contracts are given as ``"organization/project/number"`` or as a :class:`~forestflow.domain.ids.Contract`,
    settings and payloads as dicts in the wire's form. Every method raises :class:`RequestRefused` when the server
    answers with an error and :class:`ServerUnreachable` when none answers.
    """

    def __init__(
        self, base_url: str = DEFAULT_URL, timeout: float = 30.0, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.base_url = base_url.rstrip("/")
        # httpcore may close a surplus idle connection that another thread is about to use: none is ever surplus here
        limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
        self._http = httpx.Client(timeout=timeout, transport=transport, limits=limits)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- health ---

    def alive(self) -> bool:
        """Whether the server's process answers at all."""
        return self._is_ok("/alive")

    def ready(self) -> bool:
        """Whether every release that should answer does."""
        return self._is_ok("/ready")

    # --- contracts ---

    def contracts(self) -> list[Json]:
        """All contracts: ``[{"organization", "project", "contractNumber"}, …]``."""
        return cast(list[Json], self._json("GET", "/contracts/list")["Contracts"]["contracts"])

    def create_contract(self, contract: str | Contract, settings: Json | None = None) -> Json:
        """Create a contract; without settings, with the server's defaults: keep the latest, share fairly."""
        return cast(Json, self._json("POST", "/contract" + path_of(contract), settings or DEFAULT_CONTRACT_SETTINGS))

    def update_contract(self, contract: str | Contract, settings: Json) -> Json:
        """Replace the settings of a contract."""
        return cast(Json, self._json("PUT", "/contract" + path_of(contract), settings))

    def contract_settings(self, contract: str | Contract) -> Json:
        """The settings of a contract."""
        return cast(Json, self._json("GET", path_of(contract) + "/contract-settings")["ContractSettings"])

    # --- releases ---

    def deploy(self, payload: Json, *, timeout: float = DEPLOY_TIMEOUT_SECONDS) -> Json:
        """Deploy a release (a BasicServeRequest) and wait until it answers; its FQRV."""
        return cast(Json, self._json("POST", "/servable", payload, timeout)["ServableCreatedSuccessfully"]["fqrv"])

    def deploy_as(
        self, contract: str | Contract, release: str, payload: Json, *, timeout: float = DEPLOY_TIMEOUT_SECONDS
    ) -> Json:
        """Deploy a release with its address apart from the payload."""
        reply = self._json("POST", "/servable" + path_of(contract, release), payload, timeout)
        return cast(Json, reply["ServableCreatedSuccessfully"]["fqrv"])

    def watch_versions(self, payload: Json, *, timeout: float = DEPLOY_TIMEOUT_SECONDS) -> Json:
        """Deploy the numbered directories of a base directory, now and as they come (a BasicServeRequest with
        ``versions``); a VersionsStatus, once each that is there has been tried.
        """
        return cast(Json, self._json("POST", "/servable", payload, timeout)["VersionsStatus"])

    def versions(self, contract: str | Contract) -> Json:
        """Where each version in the contract's base directory stands: a VersionsStatus."""
        return cast(Json, self._json("GET", path_of(contract) + "/versions")["VersionsStatus"])

    def update_versions(self, contract: str | Contract, policy: Json, *, poll_seconds: float | None = None) -> Json:
        """Choose which versions are served: ``{"latest": {"count": 2}}``, ``{"all": {}}``, ``{"specific": …}``."""
        body = {"versions": policy, **({} if poll_seconds is None else {"pollSeconds": poll_seconds})}
        return cast(Json, self._json("PUT", path_of(contract) + "/versions", body)["VersionsStatus"])

    def unwatch_versions(self, contract: str | Contract) -> Json:
        """Look for no more versions; the releases stay. The contract."""
        reply = self._json("DELETE", path_of(contract) + "/versions")
        return cast(Json, reply["ContractUpdatedSuccessfully"]["contract"])

    def delete(self, contract: str | Contract, release: str) -> list[Json]:
        """Delete a release; an unknown one counts as deleted. The FQRVs deleted."""
        reply = self._json("DELETE", path_of(contract, release))
        return cast(list[Json], reply["ServablesDeletedSuccessfully"].get("fqrv", []))

    def releases(self, contract: str | Contract) -> list[Json]:
        """The FQRV of each release of a contract."""
        return _unwrapped(self._json("GET", path_of(contract) + "/releases"))

    def stats(self, contract: str | Contract) -> list[Json]:
        """Counts (scored, shaded, and if any, shadows dropped) and clocks of each release."""
        return _unwrapped(self._json("GET", path_of(contract) + "/stats"))

    def servable_settings(self, contract: str | Contract) -> list[Json]:
        """The settings of each release."""
        return _unwrapped(self._json("GET", path_of(contract) + "/servable-settings"))

    def settings_of(self, contract: str | Contract, release: str) -> Json:
        """The settings of one release."""
        return cast(Json, self._json("GET", path_of(contract, release) + "/settings")["ServableSettings"])

    def update_policy(self, contract: str | Contract, release: str, policy: Json) -> Json:
        """Replace the policies of a release."""
        return cast(Json, self._json("PUT", path_of(contract, release) + "/policy", policy))

    def update_logging(self, contract: str | Contract, release: str, logging: Json) -> Json:
        """Replace the logging settings of a release."""
        return cast(Json, self._json("PUT", path_of(contract, release) + "/logging", logging))

    def update_shadow(self, contract: str | Contract, release: str, shadow: Json) -> Json:
        """Replace the shadow settings of a release: ``{"enabled", "samplePercent", "maxBacklog"}``, all optional."""
        return cast(Json, self._json("PUT", path_of(contract, release) + "/shadow", shadow))

    def metadata(self, contract: str | Contract) -> list[Json]:
        """Inputs and outputs of each loaded release."""
        return _unwrapped(self._json("GET", path_of(contract) + "/metadata"))

    def metadata_of(self, contract: str | Contract, release: str) -> Json:
        """Inputs and outputs of one release."""
        return cast(Json, self._json("GET", path_of(contract, release) + "/metadata")["BasicMetaData"])

    def status(self, contract: str | Contract) -> list[Json]:
        """Where each release stands, those that are loading or failed among them."""
        return _unwrapped(self._json("GET", path_of(contract) + "/status"))

    def status_of(self, contract: str | Contract, release: str) -> Json:
        """Where one release stands, also while its deploy is under way."""
        return _unwrapped([self._json("GET", path_of(contract, release) + "/status")])[0]

    def replicas(self, contract: str | Contract, release: str) -> list[Json]:
        """What each replica of a release does: a ReplicaStatus each."""
        return _unwrapped(self._json("GET", path_of(contract, release) + "/replicas"))

    def logs(self, contract: str | Contract, release: str, *, tail: int = 200, follow: bool = False) -> Iterator[str]:
        """What the replicas of a release write, in parts; with ``follow`` without end."""
        path = f"{path_of(contract, release)}/logs?tail={tail}&follow={str(follow).lower()}"
        timeout = httpx.Timeout(30.0, read=None if follow else 30.0)
        try:
            with self._http.stream("GET", self.base_url + path, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise refused(response.status_code, _parsed(response), response.headers.get("x-request-id"))
                yield from response.iter_text()
        except (httpx.HTTPError, httpx.InvalidURL) as failed:
            raise ServerUnreachable(self.base_url, str(failed) or type(failed).__name__) from failed

    def report_metrics(
        self,
        contract: str | Contract,
        release: str,
        metrics: Mapping[str, float] | Sequence[Json],
        *,
        replace: bool = False,
    ) -> Json:
        """Report how well a release does: ``{"auc": 0.93}``, or ``[{"name", "value", "timeMS", "count"}, …]``.

        With ``replace``, what was reported of these metrics before is forgotten.
        """
        if isinstance(metrics, Mapping):
            metrics = [{"name": name, "value": value} for name, value in metrics.items()]
        body = {"metrics": list(metrics), "replace": replace}
        return cast(Json, self._json("POST", path_of(contract, release) + "/metrics", body))

    # --- the plan of a contract ---

    def plan(self, contract: str | Contract) -> Json:
        """What each release gets now and why: a PlanExplanation."""
        return cast(Json, self._json("GET", path_of(contract) + "/plan")["PlanExplanation"])

    def simulate(
        self,
        contract: str | Contract,
        *,
        contract_settings: Json | None = None,
        policies: Mapping[str, Json] | None = None,
        horizon_secs: int = 3600,
        step_secs: int | None = None,
        events_per_second: float = 0.0,
    ) -> Json:
        """What other settings would do from now on: a Simulation. ``policies`` by release; nothing is changed."""
        body: Json = {"horizonSecs": horizon_secs, "eventsPerSecond": events_per_second, "policies": policies or {}}
        if contract_settings is not None:
            body["contractSettings"] = contract_settings
        if step_secs is not None:
            body["stepSecs"] = step_secs
        return cast(Json, self._json("POST", path_of(contract) + "/plan/simulate", body)["Simulation"])

    def history(self, contract: str | Contract) -> Json:
        """What happened to a contract: a History; its ``entries`` (seq, atMS, kind, release, detail) oldest first."""
        return cast(Json, self._json("GET", path_of(contract) + "/history")["History"])

    def plan_at(self, contract: str | Contract, at: int | str | datetime) -> Json:
        """The plan at a moment (ms since 1970, RFC 3339 or a datetime) and its cause: ``{"plan", "cause"}``."""
        if isinstance(at, datetime):
            at = round(at.timestamp() * 1000)
        return cast(Json, self._json("GET", f"{path_of(contract)}/history?at={quote(str(at), safe='')}")["PlanAt"])

    def rollback(self, contract: str | Contract, seq: int) -> Json:
        """Give a contract and its living releases the settings they had after entry ``seq`` of the history."""
        reply = self._json("POST", path_of(contract) + "/rollback", {"seq": seq})
        return cast(Json, reply["ContractUpdatedSuccessfully"]["contract"])

    # --- scoring ---

    def score(
        self,
        contract: str | Contract,
        rows: Sequence[Row] | None = None,
        *,
        columns: Mapping[str, Sequence[Any]] | None = None,
        configs: Mapping[str, str] | None = None,
        types: Mapping[str, str] | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Prediction:
        """Score rows (a list of dicts) or columns (a dict of equally long sequences).

        ``types`` names tensor types for fields whose values do not tell them. ``timeout`` in seconds is the deadline
        that the server keeps. Raises ValueError for rows that make no request.
        """
        if (rows is None) == (columns is None):
            raise ValueError("give either rows or columns")
        records = rows if rows is not None else rows_of(columns or {})
        return self.score_request(
            contract, basic_request(records, configs=configs, types=types), timeout=timeout, request_id=request_id
        )

    def score_request(
        self,
        contract: str | Contract,
        request: Json | bytes,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Prediction:
        """Score a BASIC InferenceRequest that is made already."""
        headers = {} if timeout is None else {"X-Request-Timeout": f"{timeout:g}"}
        if request_id is not None:
            headers["X-Request-Id"] = request_id
        patience = None if timeout is None else timeout + 5.0  # the server's own 504 says more than our timeout
        response = self._send("POST", path_of(contract) + "/score", request, patience, headers)
        unknown_fields = response.headers.get("x-forestflow-unknown-fields")
        return prediction(response.json(), response.headers.get("x-request-id", ""), unknown_fields)

    # --- the wire ---

    def _json(self, method: str, path: str, body: Json | bytes | None = None, timeout: float | None = None) -> Any:
        return self._send(method, path, body, timeout).json()

    def _send(
        self,
        method: str,
        path: str,
        body: Json | bytes | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = dict(headers or {})
        if content is not None:
            sent["Content-Type"] = "application/json"
        patience = httpx.USE_CLIENT_DEFAULT if timeout is None else httpx.Timeout(timeout, connect=min(timeout, 10.0))
        url = self.base_url + path
        try:
            response = self._http.request(method, url, content=content, headers=sent, timeout=patience)
        except (httpx.HTTPError, httpx.InvalidURL) as failed:
            raise ServerUnreachable(self.base_url, str(failed) or type(failed).__name__) from failed
        if response.is_success:
            return response
        raise refused(response.status_code, _parsed(response), response.headers.get("x-request-id"))

    def _is_ok(self, path: str) -> bool:
        try:
            self._send("GET", path)
        except (RequestRefused, ServerUnreachable):
            return False
        return True


def path_of(contract: str | Contract, release: str | None = None) -> str:
    """The path of a contract or release, percent-encoded. Raises ValueError for what is no address."""
    if isinstance(contract, Contract):
        parts = [contract.organization, contract.project, str(contract.contract_number)]
    else:
        parts = contract.split("/")
        if len(parts) != 3 or not all(parts) or not (parts[2].isascii() and parts[2].isdigit()):
            raise ValueError(f"{contract!r} is no contract; write organization/project/number")
    if release is not None:
        if not release or "/" in release:
            raise ValueError(f"{release!r} is no release version")
        parts.append(release)
    return "".join("/" + quote(part, safe="") for part in parts)


def _parsed(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text


def _unwrapped(items: list[Json]) -> list[Json]:
    return [next(iter(item.values())) for item in items]
