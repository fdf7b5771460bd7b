"""What the Open Inference Protocol tells of the server and of a model, as plain values for both of its forms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from forestflow.codecs.oip.tensors import NAMES
from forestflow.domain.ids import Fqrv
from forestflow.domain.tensors import IOMetadata, ModelMetadata

SERVER = "forestflow"
EXTENSIONS = ("binary_tensor_data",)


def server_metadata(version: str) -> dict[str, Any]:
    """Describe the server as a whole."""
    return {"name": SERVER, "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(name: str, versions: Iterable[Fqrv], model: ModelMetadata) -> dict[str, Any]:
    """Describe a model by its default signature; where that is batched, the rows come first in the shapes."""
    signature = model.every_signature()[model.default]
    return {
        "name": name,
        "versions": [version.release_version for version in versions],
        "platform": SERVER,
        "inputs": [_tensor(io, signature.batched) for io in signature.inputs],
        "outputs": [_tensor(io, signature.batched) for io in signature.outputs],
    }


def _tensor(io: IOMetadata, batched: bool) -> dict[str, Any]:
    return {"name": io.name, "datatype": NAMES[io.type], "shape": [-1, *io.shape] if batched else list(io.shape)}
