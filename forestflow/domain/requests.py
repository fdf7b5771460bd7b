"""What users ask of the control plane: deploy a release; and the flavors a release can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from forestflow.domain.ids import Fqrv
from forestflow.domain.settings import ContractSettings, ServableSettings


@dataclass(frozen=True, slots=True)
class H2OMojo:
    """An H2O MOJO archive. ``mojo_path`` is relative to the path of the deploy request.

    ``version`` is the H2O version that wrote it, kept for information as in the original.
    """

    mojo_path: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class TensorFlow:
    """A SavedModel directory or a ``.keras`` file, relative to the path of the deploy request.

    ``signature`` answers requests that name none; without it ``serving_default``, or the model's only one. ``tags``
    choose the MetaGraph; without them ``serve``.
    """

    model_path: str
    signature: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Python:
    """A class in a script, which lies with all its files in the directory that the deploy request's path names.

    ``requirements`` are pip's, for this model alone; ``-r file`` reads a file of that directory.
    """

    script: str
    class_name: str = "Predict"
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Onnx:
    """An ONNX file, relative to the path of the deploy request."""

    model_path: str


@dataclass(frozen=True, slots=True)
class MLmodel:
    """A folder with an ``MLmodel`` file, as MLflow writes it: the first of its flavors that is known is loaded.

    ``model_path`` is relative to the path of the deploy request; ``flavor`` names one of the file's instead.
    """

    model_path: str = "."
    flavor: str | None = None


Flavor = H2OMojo | TensorFlow | Python | Onnx | MLmodel

# Request configs that every servable understands, where its model has the choice.
SIGNATURE_KEY = "forestflow.signature"  # the signature to call, by name; Python: the method (predict, classify, …)
OUTPUTS_KEY = "forestflow.outputs"  # the outputs to answer, by name, separated by commas, in this order
PARAMS_KEY = "forestflow.params"  # params of an MLmodel signature, by name, as a JSON object


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """Deploy one release (the original's BasicServeRequest). ``contract_settings`` only for a new contract.

    ``sha256`` is what the artifact must hash to: of a file its own; of a folder see
    :meth:`forestflow.artifacts.store.ArtifactStore.add`.
    """

    path: str
    fqrv: Fqrv
    flavor: Flavor
    servable_settings: ServableSettings = field(default_factory=ServableSettings)
    contract_settings: ContractSettings | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    sha256: str | None = None
