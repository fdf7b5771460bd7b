"""Whether a model answers each row for itself: what a release's settings say, and what was found at its loading."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class IndependentRows(enum.Enum):
    """Whether rows of several requests may run as one batch, and those of a long request in slices."""

    AUTO = "auto"  # where it was shown when the model was loaded
    YES = "yes"  # the author of the model says so
    NO = "no"  # every request runs alone and in one piece


@dataclass(frozen=True, slots=True)
class Independence:
    """What is known of one signature: whether each row has its answer whatever runs beside it, and how we know."""

    shown: bool
    reason: str
