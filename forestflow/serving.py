"""What a model's own script may import from ForestFlow: light, and the same in the script's own tests."""

from __future__ import annotations

from forestflow.domain.errors import InvalidInput


class BadInput(InvalidInput):
    """Raise it for a request that the model cannot take: the client gets the message and 422, in place of a 500."""
