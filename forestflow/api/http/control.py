"""The control API over HTTP: the original's routes, ours beside them, as thin handlers around the control facade.

A handler reads the raw body, lets the codec parse it, asks the facade, and answers the codec's bytes. What a route
is called and how it is documented stands in ``operations``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.routing import Match

from forestflow.api.http.admission import Admission
from forestflow.api.http.docs import install_docs
from forestflow.api.http.edge import Edge, contract_of, read_body
from forestflow.api.http.errors import HttpRefusal, error_answer, wants_text
from forestflow.api.http.hosts import HostGuard
from forestflow.api.http.logs import ALL_LINES, log_text
from forestflow.api.http.observing import note_error
from forestflow.api.http.operations import OPERATIONS
from forestflow.codecs.control import plans
from forestflow.codecs.control import rest as codec
from forestflow.codecs.control.instants import parse_instant
from forestflow.codecs.messages import versions
from forestflow.controlplane.control import ControlPlane
from forestflow.domain.commands import (
    CreateContract,
    Delete,
    Deploy,
    Explain,
    GetContractSettings,
    GetHistory,
    GetMetadata,
    GetPlanAt,
    GetSettings,
    GetStatus,
    GetVersions,
    IsReady,
    ListContracts,
    ListMetadata,
    ListMetrics,
    ListReleases,
    ListReplicas,
    ListSettings,
    ListStatus,
    ReportMetrics,
    Rollback,
    Simulate,
    UnwatchVersions,
    UpdateContract,
    UpdateServable,
    WatchVersions,
)
from forestflow.domain.errors import Code, ForestFlowError, Invalid, Unavailable
from forestflow.domain.ids import MAX_CONTRACT_NUMBER, MAX_NAME_LENGTH, Contract, Fqrv

Score = Callable[[Request], Awaitable[Response]]

_ALIVE = b'{"status":"alive"}'
_READY = b'{"status":"ready"}'
_NOT_READY = b'{"status":"not ready"}'

# Told in the OpenAPI document; checked by the domain, whose errors say more.
_NAME: dict[str, Any] = {"minLength": 1, "maxLength": MAX_NAME_LENGTH, "pattern": "^[^/\\u0000-\\u001f\\u007f]+$"}

Organization = Annotated[
    str, Path(description="Who the use case belongs to.", examples=["samples"], json_schema_extra=_NAME)
]
Project = Annotated[str, Path(description="What it is about.", examples=["energy_output"], json_schema_extra=_NAME)]
ContractNumber = Annotated[
    str,
    Path(
        description="Which agreement about inputs and outputs.",
        examples=[0],
        json_schema_extra={"type": "integer", "minimum": 0, "maximum": MAX_CONTRACT_NUMBER},
    ),
]
Release = Annotated[str, Path(description="The release version.", examples=["v1"], json_schema_extra=_NAME)]

Instant = Annotated[
    str | None,
    Query(
        description="Which moment: milliseconds since 1970, or RFC 3339. Without it, the whole history.",
        examples=["2026-11-21T05:34:21Z"],
    ),
]


def _digits(text: str) -> str:
    """Raise ValueError for what ``int`` takes and is no number to anybody else, such as ``1_0``."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError("a number is written in digits")
    return text


Tail = Annotated[
    int,
    BeforeValidator(_digits),
    Query(description="How many lines of each replica, from the end.", ge=0, le=ALL_LINES),
]
Follow = Annotated[bool, Query(description="Whether to go on with what the replicas write, until the client leaves.")]


async def contract_in_path(organization: Organization, project: Project, contract_number: ContractNumber) -> Contract:
    """The contract that a path names. Raises HttpRefusal (404) for a number that is none, InvalidIdentifier."""
    return contract_of(organization, project, contract_number)


ContractInPath = Annotated[Contract, Depends(contract_in_path)]


async def fqrv_in_path(contract: ContractInPath, release_version: Release) -> Fqrv:
    """The release that a path names."""
    return Fqrv(contract, release_version)


FqrvInPath = Annotated[Fqrv, Depends(fqrv_in_path)]


