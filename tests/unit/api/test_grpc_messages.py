"""Messages as clients send them: what is refused, and that nothing read fails later."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow._gen.control_pb2 import ContractRequest, SimulateRequest, UpdateServableRequest
from forestflow._gen.serve_request_pb2 import ServeRequestShim
from forestflow.api.grpc.errors import BadFields
from forestflow.api.grpc.messages import read
from forestflow.domain.errors import Malformed
from tests.profiles import up_to

CONTRACT = {"organization": "o", "project": "p", "contractNumber": 0}
DEPLOY = {
    "Basic": {
        "path": "file:///models",
        "fqrv": {"contract": CONTRACT, "releaseVersion": "v1"},
        "flavor": {"Python": {"script": "s.py", "requirements": ["a", "b"]}},
        "servableSettings": {
            "policySettings": {
                "validityPolicy": [{"TimeBasedValidity": {"validAfterMS": 5}}],
                "phaseInPolicy": {"ImmediatePhaseIn": {}},
            }
        },
        "tags": {"team": "forest"},
    }
}
WHOLE = json_format.ParseDict(DEPLOY, ServeRequestShim())
BYTES = WHOLE.SerializeToString(deterministic=True)


def test_what_is_whole_is_read():
    assert read(ServeRequestShim, BYTES) == WHOLE


def test_required_fields_that_are_missing_are_named():
    with pytest.raises(BadFields, match="contract_number") as caught:
        read(ContractRequest, b"\x0a\x06\x0a\x01o\x12\x01p")
    assert list(caught.value.fields) == ["contract.contract_number"]
    with pytest.raises(BadFields) as caught:
        read(ContractRequest, b"")
    assert list(caught.value.fields) == ["contract"]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b"file:///models", "Basic.path"),
        (b"v1", "Basic.fqrv.release_version"),
        (b"s.py", "Basic.flavor.Python.script"),
        (b"\x01b", "Basic.flavor.Python.requirements"),
        (b"team", "Basic.tags"),
        (b"forest", "Basic.tags"),
    ],
)
def test_text_that_is_not_utf8_is_refused_with_its_place(text, field):
    broken = BYTES.replace(text, text[:-1] + b"\xff")
    assert broken != BYTES
    with pytest.raises(BadFields, match="not UTF-8") as caught:
        read(ServeRequestShim, broken)
    assert caught.value.fields[0].startswith(field)


def test_text_below_a_map_of_messages():
    policy = {"validityPolicy": [{"PerformanceBasedValidity": {"minThreshold": 1, "metric": "rmse"}}]}
    document = {"contract": CONTRACT, "simulation": {"policies": {"v1": policy | {"phaseInPolicy": {}}}}}
    message = json_format.ParseDict(document, SimulateRequest()).SerializeToString()
    with pytest.raises(BadFields) as caught:
        read(SimulateRequest, message.replace(b"rmse", b"rms\xff"))
    assert caught.value.fields == ["simulation.policies.v1.validityPolicy[0].PerformanceBasedValidity.metric"]


@settings(max_examples=up_to(500))
@given(st.integers(0, len(BYTES)), st.integers(0, 4), st.binary(max_size=4))
def test_damaged_messages_are_refused_or_can_be_told_as_json(at, length, junk):
    try:
        message = read(ServeRequestShim, BYTES[:at] + junk + BYTES[at + length :])
    except Malformed:
        return
    json_format.MessageToJson(message)


@given(st.binary(max_size=40))
def test_any_bytes(message):
    try:
        parsed = read(UpdateServableRequest, message)
    except Malformed:
        return
    json_format.MessageToJson(parsed)
