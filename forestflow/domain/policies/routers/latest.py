"""The newest release takes over from the one before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.policies.routers.base import Router
from forestflow.domain.policies.view import Release


@dataclass(frozen=True, slots=True)
class LatestPhaseInPctBasedRouter(Router):
    """The release that became valid last gets all requests; until it is phased in, the one before it shares them."""

    FORM: ClassVar[str] = "latest"

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        return cls() if kind.lower() == "latest" and not value else None

    def candidates(self, latest_first: Sequence[Release], percent: Callable[[Release], int]) -> list[Release]:
        return list(latest_first[:1] if percent(latest_first[0]) >= 100 else latest_first[:2])
