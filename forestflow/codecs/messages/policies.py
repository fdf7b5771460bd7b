"""Policies and routers between domain values and protobuf messages.

A policy and its message have the same name and the same fields, but for case and underscores, so that a new policy
needs no code here. What a user need not say is left unset: ``None``, and the default of an enum.
"""

from __future__ import annotations

import contextlib
import struct
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_type_hints

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from forestflow._gen.settings_pb2 import (
    ExpirationPolicyShim,
    MetricSettings,
    PhaseInPolicyShim,
    RouterTypeShim,
    ValidityRuleShim,
)
from forestflow.domain import settings as domain
from forestflow.domain.errors import InvalidSettings
from forestflow.domain.policies.expiration import ExpirationPolicy
from forestflow.domain.policies.phase_in import PhaseInPolicy
from forestflow.domain.policies.routers import ContractRouter
from forestflow.domain.policies.validity import ValidityRule

Value = TypeVar("Value")
Shim = TypeVar("Shim", bound=Message)


def rule_to(rule: ValidityRule) -> ValidityRuleShim:
    return _to_shim(rule, ValidityRuleShim())


def rule_from(shim: ValidityRuleShim) -> ValidityRule:
    return cast(ValidityRule, _from_shim(shim, ValidityRule, "validityPolicy: an entry names no rule"))


def phase_in_to(policy: PhaseInPolicy) -> PhaseInPolicyShim:
    return _to_shim(policy, PhaseInPolicyShim())


def phase_in_from(shim: PhaseInPolicyShim) -> PhaseInPolicy:
    return cast(PhaseInPolicy, _from_shim(shim, PhaseInPolicy, "phaseInPolicy names no policy"))


def expiration_to(policy: ExpirationPolicy) -> ExpirationPolicyShim:
    return _to_shim(policy, ExpirationPolicyShim())


def expiration_from(shim: ExpirationPolicyShim) -> ExpirationPolicy:
    return cast(ExpirationPolicy, _from_shim(shim, ExpirationPolicy, "expirationPolicy names no policy"))


def router_to(router: ContractRouter) -> RouterTypeShim:
    return _to_shim(router, RouterTypeShim())


def router_from(shim: RouterTypeShim) -> ContractRouter:
    return cast(ContractRouter, _from_shim(shim, ContractRouter, "router names no router"))


def metric_settings_to(settings: domain.MetricSettings) -> MetricSettings:
    message = MetricSettings()
    _fill(message, settings)
    return message


def metric_settings_from(message: MetricSettings) -> domain.MetricSettings:
    return _read(message, domain.MetricSettings)


def shortest(value: float) -> float:
    """Return the double with the fewest decimal digits that name this single-precision number."""
    for digits in range(1, 9):
        candidate = float(f"{value:.{digits}g}")
        with contextlib.suppress(OverflowError):  # the digits round up over the largest number
            if struct.unpack("f", struct.pack("f", candidate))[0] == value:
                return candidate
    return float(f"{value:.9g}")  # nine digits name every one; NaN is equal to none


def _to_shim(policy: object, shim: Shim) -> Shim:
    _fill(getattr(shim, type(policy).__name__), policy)
    return shim


def _from_shim(shim: Message, kinds: types.UnionType, unnamed: str) -> object:
    """Read the one policy of ``kinds`` that the shim holds. Raises InvalidSettings, saying ``unnamed``, for none."""
    name = shim.WhichOneof("sealed_value")
    if name is None:
        raise InvalidSettings(unnamed)
    kind: type[object] = next(kind for kind in get_args(kinds) if kind.__name__ == name)
    return _read(getattr(shim, name), kind)


def _fill(message: Message, value: object) -> None:
    message.SetInParent()
    if not is_dataclass(value):
        raise TypeError(f"{value!r} is no dataclass")
    descriptors = _descriptors(message)
    for field in fields(value):
        given, descriptor = getattr(value, field.name), descriptors[_plain(field.name)]
        if given is None or (isinstance(given, IntEnum) and given == field.default):
            continue
        if descriptor.is_repeated:
            for item in given:
                _fill(getattr(message, descriptor.name).add(), item)
        else:
            setattr(message, descriptor.name, given)


def _read(message: Message, kind: type[Value]) -> Value:
    descriptors, hints = _descriptors(message), _hints(cast(Any, kind))
    return kind(**{name: _field(message, descriptors[_plain(name)], hint) for name, hint in hints.items()})


def _field(message: Message, descriptor: FieldDescriptor, hint: Any) -> Any:
    value = getattr(message, descriptor.name)
    if descriptor.is_repeated:
        return tuple(_read(item, get_args(hint)[0]) for item in value)
    if type(None) in get_args(hint) and not message.HasField(descriptor.name):
        return None
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return hint(value)
    return shortest(value) if descriptor.type == FieldDescriptor.TYPE_FLOAT else value


def _descriptors(message: Message) -> Mapping[str, Any]:
    return {_plain(field.name): field for field in message.DESCRIPTOR.fields}


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(cast(Any, kind))
    return {field.name: hints[field.name] for field in fields(kind)}


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
