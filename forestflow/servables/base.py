"""The interface between a replica and the model it hosts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

from forestflow.domain.independence import Independence
from forestflow.domain.tensors import Batch, ModelMetadata


class Servable(Protocol):
    """One loaded release. Called from one thread at a time."""

    @property
    def metadata(self) -> ModelMetadata:
        """Inputs and outputs, as the model declares them."""
        ...

    @property
    def slice_rows(self) -> int:
        """How many rows one ``predict`` call takes in a few milliseconds; larger batches are cut into such slices."""
        ...

    def merge_key(self, configs: Mapping[str, str]) -> Hashable | None:
        """Requests with equal keys (and equal batch signatures) may run as one batch, if rows are independent.

        ``None`` says that this request runs alone and in one piece: its answer need not have as many rows.
        """
        ...

    def independence(self, examples: Sequence[Batch] = ()) -> Mapping[str, Independence]:
        """Say of each signature whether its rows are independent of each other, and how that is known.

        Called once, after ``warm_up``. ``examples`` are inputs of the default signature. Raises nothing: what a model
        refuses, or fails of, was not shown.
        """
        ...

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        """Score every row; the answer has as many rows, in the same order, and the layout of ``batch``.

        A batch of layout TENSORS or WHOLE for a model, or signature, without rows is one call: the servable puts the
        whole tensors together again, and answers in layout WHOLE. A model that answers tensors by another number of
        rows gets its answer through, with that number of rows, or in layout WHOLE.

        Raises :class:`~forestflow.domain.errors.InvalidInput` for a client's fault,
        :class:`~forestflow.domain.errors.NotImplementedByModel` for an output the model lacks,
        :class:`~forestflow.domain.errors.ModelFailed` when the model itself fails.
        """
        ...

    def warm_up(self) -> None:
        """Make the first real request as fast as later ones. Called once, before the replica is announced."""
        ...

    def close(self) -> None:
        """Free what the model holds."""
        ...