class ControlRoutes:
    """The handlers, one per operation, named as in ``operations``."""

    def __init__(self, control: ControlPlane, score: Score | None, max_body_bytes: int) -> None:
        self._control = control
        self._score = score
        self._max_body_bytes = max_body_bytes

    async def _body(self, request: Request) -> bytes:
        return await read_body(request.scope, request.receive, self._max_body_bytes)

    # --- contracts ---

    async def list_contracts(self) -> Response:
        return _json(codec.contracts(await self._control.run(ListContracts())))

    async def create_contract(self, contract: ContractInPath, request: Request) -> Response:
        settings = codec.parse_contract_settings(await self._body(request))
        return _json(codec.contract_created(await self._control.run(CreateContract(contract, settings))))

    async def update_contract(self, contract: ContractInPath, request: Request) -> Response:
        settings = codec.parse_contract_settings(await self._body(request))
        return _json(codec.contract_updated(await self._control.run(UpdateContract(contract, settings))))

    async def contract_settings(self, contract: ContractInPath) -> Response:
        return _json(codec.contract_settings(await self._control.run(GetContractSettings(contract))))

    # --- releases of a contract ---

    async def list_releases(self, contract: ContractInPath) -> Response:
        return _json(codec.fqrvs(await self._control.run(ListReleases(contract))))

    async def stats(self, contract: ContractInPath) -> Response:
        return _json(codec.metrics(await self._control.run(ListMetrics(contract))))

    async def servable_settings(self, contract: ContractInPath) -> Response:
        return _json(codec.servable_settings_list(await self._control.run(ListSettings(contract))))

    async def metadata(self, contract: ContractInPath) -> Response:
        return _json(codec.metadata_list(await self._control.run(ListMetadata(contract))))

    async def status(self, contract: ContractInPath) -> Response:
        return _json(codec.status_list(await self._control.run(ListStatus(contract))))

    # --- version directories ---

    async def versions(self, contract: ContractInPath) -> Response:
        return _json(codec.versions_status(await self._control.run(GetVersions(contract))))

    async def update_versions(self, contract: ContractInPath, request: Request) -> Response:
        command = versions.parse_update(await self._body(request), contract)
        return _json(codec.versions_status(await self._control.run(command)))

    async def unwatch_versions(self, contract: ContractInPath) -> Response:
        return _json(codec.contract_updated(await self._control.run(UnwatchVersions(contract))))

    # --- the plan of a contract: why it is so, what it would be, what it was ---

    async def plan(self, contract: ContractInPath) -> Response:
        return _json(codec.plan(await self._control.run(Explain(contract))))

    async def simulate(self, contract: ContractInPath, request: Request) -> Response:
        proposal = plans.parse_simulation(await self._body(request))
        return _json(codec.simulation(contract, await self._control.run(Simulate(contract, proposal))))

    async def history(self, contract: ContractInPath, at: Instant = None) -> Response:
        if at is None:
            return _json(codec.history(contract, await self._control.run(GetHistory(contract))))
        return _json(codec.plan_at(await self._control.run(GetPlanAt(contract, parse_instant(at)))))

    async def rollback(self, contract: ContractInPath, request: Request) -> Response:
        seq = plans.parse_rollback(await self._body(request))
        return _json(codec.contract_updated(await self._control.run(Rollback(contract, seq))))

    # --- one release ---

    async def deploy(self, request: Request) -> Response:
        return await self._deploy(codec.parse_deploy(await self._body(request)))

    async def deploy_as(self, fqrv: FqrvInPath, request: Request) -> Response:
        return await self._deploy(codec.parse_deploy(await self._body(request), fqrv))

    async def _deploy(self, command: Deploy | WatchVersions) -> Response:
        if isinstance(command, WatchVersions):
            return _json(codec.versions_status(await self._control.run(command)))
        return _json(codec.servable_created(await self._control.run(command)))

    async def delete(self, fqrv: FqrvInPath) -> Response:
        return _json(codec.servables_deleted(await self._control.run(Delete(fqrv))))

    async def update_policy(self, fqrv: FqrvInPath, request: Request) -> Response:
        policy = codec.parse_policy_settings(await self._body(request))
        return _json(codec.servable_updated(await self._control.run(UpdateServable(fqrv, policy=policy))))

    async def update_logging(self, fqrv: FqrvInPath, request: Request) -> Response:
        logging = codec.parse_logging_settings(await self._body(request))
        return _json(codec.servable_updated(await self._control.run(UpdateServable(fqrv, logging=logging))))

    async def update_shadow(self, fqrv: FqrvInPath, request: Request) -> Response:
        shadow = codec.parse_shadow_settings(await self._body(request))
        return _json(codec.servable_updated(await self._control.run(UpdateServable(fqrv, shadow=shadow))))

    async def report_metrics(self, fqrv: FqrvInPath, request: Request) -> Response:
        reports = plans.parse_metric_reports(await self._body(request), time.time_ns() // 1_000_000)
        return _json(codec.servable_updated(await self._control.run(ReportMetrics(fqrv, reports))))

    async def settings_of(self, fqrv: FqrvInPath) -> Response:
        return _json(codec.servable_settings(await self._control.run(GetSettings(fqrv))))

    async def metadata_of(self, fqrv: FqrvInPath) -> Response:
        return _json(codec.metadata(await self._control.run(GetMetadata(fqrv))))

    async def status_of(self, fqrv: FqrvInPath) -> Response:
        return _json(codec.status(await self._control.run(GetStatus(fqrv))))

    async def replicas(self, fqrv: FqrvInPath) -> Response:
        return _json(codec.replicas(await self._control.run(ListReplicas(fqrv))))

    async def logs(self, fqrv: FqrvInPath, tail: Tail = 200, follow: Follow = False) -> Response:
        parts = await log_text(self._control, fqrv, tail, follow)
        return StreamingResponse(parts, media_type="text/plain; charset=utf-8", headers={"x-accel-buffering": "no"})

    # --- scoring and health ---

    async def score(self, _contract: ContractInPath, request: Request) -> Response:
        if self._score is None:
            raise Unavailable("this process does not score")
        return await self._score(request)

    async def alive(self) -> Response:
        return _json(_ALIVE)

    async def ready(self) -> Response:
        try:
            ready = await self._control.run(IsReady())
        except ForestFlowError:  # nobody to ask is not ready either
            ready = False
        return _json(_READY) if ready else _json(_NOT_READY, 503)


def create_control_app(
    control: ControlPlane,
    *,
    score: Score | None = None,
    admission: Admission | None = None,
    max_body_bytes: int = 2**20,
) -> FastAPI:
    """The control API as an ASGI application.

    ``score`` answers POST /{organization}/{project}/{contract_number}/score where no faster route stands ahead of
    this application. ``admission`` defaults to that of a loopback server without further names.
    """
    app = FastAPI(
        title="ForestFlow",
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    routes = ControlRoutes(control, score, max_body_bytes)
    for operation in OPERATIONS:
        for path in operation.paths:
            handler = getattr(routes, operation.name)
            words = operation.documentation(path)
            app.add_api_route(path, handler, methods=[operation.method], response_class=Response, **words)
            if operation.tag == "health":  # load balancers ask so
                app.add_api_route(path, handler, methods=["HEAD"], response_class=Response, include_in_schema=False)
    install_docs(app)
    app.add_exception_handler(ForestFlowError, _answer_forestflow_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_middleware(Edge, admission=admission or Admission(HostGuard()))
    return app


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def _refuse(request: Request, error: ForestFlowError) -> Response:
    note_error(request.scope, error)
    as_text = wants_text(request.headers.get("accept"))
    answer = error_answer(error, request.state.request_id, as_text=as_text)
    response = Response(status_code=answer.status)
    response.body = answer.body
    response.raw_headers = list(answer.headers)
    return response


async def _answer_forestflow_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ForestFlowError)
    return _refuse(request, error)


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    return _refuse(request, Invalid("the request does not have the form that this path takes"))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """Unknown paths and methods; Starlette would name in Allow only the methods of the first route that fits."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = _methods_of_path(request)
        return _refuse(
            request,
            HttpRefusal(
                405,
                Code.UNIMPLEMENTED,
                ((b"allow", allowed.encode()),),
                f"HTTP method not allowed, supported methods: {allowed}",
            ),
        )
    if error.status_code == 404:
        return _refuse(request, HttpRefusal(404, Code.NOT_FOUND, (), "the requested resource could not be found"))
    return _refuse(request, HttpRefusal(error.status_code, Code.INVALID, (), str(error.detail)))


def _methods_of_path(request: Request) -> str:
    methods: set[str] = set()
    for route in request.app.router.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods))
