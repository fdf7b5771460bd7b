"""Policies and their messages agree, so that a new policy needs no code in the codec."""

from dataclasses import fields
from typing import get_args

import pytest

from forestflow._gen import settings_pb2 as pb
from forestflow.domain.policies.expiration import ExpirationPolicy
from forestflow.domain.policies.phase_in import PhaseInPolicy
from forestflow.domain.policies.routers import ContractRouter
from forestflow.domain.policies.validity import ValidityRule

KINDS = [
    (ValidityRule, pb.ValidityRuleShim),
    (PhaseInPolicy, pb.PhaseInPolicyShim),
    (ExpirationPolicy, pb.ExpirationPolicyShim),
    (ContractRouter, pb.RouterTypeShim),
]


def plain(name):
    return name.replace("_", "").lower()


@pytest.mark.parametrize(("kinds", "shim"), KINDS)
def test_each_policy_has_a_message_with_its_name_and_its_fields(kinds, shim):
    messages = {field.name: field.message_type for field in shim.DESCRIPTOR.fields}
    policies = {kind.__name__: kind for kind in get_args(kinds)}
    assert policies.keys() == messages.keys()
    for name, policy in policies.items():
        assert {plain(f.name) for f in fields(policy)} == {plain(f.name) for f in messages[name].fields}, name


@pytest.mark.parametrize("kinds", [kinds for kinds, _ in KINDS])
def test_each_policy_reads_its_own_short_form_alone(kinds):
    for kind in get_args(kinds):
        name, _, value = kind.FORM.partition("[")[0].partition(":")
        example = {"SECONDS": "1", "COUNT": "1", "PERCENT": "1", "CONFIG": "c", "SECONDS=PERCENT,…": "1=2"}.get(value)
        example = {"COUNT:METRIC": "1:m", "": "0.5" if kind.FORM.startswith("metric") else ""}.get(value, example)
        read = [other for other in get_args(kinds) if other.parse(name, example) is not None]
        assert read == [kind], kind.FORM
