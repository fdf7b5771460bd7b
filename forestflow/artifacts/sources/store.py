"""What a place that holds files by name offers: each file from an offset on, and perhaps its folders."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from forestflow.artifacts.sources.transfer import Opener


class Store(Protocol):
    """Paths are the store's own; they come from the URL of the deploy request."""

    def find(self, path: str) -> Mapping[str, int | None]:
        """The files at and below a path, relative to it (``""`` is the path itself), with their sizes if known.

        Empty when there are none. Raises ArtifactRejected, DeadlineExceeded.
        """

    def join(self, path: str, name: str) -> str:
        """The path of what lies below another by a relative name."""

    def opener(self, path: str) -> Opener:
        """One file, for :func:`~forestflow.artifacts.sources.transfer.download`."""


class FolderStore(Store, Protocol):
    """A store that tells what lies in a folder. Both calls raise ArtifactRejected and Interrupted.

    Where nothing lies, a folder cannot be told from one that is not there: neither call tells an error by an empty
    answer.
    """

    def folders(self, path: str) -> Collection[str]:
        """The names of the folders in a folder that holds anything; raises ArtifactRejected for any other."""

    def stamps(self, path: str) -> Mapping[str, str]:
        """For each file below a folder, relative to it, what changes with its content: size, entity tag, times."""
