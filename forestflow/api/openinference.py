"""What both transports of the Open Inference Protocol ask of the server: which model is meant, and whether it is up."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from forestflow.api.models import Models
from forestflow.codecs.oip import documents as oip_documents
from forestflow.domain import naming
from forestflow.domain.commands import IsReady
from forestflow.domain.errors import ForestFlowError, UnknownModel
from forestflow.domain.ids import Contract, Fqrv


class OpenInference:
    """The protocol's view of one router."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def find(self, name: str, version: str | None) -> tuple[Contract, Fqrv | None]:
        """The contract of a model, and the release of its version if one is named. Raises UnknownModel."""
        contract = self._models.find(name)
        if contract is None:
            raise UnknownModel(f"there is no model {name!r}")
        if not version:
            return contract, None
        release = naming.find_version(version, self._models.releases(contract))
        if release is None:
            raise UnknownModel(f"model {name!r} has no version {version!r}")
        return contract, release.fqrv

    async def ready(self) -> bool:
        """Return whether the server as a whole is ready, as GET /ready answers."""
        try:
            return await self._models.control.run(IsReady())
        except ForestFlowError:  # nobody to ask is not ready either
            return False

    def model_ready(self, name: str, version: str | None) -> bool:
        """Whether that model, or version of it, answers now. Raises UnknownModel."""
        contract, only = self.find(name, version)
        releases = self._models.releases(contract)
        return any(r.replicas and (r.fqrv == only if only else r.weight > 0) for r in releases)

    def server(self) -> dict[str, Any]:
        return oip_documents.server_metadata(version("forestflow"))

    async def model(self, name: str, version: str | None) -> dict[str, Any]:
        """The model's metadata. Raises UnknownModel, Unavailable."""
        contract, only = self.find(name, version)
        _, told = await self._models.model(contract, only)
        versions = [only] if only else [release.fqrv for release in self._models.releases(contract)]
        return oip_documents.model_metadata(name, versions, told)
