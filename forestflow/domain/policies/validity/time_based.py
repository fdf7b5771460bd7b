"""Valid after some time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.policies import forms
from forestflow.domain.policies.validity.base import Rule
from forestflow.domain.policies.view import ReleaseView


@dataclass(frozen=True, slots=True)
class TimeBasedValidity(Rule):
    """The release is valid ``valid_after_ms`` milliseconds after it was created."""

    FORM: ClassVar[str] = "after:SECONDS"

    valid_after_ms: int

    def __post_init__(self) -> None:
        if self.valid_after_ms < 0:
            raise InvalidSettings(f"validAfterMS must not be negative, got {self.valid_after_ms}")

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        seconds = forms.decimal(value) if kind == "after" else None
        return None if seconds is None else cls(round(seconds * 1000))

    def holds(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> bool:
        return now_ms - release.created_at_ms >= self.valid_after_ms

    def detail(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> str:
        return f"{max(0, now_ms - release.created_at_ms)} ms old, needs {self.valid_after_ms} ms"

    def holds_from(self, release: ReleaseView) -> int | None:
        return release.created_at_ms + self.valid_after_ms
