"""Strict JSON into messages. Oracle: google.protobuf.json_format, which reads all that we read, and more."""

import json
import math

import pytest
from google.protobuf.json_format import MessageToDict, MessageToJson, ParseDict, ParseError
from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow._gen import inference_pb2, responses_pb2, servable_pb2, settings_pb2
from forestflow._gen.serve_request_pb2 import BasicServeRequest
from forestflow.codecs.control import plans
from forestflow.codecs.control import rest as control
from forestflow.codecs.messages import message_json
from forestflow.codecs.messages import policies as policy_messages
from forestflow.codecs.messages import values as messages
from forestflow.domain.errors import Invalid, InvalidIdentifier, InvalidSettings, Malformed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.independence import Independence, IndependentRows
from forestflow.domain.lifecycle import ServableState
from forestflow.domain.policies.expiration import KeepTopRanked
from forestflow.domain.policies.routers import FairPhaseInPctBasedRouter
from forestflow.domain.policies.validity import ImmediatelyValid, PerformanceBasedValidity
from forestflow.domain.policies.view import Ordering
from forestflow.domain.reports import ServableMetadata, ServableStatus
from forestflow.domain.requests import MLmodel
from forestflow.domain.settings import ContractSettings, LogLevel, Merging, ServableSettings
from forestflow.domain.tensors import IOMetadata, ModelMetadata, TensorType
from tests.profiles import up_to
from tests.unit.codecs.strategies import inference_requests, int32s, serve_requests, texts


@settings(deadline=None, max_examples=up_to(200))
@given(serve_requests.map(messages.serve_request_to), st.booleans(), st.booleans())
def test_what_protobuf_prints_is_read_exactly(message, snake_case, enum_numbers):
    text = MessageToJson(message, preserving_proto_field_name=snake_case, use_integers_for_enums=enum_numbers)
    assert message_json.parse(text.encode(), BasicServeRequest()) == message


@settings(deadline=None, max_examples=up_to(100))
@given(inference_requests())
def test_a_message_of_every_scalar_type(message):
    document = MessageToDict(message)
    read = message_json.read(document, inference_pb2.InferenceRequest())
    theirs = ParseDict(document, inference_pb2.InferenceRequest())  # a NaN's sign is lost in print
    assert read.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["1", "-5", "1.0", "1e3", "NaN", "-Infinity", "FULL", "DESC", "Float64", "a", "", "1_0", " 1", "YQ"]
    )
    | texts
)
_MESSAGES = [
    settings_pb2.ContractSettings,
    settings_pb2.ServableSettings,
    settings_pb2.LoggingSettings,
    BasicServeRequest,
    servable_pb2.ServableMetrics,
    servable_pb2.BasicMetaData,
    servable_pb2.ServableStatus,
    inference_pb2.InferenceRequest,
    inference_pb2.PredictionGP,
]


def documents_of(descriptor, depth=0):
    """JSON that is nearly a message: the right names, mostly the right shapes, any scalars."""
    members = {}
    for field in descriptor.fields:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = st.dictionaries(texts, scalars, max_size=2)
        elif field.message_type is not None:
            value = documents_of(field.message_type, depth + 1) | scalars
        else:
            value = scalars | int32s
        if field.is_repeated and not isinstance(value, dict):
            value = st.lists(value, max_size=2) | value
        members[field.name] = members[field.json_name] = value
    shim = bool(descriptor.oneofs)
    names = (
        st.lists(st.sampled_from(sorted(members)), max_size=1 if shim else 6, unique=True) if members else st.just([])
    )
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: members[name] for name in chosen}))


