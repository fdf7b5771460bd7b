"""From a flavor to its loader, by import string, so that each framework stays optional."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from forestflow.domain.errors import LoadFailed
from forestflow.domain.requests import Flavor, H2OMojo, MLmodel, Onnx, Python, TensorFlow
from forestflow.domain.settings import Resources
from forestflow.servables.base import Servable

# A flavor module offers ``artifact_path(flavor) -> str`` (relative to the deploy path), ``check(path, flavor)`` (no
# framework imported; raises ArtifactRejected) and ``load(path, flavor, resources) -> Servable``. It may offer
# ``requirements(path, flavor) -> tuple[str, ...]``, ``runs_code(path, flavor) -> bool`` and
# ``elsewhere(path, flavor) -> str | None``.
FLAVOR_MODULES: dict[type[Flavor], str] = {
    H2OMojo: "forestflow.servables.h2o",
    TensorFlow: "forestflow.servables.tensorflow",
    Python: "forestflow.servables.python",
    Onnx: "forestflow.servables.onnx",
    MLmodel: "forestflow.servables.mlmodel",
}


def artifact_path(flavor: Flavor) -> str:
    """The file or folder that a flavor needs, relative to the path of its deploy request."""
    return cast(str, import_module(FLAVOR_MODULES[type(flavor)]).artifact_path(flavor))


def check(path: Path, flavor: Flavor) -> None:
    """Look at an artifact without loading it; raises :class:`~forestflow.domain.errors.ArtifactRejected`."""
    import_module(FLAVOR_MODULES[type(flavor)]).check(path, flavor)


def elsewhere(path: Path, flavor: Flavor) -> str | None:
    """The URL or absolute path where more files of the model are, if the artifact says so; raises ArtifactRejected."""
    module = import_module(FLAVOR_MODULES[type(flavor)])
    return cast(str | None, module.elsewhere(path, flavor)) if hasattr(module, "elsewhere") else None


def requirements(path: Path, flavor: Flavor) -> tuple[str, ...]:
    """What pip must install for this model alone; raises :class:`~forestflow.domain.errors.ArtifactRejected`."""
    module = import_module(FLAVOR_MODULES[type(flavor)])
    return cast(tuple[str, ...], module.requirements(path, flavor)) if hasattr(module, "requirements") else ()


def runs_code(path: Path, flavor: Flavor) -> bool:
    """Whether a model is code, or may hold some that loading it runs (a pickle)."""
    module = import_module(FLAVOR_MODULES[type(flavor)])
    return hasattr(module, "runs_code") and bool(module.runs_code(path, flavor))


def refuse_code(path: Path, flavor: Flavor) -> None:
    """For servers that run no code of models: raises LoadFailed for one that does."""
    if runs_code(path, flavor):
        raise LoadFailed(f"{type(flavor).__name__} models that run code are turned off by code_servables")


def load(path: Path, flavor: Flavor, resources: Resources) -> Servable:
    """Load the artifact at ``path``.

    Raises :class:`~forestflow.domain.errors.LoadFailed` with a reason a user can act on.
    """
    try:
        return cast(Servable, import_module(FLAVOR_MODULES[type(flavor)]).load(path, flavor, resources))
    except ImportError as error:
        raise LoadFailed(f"the framework of {type(flavor).__name__} is not installed: {error}") from error
