"""What every inference codec decodes a request into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forestflow.domain.tensors import Batch


@dataclass(slots=True, eq=False)
class ScoreRequest:
    """A batch to score and the configs that came with it.

    ``context`` is what the codec remembers of the request to answer it (its id, the form of its tensors).
    """

    batch: Batch
    configs: Mapping[str, str]
    context: Any = None
