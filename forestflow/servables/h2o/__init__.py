"""H2O MOJO archives, scored by ``hex.genmodel`` in a JVM inside the replica's process."""

from __future__ import annotations

from pathlib import Path

from forestflow.domain.requests import H2OMojo
from forestflow.domain.settings import Resources
from forestflow.servables.base import Servable
from forestflow.servables.h2o.archive import read_archive


def artifact_path(flavor: H2OMojo) -> str:
    """The MOJO's path, relative to the path of its deploy request."""
    return flavor.mojo_path


def check(path: Path, flavor: H2OMojo) -> None:
    """Look at the archive without Java; raises :class:`~forestflow.domain.errors.ArtifactRejected`."""
    read_archive(path)


def load(path: Path, flavor: H2OMojo, resources: Resources) -> Servable:
    """Start the JVM if this process has none, and load the MOJO.

    Raises :class:`~forestflow.domain.errors.LoadFailed`, or ``ArtifactRejected`` for a damaged or hostile archive.
    """
    from forestflow.servables.h2o.servable import load_mojo

    read_archive(path)
    return load_mojo(path, resources)
