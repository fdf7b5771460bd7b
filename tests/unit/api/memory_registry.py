"""A registry of dicts behind a real ControlPlane: what the control API, the SDK and the CLI are tested against."""

from __future__ import annotations

import asyncio
from typing import Any

from forestflow.domain.errors import (
    ContractValidationError,
    NoActiveServables,
    ServableAlreadyExists,
    ServeRequestInvalid,
    UnknownContract,
    UnknownServable,
)
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.lifecycle import ReplicaState, ServableState
from forestflow.domain.reports import ServableMetadata, ServableMetrics, ServableStatus
from forestflow.domain.requests import ServeRequest
from forestflow.domain.settings import ContractSettings, LoggingSettings, PolicySettings, ServableSettings
from forestflow.domain.tensors import IOMetadata, ModelMetadata, TensorType

MODEL = ModelMetadata(
    inputs=(IOMetadata("numeric", TensorType.Float64, (4,), "[0:T,1:V,2:P,3:H]"),),
    outputs=(IOMetadata("Regression", TensorType.Float64, (1,)),),
)


class MemoryRegistry:
    """Answers every command of the control plane. ``fails_with`` makes the next ones raise that instead."""

    def __init__(self) -> None:
        self.contracts_: dict[Contract, ContractSettings] = {}
        self.servables: dict[Fqrv, ServeRequest] = {}
        self.loading: dict[Fqrv, str] = {}
        self.commands: list[str] = []
        self.fails_with: Exception | None = None
        self.is_ready = True
        self.load_seconds = 0.0

    async def __call__(self, command: str, *args: Any) -> Any:
        self.commands.append(command)
        if self.fails_with is not None:
            raise self.fails_with
        return await getattr(self, command)(*args)

    async def contracts(self) -> list[Contract]:
        return sorted(self.contracts_)

    async def create_contract(self, contract: Contract, settings: ContractSettings) -> Contract:
        if contract in self.contracts_:
            raise ContractValidationError(contract, "contract already exists")
        self.contracts_[contract] = settings
        return contract

    async def update_contract(self, contract: Contract, settings: ContractSettings) -> Contract:
        self._known(contract)
        self.contracts_[contract] = settings
        return contract

    async def contract_settings(self, contract: Contract) -> ContractSettings:
        self._known(contract)
        return self.contracts_[contract]

    async def deploy(self, request: ServeRequest) -> Fqrv:
        fqrv = request.fqrv
        if fqrv in self.servables:
            raise ServableAlreadyExists(fqrv, self.servables[fqrv].servable_settings)
        if request.contract_settings is not None and fqrv.contract in self.contracts_:
            raise ContractValidationError(fqrv.contract, "settings given for an existing contract")
        if "missing" in request.path:
            raise ServeRequestInvalid(request, f"{request.path} does not exist")
        self.loading[fqrv] = "reading the model"
        await asyncio.sleep(self.load_seconds)
        del self.loading[fqrv]
        self.contracts_.setdefault(fqrv.contract, request.contract_settings or ContractSettings())
        self.servables[fqrv] = request
        return fqrv

    async def delete(self, fqrv: Fqrv) -> list[Fqrv]:
        if self.servables.pop(fqrv, None) and not self._of(fqrv.contract):
            self.contracts_.pop(fqrv.contract, None)
        return [fqrv]

    async def update_servable(self, fqrv: Fqrv, policy: PolicySettings | None, logging: LoggingSettings | None) -> Fqrv:
        old = self._servable(fqrv)
        settings = ServableSettings(
            policy or old.servable_settings.policy_settings,
            logging or old.servable_settings.logging_settings,
            old.servable_settings.deployment_settings,
        )
        self.servables[fqrv] = ServeRequest(old.path, fqrv, old.flavor, settings)
        return fqrv

    async def releases(self, contract: Contract) -> list[Fqrv]:
        self._known(contract)
        if not self._of(contract):
            raise NoActiveServables(contract)
        return self._of(contract)

    async def metrics(self, contract: Contract) -> list[ServableMetrics]:
        return [
            ServableMetrics(fqrv, 3, 1, 1570054677899, {"rmse": 0.5}, 1570054677902, 100)
            for fqrv in await self.releases(contract)
        ]

    async def servable_settings(self, contract: Contract) -> list[ServableSettings]:
        return [self.servables[fqrv].servable_settings for fqrv in await self.releases(contract)]

    async def settings_of(self, fqrv: Fqrv) -> ServableSettings:
        return self._servable(fqrv).servable_settings

    async def metadata(self, contract: Contract) -> list[ServableMetadata]:
        self._known(contract)
        return [await self.metadata_of(fqrv) for fqrv in self._of(contract)]

    async def metadata_of(self, fqrv: Fqrv) -> ServableMetadata:
        return ServableMetadata(fqrv, self._servable(fqrv).servable_settings, MODEL)

    async def status(self, contract: Contract) -> list[ServableStatus]:
        self._known(contract)
        return [await self.status_of(fqrv) for fqrv in self._of(contract)]

    async def status_of(self, fqrv: Fqrv) -> ServableStatus:
        if fqrv in self.loading:
            return ServableStatus(fqrv, ServableState.LOADING, 1, (ReplicaState.LOADING,), self.loading[fqrv])
        replicas = self._servable(fqrv).servable_settings.deployment_settings.replicas
        return ServableStatus(fqrv, ServableState.AVAILABLE, replicas, (ReplicaState.READY,) * replicas)

    async def ready(self) -> bool:
        return self.is_ready

    def _of(self, contract: Contract) -> list[Fqrv]:
        return sorted(fqrv for fqrv in self.servables if fqrv.contract == contract)

    def _known(self, contract: Contract) -> None:
        if contract not in self.contracts_:
            raise UnknownContract(contract)

    def _servable(self, fqrv: Fqrv) -> ServeRequest:
        if fqrv not in self.servables:
            raise UnknownServable(fqrv)
        return self.servables[fqrv]
