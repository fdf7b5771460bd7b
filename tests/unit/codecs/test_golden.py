"""The original's documented requests and replies, byte for byte where it prints them compactly."""

import json

import numpy as np
import pytest

from forestflow.codecs.basic import codec as basic
from forestflow.codecs.control import rest as control
from forestflow.domain.errors import InvalidInput, Malformed, QueueFull
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.lifecycle import ReplicaState, ServableState
from forestflow.domain.policies.phase_in import LinearTimeBasedPhaseIn
from forestflow.domain.policies.validity import NeverValid, TimeBasedValidity
from forestflow.domain.refusals import (
    ContractValidationError,
    NoActiveServables,
    ServableAlreadyExists,
    ServeRequestInvalid,
    UnknownContract,
    UnknownServable,
)
from forestflow.domain.reports import ServableMetadata, ServableMetrics, ServableStatus
from forestflow.domain.requests import H2OMojo, ServeRequest
from forestflow.domain.settings import (
    ContractSettings,
    DeploymentSettings,
    LoggingSettings,
    LogLevel,
    PolicySettings,
    Resources,
    ServableSettings,
)
from forestflow.domain.tensors import Batch, Column, IOMetadata, ModelMetadata, TensorType

RELEASE = "StackedEnsemble_AllModels_AutoML_20191002_103122"
CONTRACT = Contract("samples", "energy_output", 0)
FQRV = Fqrv(CONTRACT, RELEASE)
C = '{"organization":"samples","project":"energy_output","contractNumber":0}'
FQ = f'{{"contract":{C},"releaseVersion":"{RELEASE}"}}'
SETTINGS_JSON = (
    '{"policySettings":{"validityPolicy":[{"ImmediatelyValid":{}}],"phaseInPolicy":{"ImmediatePhaseIn":{}}},'
    '"loggingSettings":{"logLevel":"FULL","keyFeatures":["reqid"]}}'
)
SETTINGS = ServableSettings(PolicySettings(), LoggingSettings(LogLevel.FULL, ("reqid",)))
DEPLOY = (
    '{"path":"file://DIR","fqrv":{"contract":{"organization":"samples","project":"energy_output","contract_number":0},'
    f'"release_version":"{RELEASE}"}},\n  "flavor":{{"H2OMojo":{{"mojoPath":"{RELEASE}.zip","version":"3.22.0.2"}}}},'
    f'"servableSettings":{SETTINGS_JSON}}}'
)
REQUEST = ServeRequest("file://DIR", FQRV, H2OMojo(f"{RELEASE}.zip", "3.22.0.2"), SETTINGS)
SCORE = b"""{"schema":[{"type":"Float64","fields":["TemperatureCelcius","ExhaustVacuumHg","AmbientPressureMillibar",
  "RelativeHumidity"]}], "datum":[{"tensors":[{"Float64":{"data":[33.2,60.5,1010.7,30]}}]},
  {"tensors":[{"Float64":{"data":[29.6,62,998.5,40.62]}}]}],"configs":{"reqid":"123-456-789"}}"""


def test_deploy():
    assert control.parse_serve_request(DEPLOY.encode()) == REQUEST


