"""What every validity rule offers: when a release may answer users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.policies.view import ReleaseView


@dataclass(frozen=True, slots=True)
class Rule:
    """One validity rule. A release becomes valid once all of its rules hold, and stays so."""

    FORM: ClassVar[str]  # how the command line writes it

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        """Read the short form ``kind:value``; return ``None`` for another rule's."""
        raise NotImplementedError

    def holds(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> bool:
        raise NotImplementedError

    def detail(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> str:
        """Say what the rule compares, with the numbers of now."""
        raise NotImplementedError

    def holds_from(self, release: ReleaseView) -> int | None:
        """Return when time alone will make the rule hold, ``None`` if it cannot."""
        return None
