"""Errors that name what they are about: a contract, a release, a request. They cross processes as ``errors`` do."""

from __future__ import annotations

from forestflow.domain.errors import Code, ForestFlowError
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.requests import ServeRequest
from forestflow.domain.settings import ServableSettings


class UnknownContract(ForestFlowError):
    """``UnknownContract(contract)``."""

    code = Code.NOT_FOUND

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        self.contract = contract

    @property
    def message(self) -> str:
        return f"unknown contract {self.contract}"


class UnknownServable(ForestFlowError):
    """``UnknownServable(fqrv)``."""

    code = Code.NOT_FOUND

    def __init__(self, fqrv: Fqrv) -> None:
        super().__init__(fqrv)
        self.fqrv = fqrv

    @property
    def message(self) -> str:
        return f"unknown servable {self.fqrv}"


class NotWatched(ForestFlowError):
    """The contract has no version directories: ``NotWatched(contract)``."""

    code = Code.NOT_FOUND

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        self.contract = contract

    @property
    def message(self) -> str:
        return f"contract {self.contract} has no version directories; a deploy with 'versions' gives it some"


class NoActiveServables(ForestFlowError):
    """The contract exists but no release of it can answer: ``NoActiveServables(contract)``."""

    code = Code.NO_ACTIVE_SERVABLE

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        self.contract = contract

    @property
    def message(self) -> str:
        return f"no active servables for contract {self.contract}"


class ServableAlreadyExists(ForestFlowError):
    """``ServableAlreadyExists(fqrv, settings_of_the_existing_one)``."""

    code = Code.ALREADY_EXISTS

    def __init__(self, fqrv: Fqrv, settings: ServableSettings) -> None:
        super().__init__(fqrv, settings)
        self.fqrv = fqrv
        self.settings = settings

    @property
    def message(self) -> str:
        return f"servable {self.fqrv} already exists"


class ContractValidationError(ForestFlowError):
    """``ContractValidationError(contract, message)``."""

    code = Code.INVALID

    def __init__(self, contract: Contract, message: str) -> None:
        super().__init__(contract, message)
        self.contract = contract


class ServeRequestInvalid(ForestFlowError):
    """A deploy that failed, with the request as understood: ``ServeRequestInvalid(request, message)``."""

    code = Code.INVALID

    def __init__(self, request: ServeRequest, message: str) -> None:
        super().__init__(request, message)
        self.request = request
