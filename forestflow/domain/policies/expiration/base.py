"""What every expiration policy offers: which valid releases a contract lets go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.ids import Fqrv
from forestflow.domain.policies.view import ReleaseView


@dataclass(frozen=True, slots=True)
class Expiration:
    """One expiration policy."""

    FORM: ClassVar[str]  # how the command line writes it

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        """Read the short form ``kind:value``; return ``None`` for another policy's."""
        raise NotImplementedError

    def expired(self, latest_first: Sequence[ReleaseView], now_ms: int) -> list[Fqrv]:
        """Return which of the *valid* releases, sorted by when they became valid, are to go now."""
        raise NotImplementedError

    def expires_at(self, became_valid_at_ms: int) -> int | None:
        """Return when time alone may expire a release, ``None``: never."""
        return None


def check_keep(servables_to_keep: int) -> None:
    """Raise InvalidSettings unless at least one release is kept."""
    if servables_to_keep < 1:
        raise InvalidSettings(f"servablesToKeep must be at least 1, got {servables_to_keep}")
