"""What an exception out of Java means to a user of ForestFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forestflow.domain.errors import (
    ArtifactRejected,
    ForestFlowError,
    InvalidInput,
    LoadFailed,
    ModelFailed,
    NotImplementedByModel,
)


def java_message(error: BaseException) -> str:
    """The message without class names and stack traces; the bare class name where it has none."""
    thrown: Any = error
    message = str(thrown.getMessage() or "") if hasattr(thrown, "getMessage") else str(error)
    return message or type(error).__name__.rpartition(".")[2]


def _is(error: BaseException, *java_classes: str) -> bool:
    """Whether ``error`` is a Java exception of one of these classes; JPype's proxies mirror Java's class tree."""
    return any(cls.__name__ in java_classes for cls in type(error).__mro__)


def predict_failure(error: Exception) -> ForestFlowError:
    """A client's fault, a missing ability, or a failure of the model."""
    message = java_message(error)
    if _is(error, "hex.genmodel.easy.exception.PredictException", "java.lang.NumberFormatException"):
        return InvalidInput(message)
    if _is(error, "java.lang.UnsupportedOperationException"):
        return NotImplementedByModel(message)
    if _is(error, "java.lang.OutOfMemoryError"):
        return ModelFailed("the JVM is out of memory; raise resources.memoryMB")
    return ModelFailed(f"the model failed: {message}")


def load_failure(path: Path, error: Exception) -> ForestFlowError:
    """Why a checked archive could not be loaded; the message names the file, not its folder."""
    name = path.name
    if _is(error, "java.lang.OutOfMemoryError"):
        return LoadFailed(f"{name} does not fit into the JVM's memory; raise resources.memoryMB")
    message = java_message(error).replace(str(path), name).replace(f"{path.parent}/", "")
    if "MOJO version incompatibility" in message:
        return ArtifactRejected(f"{name} was written by a newer H2O than the one installed here: {message}")
    return LoadFailed(f"{name} could not be loaded: {message}")
