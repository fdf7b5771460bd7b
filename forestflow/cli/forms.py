"""Short texts that stand for policies and routers on the command line, as the JSON that the server takes."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, get_args

from google.protobuf.message import Message

from forestflow.codecs.messages import policies as policy_messages
from forestflow.codecs.messages.message_json import to_document
from forestflow.domain.errors import InvalidSettings
from forestflow.domain.policies.expiration import ExpirationPolicy
from forestflow.domain.policies.phase_in import PhaseInPolicy
from forestflow.domain.policies.routers import ContractRouter
from forestflow.domain.policies.validity import ValidityRule

Json = dict[str, Any]


def forms_of(kinds: types.UnionType) -> str:
    """List the short forms of all policies of one kind."""
    *most, last = [kind.FORM for kind in get_args(kinds)]
    return f"{', '.join(most)} or {last}"


VALIDITY_FORMS = forms_of(ValidityRule)
PHASE_IN_FORMS = forms_of(PhaseInPolicy)
EXPIRATION_FORMS = forms_of(ExpirationPolicy)
ROUTER_FORMS = forms_of(ContractRouter)


def validity(text: str) -> Json:
    """Read one validity rule. Raises ValueError, as all of these do, for a text that is none of the forms."""
    return _read(text, ValidityRule, policy_messages.rule_to, "--validity")


def phase_in(text: str) -> Json:
    """Read a phase-in policy."""
    return _read(text, PhaseInPolicy, policy_messages.phase_in_to, "--phase-in")


def expiration(text: str) -> Json:
    """Read an expiration policy."""
    return _read(text, ExpirationPolicy, policy_messages.expiration_to, "--expiration")


def router(text: str) -> Json:
    """Read a contract router."""
    return _read(text, ContractRouter, policy_messages.router_to, "--router")


def given(**values: Any) -> Json:
    """Return the values that are not ``None``."""
    return {name: value for name, value in values.items() if value is not None}


def _read(text: str, kinds: types.UnionType, to_message: Callable[[Any], Message], option: str) -> Json:
    kind, colon, value = text.partition(":")
    candidates = get_args(kinds) if bool(colon) == bool(value) else ()
    try:
        found = (policy for form in candidates if (policy := form.parse(kind, value)) is not None)
        policy = next(found, None)
    except InvalidSettings as wrong:
        raise ValueError(f"{option} {text!r}: {wrong}") from None
    if policy is None:
        raise ValueError(f"{option} {text!r} is none of {forms_of(kinds)}")
    return to_document(to_message(policy))
