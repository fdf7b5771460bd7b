"""TensorFlow SavedModels, of TensorFlow 1 and 2, and ``.keras`` files, run by TensorFlow in the replica's process."""

from __future__ import annotations

from pathlib import Path

from forestflow.domain.requests import TensorFlow
from forestflow.domain.settings import Resources
from forestflow.servables.base import Servable
from forestflow.servables.tensorflow.artifact import check_artifact


def artifact_path(flavor: TensorFlow) -> str:
    """The SavedModel directory or ``.keras`` file, relative to the path of its deploy request; may be ``.``."""
    return flavor.model_path


def check(path: Path, flavor: TensorFlow) -> None:
    """Look at the artifact without TensorFlow; raises :class:`~forestflow.domain.errors.ArtifactRejected`."""
    check_artifact(path)


def load(path: Path, flavor: TensorFlow, resources: Resources) -> Servable:
    """Start TensorFlow with the threads of ``resources``, and load the model.

    Raises :class:`~forestflow.domain.errors.LoadFailed`, or ``ArtifactRejected`` for a damaged or hostile artifact.
    """
    check_artifact(path)
    from forestflow.servables.tensorflow.process import prepare

    prepare(resources)
    from forestflow.servables.tensorflow.servable import TensorFlowServable

    if path.is_dir():
        from forestflow.servables.tensorflow.saved_model import load_saved_model

        return TensorFlowServable(load_saved_model(path, flavor), path)
    from forestflow.servables.tensorflow.keras_file import load_keras_file

    return TensorFlowServable(load_keras_file(path, flavor))
