"""What every phase-in policy offers: how fast a valid release gets its share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class PhaseIn:
    """One phase-in policy. ``elapsed_ms`` is the time since the release became valid, never negative."""

    FORM: ClassVar[str]  # how the command line writes it

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        """Read the short form ``kind:value``; return ``None`` for another policy's."""
        raise NotImplementedError

    def percent_at(self, elapsed_ms: int) -> int:
        """Return how much of its full share the release takes, 0 to 100."""
        raise NotImplementedError

    def changes_at(self, elapsed_ms: int) -> int | None:
        """Return the ``elapsed_ms`` at which time alone changes the percent next; ``None``: never again."""
        return None
