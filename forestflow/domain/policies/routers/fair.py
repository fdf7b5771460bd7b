"""All valid releases share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.policies.routers.base import Router


@dataclass(frozen=True, slots=True)
class FairPhaseInPctBasedRouter(Router):
    """All valid releases share the requests in proportion to their phase-in percent."""

    FORM: ClassVar[str] = "fair"

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        return cls() if kind.lower() == "fair" and not value else None
