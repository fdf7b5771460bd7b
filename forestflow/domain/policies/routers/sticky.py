"""Equal keys go to one release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.policies.routers.base import Router


@dataclass(frozen=True, slots=True)
class StickyRouter(Router):
    """Requests with the same value of the config ``key_config`` go to the same release, by phase-in percent.

    When weights move, only the necessary share of the keys moves. Requests without a key are split as by Fair.
    """

    FORM: ClassVar[str] = "sticky:CONFIG"

    key_config: str

    def __post_init__(self) -> None:
        if not self.key_config:
            raise InvalidSettings("keyConfig must not be empty")

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        return cls(value) if kind == "sticky" and value else None
