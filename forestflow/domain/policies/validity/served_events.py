"""Valid after some requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.policies import forms
from forestflow.domain.policies.validity.base import Rule
from forestflow.domain.policies.view import ReleaseView


@dataclass(frozen=True, slots=True)
class MinServedEventsBasedValidity(Rule):
    """The release is valid once it has scored plus shaded this many requests."""

    FORM: ClassVar[str] = "served:COUNT"

    valid_after_min_served_events: int

    def __post_init__(self) -> None:
        if self.valid_after_min_served_events < 0:
            raise InvalidSettings("validAfterMinServedEvents must not be negative")

    @classmethod
    def parse(cls, kind: str, value: str) -> Self | None:
        events = forms.whole(value) if kind == "served" else None
        return None if events is None else cls(events)

    def holds(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> bool:
        return release.served_events >= self.valid_after_min_served_events

    def detail(self, release: ReleaseView, now_ms: int, default_metric: str | None) -> str:
        return f"{release.served_events} events served, needs {self.valid_after_min_served_events}"
