"""The service forestflow.v1.Control: the control facade's commands and queries, in the REST API's messages."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import grpc.aio
from google.protobuf.message import Message

from forestflow._gen import control_pb2 as pb
from forestflow._gen import responses_pb2 as responses
from forestflow._gen.plans_pb2 import PlanExplanation, Simulation
from forestflow._gen.serve_request_pb2 import ServeRequestShim
from forestflow._gen.versions_pb2 import VersionsStatus
from forestflow.api.grpc.messages import read
from forestflow.api.grpc.methods import Call, Handler, many, unary
from forestflow.codecs.control import plans
from forestflow.codecs.control import rest as codec
from forestflow.codecs.messages import message_json, reports, versions
from forestflow.codecs.messages import values as messages
from forestflow.codecs.messages.values import contract_from, contract_to, fqrv_from, fqrv_to
from forestflow.controlplane.control import ControlPlane
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.domain.commands import (
    CreateContract,
    Delete,
    Explain,
    GetContractSettings,
    GetSettings,
    GetStatus,
    GetVersions,
    ListContracts,
    ListReplicas,
    ListStatus,
    ReportMetrics,
    Rollback,
    Simulate,
    UnwatchVersions,
    UpdateContract,
    UpdateServable,
    WatchVersions,
)
from forestflow.domain.errors import Malformed, TooLarge, Unavailable
from forestflow.domain.explain import ReleaseExplanation
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.refusals import NoActiveServables, NotWatched, UnknownContract, UnknownServable
from forestflow.domain.reports import ServableStatus

WATCH_SECONDS = 0.5

Request = TypeVar("Request", bound=Message)


class Control:
    """The handlers, one per method, from message to message. ``stopping`` ends those that watch."""

    def __init__(self, control: ControlPlane, dispatcher: Dispatcher, stopping: asyncio.Event) -> None:
        self._control = control
        self._dispatcher = dispatcher
        self._stopping = stopping

    # --- servables ---

    async def deploy_servable(self, request: ServeRequestShim) -> pb.DeployResponse:
        kind = request.WhichOneof("sealed_value")
        if kind is None:
            raise Malformed("ServeRequestShim: neither Basic nor MLFlow is given")
        command = codec.deploy_from(request.Basic if kind == "Basic" else codec.mlflow_from(request.MLFlow))
        if isinstance(command, WatchVersions):
            return pb.DeployResponse(versions=versions.report_to(await self._control.run(command)))
        fqrv = await self._control.run(command)
        return pb.DeployResponse(created=responses.ServableCreatedSuccessfully(fqrv=fqrv_to(fqrv)))

    async def delete_servable(self, request: pb.ServableRequest) -> responses.ServablesDeletedSuccessfully:
        return _deleted(await self._control.run(Delete(fqrv_from(request.fqrv))))

    async def update_servable(self, request: pb.UpdateServableRequest) -> responses.ServableUpdatedSuccessfully:
        policy, logging, shadow = request.policy, request.logging, request.shadow
        if not any(map(request.HasField, ("policy", "logging", "shadow"))):
            raise Malformed("UpdateServableRequest: none of policy, logging and shadow is given")
        fqrv = await self._control.run(
            UpdateServable(
                fqrv_from(request.fqrv),
                policy=messages.policy_settings_from(policy) if request.HasField("policy") else None,
                logging=messages.logging_settings_from(logging) if request.HasField("logging") else None,
                shadow=messages.shadow_settings_from(shadow) if request.HasField("shadow") else None,
            )
        )
        return responses.ServableUpdatedSuccessfully(fqrv=fqrv_to(fqrv))

    async def report_metrics(self, request: pb.ReportMetricsRequest) -> responses.ServableUpdatedSuccessfully:
        measured = plans.metric_reports_from(request.reports, time.time_ns() // 1_000_000)
        fqrv = await self._control.run(ReportMetrics(fqrv_from(request.fqrv), measured))
        return responses.ServableUpdatedSuccessfully(fqrv=fqrv_to(fqrv))

    async def get_servable(self, request: pb.ServableRequest) -> pb.ServableDescription:
        fqrv = fqrv_from(request.fqrv)
        described = pb.ServableDescription(status=reports.status_to(await self._control.run(GetStatus(fqrv))))
        with contextlib.suppress(UnknownServable):  # its deploy is under way, or failed
            settings = await self._control.run(GetSettings(fqrv))
            described.settings.CopyFrom(messages.servable_settings_to(settings))
        return described

    async def get_replicas(self, request: pb.ServableRequest) -> pb.ReplicasResponse:
        return pb.ReplicasResponse(
            replicas=map(reports.replica_to, await self._control.run(ListReplicas(fqrv_from(request.fqrv))))
        )

    # --- contracts ---

    async def create_contract(self, request: pb.ContractSettingsRequest) -> responses.ContractCreatedSuccessfully:
        settings = messages.contract_settings_from(request.settings)
        contract = await self._control.run(CreateContract(contract_from(request.contract), settings))
        return responses.ContractCreatedSuccessfully(contract=contract_to(contract))

    async def update_contract(self, request: pb.ContractSettingsRequest) -> responses.ContractUpdatedSuccessfully:
        settings = messages.contract_settings_from(request.settings)
        return _updated(await self._control.run(UpdateContract(contract_from(request.contract), settings)))

    async def rollback_contract(self, request: pb.RollbackContractRequest) -> responses.ContractUpdatedSuccessfully:
        return _updated(await self._control.run(Rollback(contract_from(request.contract), request.rollback.seq)))

    async def delete_contract(self, request: pb.ContractRequest) -> responses.ServablesDeletedSuccessfully:
        contract = contract_from(request.contract)
        if not await self._control.run(ListStatus(contract)):
            raise NoActiveServables(contract)
        with contextlib.suppress(NotWatched, UnknownContract):  # its first release is loading
            await self._control.run(UnwatchVersions(contract))
        deleted: list[Fqrv] = []
        for status in await self._control.run(ListStatus(contract)):
            deleted += await self._control.run(Delete(status.fqrv))
        return _deleted(deleted)

    async def list_contracts(self, request: pb.ListContractsRequest) -> responses.Contracts:
        return responses.Contracts(contracts=map(contract_to, await self._control.run(ListContracts())))

    async def get_contract(self, request: pb.ContractRequest) -> pb.ContractState:
        return await self._state(contract_from(request.contract))

    async def watch(self, request: pb.ContractRequest) -> AsyncIterator[pb.ContractState]:
        """The state as it is, and whenever it is another. Raises UnknownContract, Unavailable where it begins."""
        contract = contract_from(request.contract)
        told: pb.ContractState | None = None
        while True:
            version = self._dispatcher.version
            try:
                state = await self._state(contract)
            except UnknownContract:
                if told is None:
                    raise
                yield pb.ContractState(contract=request.contract, deleted=True)
                return
            except Unavailable:  # the registry comes back
                if told is None:
                    raise
                state = told
            if state != told:
                told = state
                yield state
            if self._stopping.is_set():
                return
            await self._change(version)

    async def _state(self, contract: Contract) -> pb.ContractState:
        listed = await self._control.run(ListStatus(contract))
        state = pb.ContractState(contract=contract_to(contract))
        explained: dict[Fqrv, ReleaseExplanation] = {}
        with contextlib.suppress(UnknownContract):  # the deploy that creates it is under way
            settings = await self._control.run(GetContractSettings(contract))
            plan = await self._control.run(Explain(contract))
            state.settings.CopyFrom(messages.contract_settings_to(settings))
            explained = {release.fqrv: release for release in plan.releases}
        state.releases.extend(_release(status, explained.get(status.fqrv)) for status in listed)
        return state

    async def _change(self, version: int) -> None:
        """Wait until the Plan is newer than that, the server stops, or it is time to look again anyway."""
        loop = asyncio.get_running_loop()
        waiting = [
            loop.create_task(self._dispatcher.reached(version + 1)),
            loop.create_task(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(waiting, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    # --- plans and versions ---

    async def get_plan(self, request: pb.ContractRequest) -> PlanExplanation:
        return plans.plan_to(await self._control.run(Explain(contract_from(request.contract))))

    async def simulate(self, request: pb.SimulateRequest) -> Simulation:
        contract = contract_from(request.contract)
        proposal = plans.proposal_from(request.simulation)
        return plans.simulation_to(contract, await self._control.run(Simulate(contract, proposal)))

    async def get_versions(self, request: pb.ContractRequest) -> VersionsStatus:
        return versions.report_to(await self._control.run(GetVersions(contract_from(request.contract))))

    async def update_versions(self, request: pb.UpdateVersionsRequest) -> VersionsStatus:
        command = versions.update_from(request.update, contract_from(request.contract))
        return versions.report_to(await self._control.run(command))

    async def unwatch_versions(self, request: pb.ContractRequest) -> responses.ContractUpdatedSuccessfully:
        return _updated(await self._control.run(UnwatchVersions(contract_from(request.contract))))


def methods(
    control: ControlPlane, dispatcher: Dispatcher, stopping: asyncio.Event, max_bytes: int
) -> dict[str, grpc.RpcMethodHandler]:
    """The service's methods by name. A message over ``max_bytes`` is refused, as a body of the control API is."""
    handlers = Control(control, dispatcher, stopping)

    def checked(kind: type[Request], message: bytes) -> Request:
        if len(message) > max_bytes:
            raise TooLarge(f"the message has {len(message)} bytes; at most {max_bytes} are allowed here")
        return message_json.bounded(read(kind, message))

    def one(kind: type[Request], handle: Callable[[Request], Awaitable[Message]]) -> grpc.RpcMethodHandler:
        async def answer(message: bytes, _call: Call) -> bytes:
            return (await handle(checked(kind, message))).SerializeToString()

        handler: Handler = answer
        return unary(handler, dispatcher)

    async def watch(message: bytes, _call: Call) -> AsyncIterator[bytes]:
        async for state in handlers.watch(checked(pb.ContractRequest, message)):
            yield state.SerializeToString()

    return {
        "DeployServable": one(ServeRequestShim, handlers.deploy_servable),
        "DeleteServable": one(pb.ServableRequest, handlers.delete_servable),
        "DeleteContract": one(pb.ContractRequest, handlers.delete_contract),
        "CreateContract": one(pb.ContractSettingsRequest, handlers.create_contract),
        "UpdateContract": one(pb.ContractSettingsRequest, handlers.update_contract),
        "RollbackContract": one(pb.RollbackContractRequest, handlers.rollback_contract),
        "UpdateServable": one(pb.UpdateServableRequest, handlers.update_servable),
        "ReportMetrics": one(pb.ReportMetricsRequest, handlers.report_metrics),
        "ListContracts": one(pb.ListContractsRequest, handlers.list_contracts),
        "GetContract": one(pb.ContractRequest, handlers.get_contract),
        "GetServable": one(pb.ServableRequest, handlers.get_servable),
        "GetReplicas": one(pb.ServableRequest, handlers.get_replicas),
        "GetPlan": one(pb.ContractRequest, handlers.get_plan),
        "Simulate": one(pb.SimulateRequest, handlers.simulate),
        "GetVersions": one(pb.ContractRequest, handlers.get_versions),
        "UpdateVersions": one(pb.UpdateVersionsRequest, handlers.update_versions),
        "UnwatchVersions": one(pb.ContractRequest, handlers.unwatch_versions),
        "Watch": many(watch, dispatcher),
    }


def _release(status: ServableStatus, explained: ReleaseExplanation | None) -> pb.ReleaseState:
    state = pb.ReleaseState(status=reports.status_to(status))
    if explained is not None:
        state.valid = explained.valid
        state.phase_in_pct = explained.phase_in_pct
        state.weight = explained.weight
        state.share = explained.share
        state.shadows = explained.shadows
        if explained.became_valid_at_ms is not None:
            state.became_valid_at_ms = explained.became_valid_at_ms
    return state


def _deleted(fqrvs: list[Fqrv]) -> responses.ServablesDeletedSuccessfully:
    return responses.ServablesDeletedSuccessfully(fqrv=map(fqrv_to, fqrvs))


def _updated(contract: Contract) -> responses.ContractUpdatedSuccessfully:
    return responses.ContractUpdatedSuccessfully(contract=contract_to(contract))