def test_deploy_with_the_address_in_the_path():
    other = Fqrv(Contract("o", "p", 7), "r")
    assert control.parse_serve_request(DEPLOY.encode(), other).fqrv == other
    body = json.loads(DEPLOY)
    del body["fqrv"]
    assert control.parse_serve_request(json.dumps(body).encode(), other).fqrv == other


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (control.servable_created(FQRV), f'{{"ServableCreatedSuccessfully":{{"fqrv":{FQ}}}}}'),
        (control.servable_updated(FQRV), f'{{"ServableUpdatedSuccessfully":{{"fqrv":{FQ}}}}}'),
        (control.servables_deleted([FQRV]), f'{{"ServablesDeletedSuccessfully":{{"fqrv":[{FQ}]}}}}'),
        (control.servables_deleted([]), '{"ServablesDeletedSuccessfully":{}}'),
        (control.contract_created(CONTRACT), f'{{"ContractCreatedSuccessfully":{{"contract":{C}}}}}'),
        (control.contract_updated(CONTRACT), f'{{"ContractUpdatedSuccessfully":{{"contract":{C}}}}}'),
        (control.contracts([]), '{"Contracts":{"contracts":[]}}'),
        (control.contracts([CONTRACT]), f'{{"Contracts":{{"contracts":[{C}]}}}}'),
        (control.fqrvs([FQRV]), f'[{{"FQRV":{FQ}}}]'),
        (control.fqrvs([]), "[]"),
        (
            control.contract_settings(ContractSettings()),
            '{"ContractSettings":{"expirationPolicy":{"KeepLatest":{"servablesToKeep":1}},'
            '"router":{"FairPhaseInPctBasedRouter":{}}}}',
        ),
        (control.servable_settings(SETTINGS), f'{{"ServableSettings":{SETTINGS_JSON}}}'),
        (control.servable_settings_list([SETTINGS]), f'[{{"ServableSettings":{SETTINGS_JSON}}}]'),
        (
            control.metrics([ServableMetrics(FQRV, 1, 0, 1570054677899, {}, 1570054677902, 100)]),
            f'[{{"ServableMetrics":{{"fqrv":{FQ},"scoreCount":"1","shadeCount":"0","createdAtMS":"1570054677899",'
            '"becameValidAtMS":"1570054677902","currentPhaseInPct":100}}]',
        ),
        (
            control.metrics([ServableMetrics(FQRV, 2**40, 0, 5, {"auc": 0.1})]),
            f'[{{"ServableMetrics":{{"fqrv":{FQ},"scoreCount":"1099511627776","shadeCount":"0","createdAtMS":"5",'
            '"performanceMetrics":{"auc":0.1},"currentPhaseInPct":0}}]',
        ),
        (
            control.metrics([ServableMetrics(FQRV, 1, 2, 5, shadow_drop_count=3)]),
            f'[{{"ServableMetrics":{{"fqrv":{FQ},"scoreCount":"1","shadeCount":"2","createdAtMS":"5",'
            '"currentPhaseInPct":0,"shadowDropCount":"3"}}]',
        ),
        (
            control.status(ServableStatus(FQRV, ServableState.FAILED, 2, (ReplicaState.READY, ReplicaState.LOST), "x")),
            f'{{"ServableStatus":{{"fqrv":{FQ},"state":"FAILED","desiredReplicas":2,"replicas":["READY","LOST"],'
            '"message":"x"}}',
        ),
        (
            control.status_list([ServableStatus(FQRV, ServableState.LOADING, 1)]),
            f'[{{"ServableStatus":{{"fqrv":{FQ},"state":"LOADING","desiredReplicas":1}}}}]',
        ),
    ],
)
def test_replies(reply, expected):
    assert reply.decode() == expected


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (UnknownContract(CONTRACT), f'{{"UnknownContract":{{"contract":{C}}}}}'),
        (UnknownServable(FQRV), f'{{"UnknownServable":{{"fqrv":{FQ}}}}}'),
        (NoActiveServables(CONTRACT), f'{{"NoActiveServablesForContract":{{"contract":{C}}}}}'),
        (ContractValidationError(CONTRACT, "m"), f'{{"ContractValidationError":{{"contract":{C},"msg":"m"}}}}'),
        (
            ServableAlreadyExists(FQRV, SETTINGS),
            f'{{"ServableAlreadyExistsError":{{"fqrv":{FQ},"servableSettings":{SETTINGS_JSON}}}}}',
        ),
        (
            ServeRequestInvalid(REQUEST, "no such file"),
            f'{{"CreateServableRequestInvalidError":{{"serveRequest":{{"Basic":{{"path":"file://DIR","fqrv":{FQ},'
            f'"servableSettings":{SETTINGS_JSON},"flavor":{{"H2OMojo":{{"mojoPath":"{RELEASE}.zip",'
            '"version":"3.22.0.2"}}}},"errorMessage":"no such file"}}',
        ),
        (QueueFull(1.0, "full"), '{"error":{"code":"EXHAUSTED","message":"full","requestId":"id-1"}}'),
        (Malformed("x\ny"), '{"error":{"code":"MALFORMED","message":"x\\ny","requestId":"id-1"}}'),
    ],
)
def test_errors(failure, expected):
    assert control.error(failure, None, "id-1").decode() == expected


def test_the_error_of_a_score_names_its_servable():
    text = control.error(InvalidInput("No input data provided"), FQRV, "id-1").decode()
    assert text == f'{{"UnknownServableError":{{"fqrv":{FQ},"errorMessage":"No input data provided"}}}}'
    assert basic.BasicCodec(FQRV).encode_error(InvalidInput("No input data provided"), "id-1").decode() == text
    assert b"requestId" in control.error(QueueFull(1.0, "full"), FQRV, "id-1")


