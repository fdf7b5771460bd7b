"""What protocols with a flat list of models need to know of contracts: their names, releases and signatures."""

from __future__ import annotations

from collections.abc import Mapping

from forestflow.controlplane.control import ControlPlane
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.domain import naming
from forestflow.domain.commands import ListMetadata
from forestflow.domain.errors import Unavailable
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.naming import ModelNames
from forestflow.domain.plan import ReleasePlan
from forestflow.domain.tensors import ModelMetadata


class Models:
    """One for all protocols of a router.

    Names are remembered until a contract comes or goes, metadata until its contract has other replicas.
    """

    def __init__(self, control: ControlPlane, dispatcher: Dispatcher, aliases: Mapping[str, Contract]) -> None:
        self.control = control
        self._dispatcher = dispatcher
        self._aliases = aliases
        self._turnover = -1
        self._names = ModelNames((), aliases)
        self._metadata: dict[Contract, tuple[frozenset[str], dict[Fqrv, ModelMetadata]]] = {}

    def find(self, name: str) -> Contract | None:
        """The contract that is there under that model name."""
        if self._turnover != self._dispatcher.turnover:
            self._turnover = self._dispatcher.turnover
            self._names = ModelNames(self._dispatcher.contracts, self._aliases)
            self._metadata = {c: known for c, known in self._metadata.items() if c in self._dispatcher.contracts}
        contract = self._names.find(name)
        return contract if contract in self._dispatcher.contracts else None

    def releases(self, contract: Contract) -> tuple[ReleasePlan, ...]:
        """The contract's releases in the order of their deployment. Raises UnknownContract."""
        return tuple(release.plan for release in self._dispatcher.route(contract).releases.values())

    async def metadata(self, contract: Contract) -> Mapping[Fqrv, ModelMetadata]:
        """What each loaded release says of itself. Raises UnknownContract; Unavailable when nobody knows now."""
        loaded = self._loaded(contract)
        remembered, known = self._metadata.get(contract, (None, {}))
        if remembered != loaded:
            known = {told.fqrv: told.model for told in await self.control.run(ListMetadata(contract))}
            if loaded == self._loaded(contract):
                self._metadata[contract] = loaded, known
        return known

    async def model(self, contract: Contract, only: Fqrv | None = None) -> tuple[Fqrv, ModelMetadata]:
        """Return the signatures of a release, and which one it is: ``only``, or the one that speaks for the contract.

        Raises UnknownContract; Unavailable where it has not been loaded.
        """
        known = await self.metadata(contract)
        loaded = [release for release in self.releases(contract) if release.fqrv in known]
        if only is None:
            spoken = naming.speaker(loaded)
            only = spoken.fqrv if spoken else None
        if only is None or only not in known:
            raise Unavailable(f"no release of {contract} is loaded" if only is None else f"{only} is not loaded")
        return only, known[only]

    def _loaded(self, contract: Contract) -> frozenset[str]:
        """A release of the same name as one before it has other replicas."""
        return frozenset(replica.replica_id for release in self.releases(contract) for replica in release.replicas)
