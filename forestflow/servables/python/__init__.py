"""Classes in Python scripts, as Hopsworks model serving has them: ``__init__``, ``predict``, ``classify``, ``regress``.

The script lies in the directory that a deploy request's path names. The whole directory comes along; where it is on
the host, ``self.path`` and the environment variable MODEL_PATH tell. The script's own folder is on ``sys.path``.

What the class may say of itself, beside its methods (:class:`~forestflow.servables.python.options.Options`):

- ``inputs``: "list" (default), "numpy" or "columns", see :mod:`forestflow.servables.python.inputs`;
- ``batched = True``: records are independent, so requests may run as one batch, and long ones in slices;
- ``methods``: further public methods that a request may name in its config ``forestflow.signature``;
- ``metadata = {"inputs": [{"name", "type", "shape", "description"}, …], "outputs": […]}``, ``shape`` of one record;
- ``example``: what ``predict`` takes, for the warm-up; a class that fails on it is not deployed.

It answers with one entry per record (a list, an array, or a dict of them by output name). It raises
:class:`forestflow.serving.BadInput` for a client's fault and NotImplementedError for a method that it does not have.
"""

from __future__ import annotations

from pathlib import Path

from forestflow.domain.requests import Python
from forestflow.domain.settings import Resources
from forestflow.servables.base import Servable
from forestflow.servables.python import script
from forestflow.servables.python.requirements import read_requirements
from forestflow.serving import BadInput

__all__ = ["BadInput", "artifact_path", "check", "load", "requirements", "runs_code"]


def artifact_path(flavor: Python) -> str:
    """The whole directory of the deploy request."""
    return "."


def check(path: Path, flavor: Python) -> None:
    """Look at script and requirements without running anything; raises ArtifactRejected."""
    script.check(path, flavor)
    read_requirements(path, flavor.requirements)


def requirements(path: Path, flavor: Python) -> tuple[str, ...]:
    """What pip is to install for this model alone; raises ArtifactRejected for a file that is not there."""
    return read_requirements(path, flavor.requirements)


def runs_code(path: Path, flavor: Python) -> bool:
    """Always."""
    return True


def load(path: Path, flavor: Python, resources: Resources) -> Servable:
    """Run the script and make an object of its class. Raises LoadFailed."""
    from forestflow.servables.python.servable import PythonServable

    return PythonServable(script.instantiate(path, flavor))