@settings(deadline=None, max_examples=up_to(1500))
@given(st.sampled_from(_MESSAGES).flatmap(lambda m: st.tuples(st.just(m), documents_of(m.DESCRIPTOR))))
def test_what_we_read_protobuf_reads_the_same(pair):
    message, document = pair
    try:
        read = message_json.read(document, message())
    except Malformed:
        return
    theirs = ParseDict(document, message())
    assert read.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "unexpected end"),
        ('{"logLevel":NaN}', "malformed"),
        ('{"logLevel":"LOUD"}', "'LOUD' is none of NONE, FULL, SAMPLE"),
        ('{"logLevel":4}', "4 is none of"),
        ('{"logLevel":"1.0"}', "'1.0' is none of"),
        ('{"logLevel":true}', "none of"),
        ('{"keyFeatures":["a"]}', "required fields are missing: logLevel"),
        ('{"logLevel":null}', "missing: logLevel"),
        ('{"logLevel":1,"keyFeatures":"a"}', "keyFeatures: expected an array"),
        ('{"logLevel":1,"keyFeatures":[null]}', "keyFeatures[0]: expected a string, got null"),
        ('{"logLevel":1,"loud":1}', "LoggingSettings: unknown field 'loud'"),
        ('"logLevel"', "expected an object, got a string"),
        ("[" * 100_000, ""),
        ('{"logLevel":1}\x00', ""),
    ],
)
def test_logging_settings_that_are_none(text, message):
    with pytest.raises(Malformed) as raised:
        control.parse_logging_settings(text.encode())
    assert str(raised.value).startswith("The request content was malformed:\n")
    assert message in str(raised.value)


def settings_body(expiration: object, router: object = None) -> bytes:
    return json.dumps({"expirationPolicy": expiration, "router": router or {"FairPhaseInPctBasedRouter": {}}}).encode()


def test_leniency_of_contract_settings():
    body = settings_body({"KeepTopRanked": {"servablesToKeep": "3", "metricToEvaluate": "auc", "ordering": 2}})
    expected = ContractSettings(KeepTopRanked(3, "auc", Ordering.ASC), FairPhaseInPctBasedRouter())
    assert control.parse_contract_settings(body) == expected


def test_of_two_members_of_a_oneof_the_lowest_number_counts():
    body = settings_body(
        {"KeepTopRanked": {"servablesToKeep": 3, "metricToEvaluate": "auc"}, "KeepLatest": {"servablesToKeep": 2}},
        {"LatestPhaseInPctBasedRouter": {}, "FairPhaseInPctBasedRouter": {}},
    )
    read = control.parse_contract_settings(body)
    assert read.expiration_policy.servables_to_keep == 2
    assert read.router == FairPhaseInPctBasedRouter()
    body = settings_body({"KeepTopRanked": {"servablesToKeep": 3, "metricToEvaluate": "auc"}, "KeepLatest": None})
    assert isinstance(control.parse_contract_settings(body).expiration_policy, KeepTopRanked)


@pytest.mark.parametrize(
    "body",
    [
        settings_body({}),
        settings_body({"KeepLatest": {"servablesToKeep": 0}}),
        settings_body({"KeepLatest": {"servablesToKeep": 1}}, {"FairPhaseInPctBasedRouter": None}),
    ],
)
def test_contract_settings_that_make_no_sense(body):
    with pytest.raises(InvalidSettings):
        control.parse_contract_settings(body)


@pytest.mark.parametrize(
    "body",
    [
        settings_body({"KeepLatest": {"servablesToKeep": 2**31}}),
        settings_body({"KeepLatest": {"servablesToKeep": True}}),
        settings_body({"KeepLatest": ""}),
        settings_body({"KeepLatest": []}),
        settings_body({"KeepLatest": {}}),
        settings_body([]),
    ],
)
def test_contract_settings_that_are_none(body):
    with pytest.raises(Malformed):
        control.parse_contract_settings(body)


def test_a_field_spelled_both_ways():
    with pytest.raises(Malformed, match="given twice"):
        control.parse_policy_settings(
            b'{"phaseInPolicy":{"LinearTimeBasedPhaseIn":{"phase_in_over_secs":1,"phaseInOverSecs":2}}}'
        )


