"""ONNX models, run by ONNX Runtime: no framework of the one that trained them is needed."""

from __future__ import annotations

from pathlib import Path

from forestflow.domain.errors import ArtifactRejected
from forestflow.domain.requests import Onnx
from forestflow.domain.settings import Resources
from forestflow.servables.base import Servable


def artifact_path(flavor: Onnx) -> str:
    """The file's path, relative to the path of its deploy request."""
    return flavor.model_path


def check(path: Path, flavor: Onnx) -> None:
    """Look at the file without ONNX Runtime; raises :class:`~forestflow.domain.errors.ArtifactRejected`."""
    file = model_file(path)
    with file.open("rb") as reader:
        head = reader.read(1)
    # A ModelProto begins with its first field, ir_version: tag 1, a varint.
    if head != b"\x08":
        raise ArtifactRejected(f"{file.name!r} is not an ONNX model")


def load(path: Path, flavor: Onnx, resources: Resources) -> Servable:
    """Load the model. Raises :class:`~forestflow.domain.errors.LoadFailed`."""
    from forestflow.servables.onnx.servable import load_model

    return load_model(model_file(path), resources)


def model_file(path: Path) -> Path:
    """The model at ``path``: that file, or the only ``.onnx`` of that folder (tensors may lie in files beside it)."""
    if path.is_file():
        return path
    found = sorted(path.glob("*.onnx")) if path.is_dir() else []
    if len(found) != 1:
        raise ArtifactRejected(f"{path.name!r} holds {len(found)} .onnx files; name the model's file")
    return found[0]
