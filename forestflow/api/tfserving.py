"""TensorFlow Serving's models and versions, whichever transport asks: what a name means, and what is told of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from forestflow.api.models import Models
from forestflow.codecs.tfserving.documents import Spec
from forestflow.codecs.tfserving.rest import PREDICT
from forestflow.domain.commands import ListStatus
from forestflow.domain.errors import ForestFlowError, InvalidInput, UnknownModel
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.naming import LABELS, find_label, find_version
from forestflow.domain.plan import ReleasePlan
from forestflow.domain.refusals import NoActiveServables, UnknownContract, UnknownServable
from forestflow.domain.reports import ServableStatus
from forestflow.domain.tensors import ModelMetadata

_KINDS = {"classify": "classification", "regress": "regression"}


@dataclass(frozen=True, slots=True)
class Target:
    """A contract, of which perhaps ``only`` one release."""

    spec: Spec
    contract: Contract
    only: Fqrv | None = None


class TfServing:
    """What a name, a version and a label stand for, and what there is to tell of them."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def target(self, spec: Spec) -> Target:
        """Raises UnknownModel; InvalidInput for a label that there is not."""
        contract = self._models.find(spec.model)
        if contract is None:
            raise _not_found(spec)
        if not spec.version and not spec.label:
            return Target(spec, contract)
        releases = self._models.releases(contract)
        if spec.label:
            if spec.label not in LABELS:
                raise InvalidInput(f"Unrecognized servable version label: {spec.label}; known are {', '.join(LABELS)}")
            found = find_label(spec.label, releases)
        else:
            found = find_version(spec.version, releases)
        if found is None:
            raise _not_found(spec)
        return Target(spec, contract, found.fqrv)

    async def signature(self, target: Target, verb: str) -> str:
        """Which to call for a verb where the request names none; "": the model's default.

        Raises InvalidInput where the model has none for it.
        """
        if target.spec.signature or verb == PREDICT:
            return target.spec.signature
        _, metadata = await self.metadata(target)
        signatures = metadata.every_signature()
        if signatures[metadata.default].method == verb:
            return ""
        for name, signature in signatures.items():
            if signature.method == verb:
                return name
        raise InvalidInput(
            f"Expected {_KINDS[verb]} signature method_name to be tensorflow/serving/{verb}. "
            f"Was: tensorflow/serving/{signatures[metadata.default].method}"
        )

    async def metadata(self, target: Target) -> tuple[Fqrv, ModelMetadata]:
        """The release that was meant, or that speaks for its contract. Raises Unavailable where it is not loaded."""
        return await self._models.model(target.contract, target.only)

    async def status(self, spec: Spec) -> list[ServableStatus]:
        """Return the status of all versions, loading and failed ones too, or of the one named. Raises UnknownModel."""
        contract = self._models.find(spec.model)
        if contract is None:
            raise UnknownModel(f"Could not find any versions of model {spec.model}")
        told = await self._models.control.run(ListStatus(contract))
        if spec.label:
            only = self.target(spec).only
            return [status for status in told if status.fqrv == only]
        if spec.version:
            found = find_version(spec.version, [ReleasePlan(status.fqrv, 0) for status in told])
            if found is None:
                raise UnknownModel(f"Could not find version {spec.version} of model {spec.model}")
            return [status for status in told if status.fqrv == found.fqrv]
        return told


Score = Callable[[Contract, int, bytes, Fqrv | None], Awaitable[bytes]]


async def scored(score: Score, target: Target, codec: int, payload: bytes) -> bytes:
    """What ``score`` answers; raises UnknownModel where nobody may answer."""
    try:
        return await score(target.contract, codec, payload, target.only)
    except ForestFlowError as error:
        raise in_its_words(error, target) from None


def in_its_words(error: ForestFlowError, target: Target) -> ForestFlowError:
    """The error, or UnknownModel where nobody may answer."""
    nobody = (NoActiveServables, UnknownContract, UnknownServable)
    return _not_found(target.spec) if isinstance(error, nobody) else error


def _not_found(spec: Spec) -> UnknownModel:
    asked = f"Specific({spec.model}, {spec.version})" if spec.version else f"Latest({spec.model})"
    return UnknownModel(f"Servable not found for request: {asked}")
