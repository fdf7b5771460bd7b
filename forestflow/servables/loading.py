"""From a flavor to its loader, by import string, so that each framework stays optional."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from forestflow.domain.errors import LoadFailed
from forestflow.domain.requests import Flavor, H2OMojo
from forestflow.domain.settings import Resources
from forestflow.servables.base import Servable

# A flavor module offers ``artifact_path(flavor) -> str`` (relative to the deploy path), ``check(path, flavor)`` (no
# framework imported; raises ArtifactRejected) and ``load(path, flavor, resources) -> Servable``.
FLAVOR_MODULES: dict[type[Flavor], str] = {
    H2OMojo: "forestflow.servables.h2o",
}


def artifact_path(flavor: Flavor) -> str:
    """The file or folder that a flavor needs, relative to the path of its deploy request."""
    return cast(str, import_module(FLAVOR_MODULES[type(flavor)]).artifact_path(flavor))


def check(path: Path, flavor: Flavor) -> None:
    """Look at an artifact without loading it; raises :class:`~forestflow.domain.errors.ArtifactRejected`."""
    import_module(FLAVOR_MODULES[type(flavor)]).check(path, flavor)


def load(path: Path, flavor: Flavor, resources: Resources) -> Servable:
    """Load the artifact at ``path``.

    Raises :class:`~forestflow.domain.errors.LoadFailed` with a reason a user can act on.
    """
    try:
        return cast(Servable, import_module(FLAVOR_MODULES[type(flavor)]).load(path, flavor, resources))
    except ImportError as error:
        raise LoadFailed(f"the framework of {type(flavor).__name__} is not installed: {error}") from error