def test_an_error_message_that_is_not_text_is_still_sent():
    assert b'"message":"?"' in control.error(Malformed("\ud800"), None, "id-1")
    assert b'"errorMessage":"?"' in control.error(InvalidInput("\ud800"), FQRV, "id-1")


def metadata(settings: ServableSettings) -> dict:
    features = "[0:TemperatureCelcius,1:ExhaustVacuumHg,2:AmbientPressureMillibar,3:RelativeHumidity]"
    model = ModelMetadata((IOMetadata("numeric", TensorType.Float64, (4,), features),))
    text = control.metadata(ServableMetadata(FQRV, settings, model))
    assert control.metadata_list([ServableMetadata(FQRV, settings, model)]) == b"[" + text + b"]"
    return json.loads(text)


def test_metadata():
    assert metadata(SETTINGS) == {
        "BasicMetaData": {
            "fqrv": json.loads(FQ),
            "name": "prediction",
            "server": "ForestFlow",
            "description": "ServableSettings(PolicySettings(List(ImmediatelyValid()),ImmediatePhaseIn()),"
            "Some(LoggingSettings(FULL,List(reqid),None)))",
            "inputs": [
                {
                    "name": "numeric",
                    "description": "[0:TemperatureCelcius,1:ExhaustVacuumHg,2:AmbientPressureMillibar,"
                    "3:RelativeHumidity]",
                    "shape": ["4"],
                    "type": "Float64",
                }
            ],
        }
    }


def test_a_description_with_arguments():
    policy = PolicySettings((NeverValid(), TimeBasedValidity(5)), LinearTimeBasedPhaseIn(60))
    described = metadata(ServableSettings(policy, LoggingSettings(LogLevel.NONE, ("a", "b"), "-")))
    assert described["BasicMetaData"]["description"] == (
        "ServableSettings(PolicySettings(List(NeverValid(),TimeBasedValidity(5)),LinearTimeBasedPhaseIn(60)),"
        "Some(LoggingSettings(NONE,List(a,b),Some(-))))"
    )
    assert metadata(ServableSettings())["BasicMetaData"]["description"].endswith(",None)")


def test_our_own_settings_are_printed_only_when_they_differ_from_the_default():
    settings = ServableSettings(deployment_settings=DeploymentSettings(2, Resources(cpu=0.5, memory_mb=512)))
    printed = json.loads(control.servable_settings(settings))["ServableSettings"]
    assert printed["deploymentSettings"] == {"replicas": 2, "resources": {"cpu": 0.5, "memoryMB": 512}}


def test_score():
    request = basic.decode_request(SCORE)
    (column,) = request.batch.columns
    assert request.configs == {"reqid": "123-456-789"}
    assert column.type is TensorType.Float64
    assert column.fields[0] == "TemperatureCelcius"
    np.testing.assert_array_equal(column.data, [[33.2, 60.5, 1010.7, 30], [29.6, 62, 998.5, 40.62]])


def test_prediction():
    data = np.array([[438.18238719825354], [437.5805895467613]])
    batch = Batch(2, (Column(TensorType.Float64, ("Regression",), data),))
    assert basic.encode_prediction(FQRV, batch).decode() == (
        f'{{"Prediction":{{"fqrv":{FQ},"schema":[{{"type":"Float64","fields":["Regression"]}}],'
        '"datum":[{"tensors":[{"Float64":{"data":[438.18238719825354]}}]},'
        '{"tensors":[{"Float64":{"data":[437.5805895467613]}}]}]}}'
    )


def test_the_documentations_request_of_two_types():
    request = basic.decode_request(
        b"""{ "schema": [
        { "type": "String", "fields": ["name", "category"] },
        { "type": "Float64",  "fields": ["hp", "attack", "defence"] } ],
      "datum": [
        { "tensors": [ { "String": { "data": ["human1", "human"]  } }, { "Float64": { "data": [67.37, 25.2, 80.6] } }]},
        { "tensors": [ { "String": { "data": ["mon16", "monster"]  } }, { "Float64": { "data": [76.5, 62, 33.9] } }]}
      ],
      "configs" : {"gameid":  "some-uuid", "playerid":  "player-uuid"} }"""
    )
    words, numbers = request.batch.columns
    assert words.data.tolist() == [["human1", "human"], ["mon16", "monster"]]
    assert numbers.data.tolist() == [[67.37, 25.2, 80.6], [76.5, 62.0, 33.9]]
    assert request.configs == {"gameid": "some-uuid", "playerid": "player-uuid"}
