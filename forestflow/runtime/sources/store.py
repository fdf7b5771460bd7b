"""What a place that holds files by name offers: a listing, and each file from an offset on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from forestflow.runtime.sources.transfer import Opener


class Store(Protocol):
    """Paths are the store's own; they come from the URL of the deploy request."""

    def find(self, path: str) -> Mapping[str, int | None]:
        """The files at and below a path, relative to it (``""`` is the path itself), with their sizes if known.

        Empty when there are none. Raises ArtifactRejected, DeadlineExceeded.
        """

    def join(self, path: str, name: str) -> str:
        """The path of what lies below another by a relative name."""

    def opener(self, path: str) -> Opener:
        """One file, for :func:`~forestflow.runtime.sources.transfer.download`."""