def test_policies():
    read = control.parse_policy_settings(
        b'{"validityPolicy":[{"PerformanceBasedValidity":{"minThreshold":"0.1"}},{"ImmediatelyValid":{}}],'
        b'"phaseInPolicy":{"LinearTimeBasedPhaseIn":{"phaseInOverSecs":2}}}'
    )
    assert read.validity_policy == (PerformanceBasedValidity(0.1), ImmediatelyValid())
    for threshold in ("3.4028236e38", "1e39", '"NaN"'):
        with pytest.raises((Malformed, InvalidSettings)):
            control.parse_policy_settings(
                b'{"validityPolicy":[{"PerformanceBasedValidity":{"minThreshold":%b}}],'
                b'"phaseInPolicy":{"ImmediatePhaseIn":{}}}' % threshold.encode()
            )
    with pytest.raises(InvalidSettings, match="names no rule"):
        control.parse_policy_settings(b'{"validityPolicy":[{}],"phaseInPolicy":{"ImmediatePhaseIn":{}}}')


def test_logging_defaults():
    read = control.parse_logging_settings(b'{"logLevel":"2","keyFeatures":["a"]}')
    assert (read.log_level, read.key_features_separator) == (LogLevel.FULL, ".")


DEPLOY = {
    "path": "p",
    "fqrv": {"contract": {"organization": "o", "project": "p", "contractNumber": 1}, "releaseVersion": "r"},
    "servableSettings": {"policySettings": {"phaseInPolicy": {"ImmediatePhaseIn": {}}}},
    "flavor": {"H2OMojo": {"mojoPath": "m"}},
}


def deploy(**changes: object) -> bytes:
    return json.dumps({key: value for key, value in (DEPLOY | changes).items() if value != ...}).encode()


def test_deploys_that_make_no_sense():
    with pytest.raises(Invalid, match="fqrv is missing"):
        control.parse_serve_request(deploy(fqrv=...))
    with pytest.raises(Invalid, match="names no flavor"):
        control.parse_serve_request(deploy(flavor={}))
    with pytest.raises(Malformed, match=r"missing: .*servableSettings"):
        control.parse_serve_request(deploy(servableSettings=...))
    with pytest.raises(Malformed, match="missing: servableSettings, flavor"):
        control.parse_serve_request(b'{"path":"p","flavor":null}')
    with pytest.raises(InvalidIdentifier):
        control.parse_serve_request(
            deploy(
                fqrv={"contract": {"organization": "v1", "project": "p", "contractNumber": 1}, "releaseVersion": "r"}
            )
        )


@pytest.mark.parametrize("word", [None, "auto", "yes", "no"])
def test_whether_rows_are_independent(word):
    merging = {"maxRows": 8} | ({} if word is None else {"independentRows": word})
    servable = {**DEPLOY["servableSettings"], "deploymentSettings": {"merging": merging}}
    request = control.parse_serve_request(deploy(servableSettings=servable))
    found = request.servable_settings.deployment_settings.merging
    assert found == Merging(8, 0.0, IndependentRows(word or "auto"))
    printed = message_json.to_document(messages.serve_request_to(request))
    again = printed["servableSettings"]["deploymentSettings"]["merging"]
    assert again.get("independentRows") == (word if word in ("yes", "no") else None), "as all that is the default"
    assert messages.serve_request_from(messages.serve_request_to(request)) == request


@pytest.mark.parametrize("word", ["YES", "maybe", True, 7])
def test_whether_rows_are_independent_has_three_answers(word):
    servable = {**DEPLOY["servableSettings"], "deploymentSettings": {"merging": {"independentRows": word}}}
    with pytest.raises(Malformed, match="independentRows"):
        control.parse_serve_request(deploy(servableSettings=servable))


@pytest.mark.parametrize("outputs", [(), ("y",), ("Regression",)])
def test_what_was_found_of_the_rows_is_reported(outputs):
    found = {"serving_default": Independence(False, "it sorts its batch"), "other": Independence(True, "shown")}
    rows = [
        {"signature": "serving_default", "independent": False, "reason": "it sorts its batch"},
        {"signature": "other", "independent": True, "reason": "shown"},
    ]
    fqrv = Fqrv(Contract("o", "p", 0), "r")
    status = ServableStatus(fqrv, ServableState.AVAILABLE, 1, independence=found)
    assert json.loads(control.status(status))["ServableStatus"]["rows"] == rows
    model = ModelMetadata((), tuple(IOMetadata(name, TensorType.Float64) for name in outputs), independence=found)
    printed = json.loads(control.metadata(ServableMetadata(fqrv, ServableSettings(), model)))["BasicMetaData"]
    assert printed.get("rows") == (None if outputs == ("Regression",) else rows), "an H2O model's is the original's"


