"""The schemas accept what the codecs print and the examples that OpenAPI shows."""

import json

import jsonschema
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings

from forestflow.codecs.basic.codec import decode_request, encode_prediction
from forestflow.codecs.control import examples, json_schema, plans
from forestflow.codecs.control import rest as control
from forestflow.codecs.messages import values as messages
from forestflow.codecs.messages import versions
from forestflow.domain.errors import Malformed
from forestflow.domain.ids import Contract, Fqrv
from tests.profiles import up_to
from tests.unit.codecs.strategies import batches, contract_settings, serve_requests

FQRV = Fqrv(Contract("o", "p", 1), "r")
READERS = {
    "ContractSettings": control.parse_contract_settings,
    "PolicySettings": control.parse_policy_settings,
    "LoggingSettings": control.parse_logging_settings,
    "ShadowSettings": control.parse_shadow_settings,
    "BasicServeRequest": control.parse_serve_request,
    "InferenceRequest": decode_request,
    "MetricReports": lambda body: plans.parse_metric_reports(body, 0),
    "SimulationRequest": plans.parse_simulation,
    "RollbackRequest": plans.parse_rollback,
    "VersionsUpdate": lambda body: versions.parse_update(body, Contract("o", "p", 0)),
}


def check(document, schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize("name", examples.EXAMPLES)
def test_examples_are_valid_and_are_read(name):
    check(examples.EXAMPLES[name], json_schema.json_schema(name))
    READERS[name](json.dumps(examples.EXAMPLES[name]).encode())


@settings(deadline=None, max_examples=up_to(50))
@given(serve_requests)
def test_requests(request):
    check(MessageToDict(messages.serve_request_to(request)), json_schema.json_schema("BasicServeRequest"))


@settings(deadline=None, max_examples=up_to(50))
@given(batches())
def test_predictions(batch):
    check(json.loads(encode_prediction(FQRV, batch)), json_schema.reply_schema("Prediction"))


@settings(deadline=None, max_examples=up_to(20))
@given(contract_settings)
def test_settings(value):
    check(json.loads(control.contract_settings(value)), json_schema.reply_schema("ContractSettings"))


def test_replies():
    check(json.loads(control.contracts([FQRV.contract])), json_schema.reply_schema("Contracts"))
    check(json.loads(control.fqrvs([FQRV]))[0], json_schema.reply_schema("UnknownServable", "FQRV"))
    check(json.loads(control.error(Malformed("x"), None, "id")), json_schema.error_schema())


def test_status_codes_are_not_shown():
    assert "StatusCode" not in json.dumps(json_schema.json_schema("ErrorResponse"))


def test_unknown_names():
    with pytest.raises(KeyError):
        json_schema.json_schema("Nothing")


def test_unknown_fields_are_refused_by_the_schema_too():
    with pytest.raises(jsonschema.ValidationError):
        check({"logLevel": "FULL", "x": 1}, json_schema.json_schema("LoggingSettings"))
