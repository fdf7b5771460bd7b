"""How many examples property tests draw, and whether the same each time: pytest's ``--hypothesis-profile``."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_USUAL = 100  # Hypothesis's own number of examples; what is given to up_to() is meant beside it


def register() -> None:
    """``searching``, the default, draws others each time; ``repeatable`` the same half as many, ``fast`` a tenth.

    None of them times an example: that would test the machine.
    """
    common = settings(max_examples=_USUAL, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("searching", common)
    settings.register_profile("repeatable", common, derandomize=True, max_examples=_USUAL // 2)
    settings.register_profile("fast", common, derandomize=True, max_examples=_USUAL // 10)
    settings.load_profile("searching")


def up_to(number: int) -> int:
    """``number`` examples, or their part in a profile of fewer."""
    return number * settings.default.max_examples // _USUAL