@pytest.mark.parametrize("number", [3 - 2**32, 2**32 + 1, -1, 99])
def test_numbers_of_an_enum_are_not_taken_modulo_anything(number: int):
    with pytest.raises(Malformed, match=rf"{number} is none of NONE, FULL, SAMPLE"):
        control.parse_logging_settings(b'{"logLevel": %d}' % number)


def test_a_deploy_without_a_flavor_is_one_of_an_mlmodel_folder():
    for path in ("file:///models/iris", "file:///models/iris/MLmodel"):
        request = control.parse_serve_request(deploy(path=path, flavor=..., tags={"a": "b"}, sha256="0" * 64))
        assert (request.path, request.flavor) == ("file:///models/iris", MLmodel())
        assert (request.fqrv.release_version, request.tags, request.sha256) == ("r", {"a": "b"}, "0" * 64)
    with pytest.raises(Malformed, match="flavour"):
        control.parse_serve_request(deploy(flavor=..., flavour={}))


def test_unset_floats_are_shortest_and_infinite_ones_survive():
    assert policy_messages.shortest(0.10000000149011612) == 0.1
    assert policy_messages.shortest(math.inf) == math.inf
    assert responses_pb2.SuccessResponse.DESCRIPTOR.fields_by_name["ServableStatus"].number == 100


def test_the_oracle_itself_refuses_two_members_of_a_oneof():
    with pytest.raises(ParseError):
        ParseDict({"KeepLatest": {}, "KeepTopRanked": {}}, settings_pb2.ExpirationPolicyShim())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"path": "x" * 100_000}, "the path has 100000 characters; at most 4096 are allowed"),
        ({"path": "x" * 100_000, "versions": {"all": {}}}, "the path has 100000 characters; at most 4096 are allowed"),
        ({"flavor": {"H2OMojo": {"mojoPath": "x" * 8193}}}, "mojoPath: 8193 characters; at most 8192 are allowed"),
        ({"flavor": {"Python": {"script": "s.py", "requirements": ["a", "x" * 8193]}}}, "requirements: 8193"),
        ({"tags": {"a": "x" * 8193}}, "tags: 8193 characters"),
        ({"tags": {"x" * 8193: "a"}}, "tags: 8193 characters"),
        ({"tags": {"x" * 8193: "a"}, "versions": {"all": {}}}, "tags: 8193 characters"),
        (
            {
                "contractSettings": {
                    "router": {"StickyRouter": {"keyConfig": "x" * 8193}},
                    "expirationPolicy": {"KeepAll": {}},
                }
            },
            "keyConfig: 8193 characters",
        ),
    ],
)
def test_texts_of_a_deploy_have_a_bound(changed, message):
    assert control.parse_deploy(json.dumps(DEPLOY).encode())
    with pytest.raises(Malformed, match=message):
        control.parse_deploy(json.dumps({**DEPLOY, **changed}).encode())


LONG_TEXT = "x" * 8193
POLICY = {
    "validityPolicy": [{"PerformanceBasedValidity": {"minThreshold": 1, "metric": LONG_TEXT}}],
    "phaseInPolicy": {"ImmediatePhaseIn": {}},
}


@pytest.mark.parametrize(
    ("parse", "document"),
    [
        (
            control.parse_contract_settings,
            {"router": {"StickyRouter": {"keyConfig": LONG_TEXT}}, "expirationPolicy": {"KeepAll": {}}},
        ),
        (control.parse_logging_settings, {"logLevel": "FULL", "keyFeatures": ["a", LONG_TEXT]}),
        (control.parse_policy_settings, POLICY),
        (plans.parse_simulation, {"policies": {"r": POLICY}, "horizonSecs": 60}),
        (lambda body: plans.parse_metric_reports(body, 0), {"metrics": [{"name": LONG_TEXT, "value": 1}]}),
    ],
)
def test_texts_of_settings_have_a_bound(parse, document):
    with pytest.raises(Malformed, match="8193 characters; at most 8192 are allowed"):
        parse(json.dumps(document).encode())
