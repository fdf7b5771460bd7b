"""What every contract router offers: which releases share the requests of users, and by what weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.ids import Fqrv
from forestflow.domain.policies.view import Release, ReleaseView


@dataclass(frozen=True, slots=True)
class Router:
    """One contract router. Each release has a phase-in percent, 0 to 100."""

    FORM: ClassVar[str]  # how the command line writes it

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        """Read the short form ``kind:value``; return ``None`` for another router's."""
        raise NotImplementedError

    def candidates(self, latest_first: Sequence[Release], percent: Callable[[Release], int]) -> list[Release]:
        """Return which of the valid releases, sorted by when they became valid, may answer."""
        return list(latest_first)

    def weights(
        self, candidates: Sequence[ReleaseView], percents: Mapping[Fqrv, int], default_metric: str | None
    ) -> dict[Fqrv, int]:
        """Return the weight of each candidate; by default its phase-in percent."""
        return dict(percents)
