"""The payloads that the OpenAPI page shows: requests as in the quick start, replies as the codec encodes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from forestflow.codecs.control import rest as codec
from forestflow.codecs.control.examples import (
    CONTRACT_SETTINGS,
    INFERENCE_REQUEST,
    LOGGING_SETTINGS,
    METRIC_REPORTS,
    POLICY_SETTINGS,
    ROLLBACK_REQUEST,
    SERVE_REQUEST,
    SHADOW_SETTINGS,
    SIMULATION_REQUEST,
    VERSIONS_REQUEST,
    VERSIONS_UPDATE,
)
from forestflow.domain.errors import ForestFlowError, Malformed, StorageFailed, Unavailable
from forestflow.domain.events import ContractSet, ServableBecameValid
from forestflow.domain.explain import explain
from forestflow.domain.history import HistoryEntry
from forestflow.domain.independence import Independence
from forestflow.domain.lifecycle import ReplicaState, ServableState
from forestflow.domain.refusals import NoActiveServables, ServableAlreadyExists, UnknownContract
from forestflow.domain.reports import ReplicaLoad, ReplicaStatus, ServableMetadata, ServableMetrics, ServableStatus
from forestflow.domain.requests import TensorFlow
from forestflow.domain.settings import ContractSettings, LoggingSettings, LogLevel, ServableSettings
from forestflow.domain.simulate import simulate
from forestflow.domain.tensors import IOMetadata, ModelMetadata, TensorType
from forestflow.domain.verdicts import ReleaseSnapshot
from forestflow.domain.versions import LatestVersions, VersionsReport, VersionState, VersionStatus, Watch

_FIELDS = INFERENCE_REQUEST["schema"][0]["fields"]
_FQRV = codec.parse_serve_request(orjson.dumps(SERVE_REQUEST)).fqrv
_CONTRACT = _FQRV.contract
_SETTINGS = ServableSettings(logging_settings=LoggingSettings(LogLevel.FULL, ("reqid",)))
_METADATA = ServableMetadata(
    _FQRV,
    _SETTINGS,
    ModelMetadata(
        (IOMetadata("numeric", TensorType.Float64, (4,), f"[{','.join(f'{i}:{f}' for i, f in enumerate(_FIELDS))}]"),)
    ),
)
_NOW = 1570054680000
_SNAPSHOTS = [ReleaseSnapshot(_FQRV, _SETTINGS, _NOW - 2101, _NOW - 2098)]
_PLAN = explain(_CONTRACT, ContractSettings(), _SNAPSHOTS, _NOW)
_TIMELINE = simulate(ContractSettings(), _SNAPSHOTS, _NOW, horizon_ms=3_600_000, step_ms=6_000)
_HISTORY = [
    HistoryEntry(1, _NOW - 2101, ContractSet(_CONTRACT, ContractSettings())),
    HistoryEntry(3, _NOW - 2098, ServableBecameValid(_FQRV, _NOW - 2098)),
]
_REPLICA = ReplicaStatus(_FQRV, "3f1c9a7be204", ReplicaState.READY, ReplicaLoad(4711, 2, 0, {1: 120, 2: 31, 3: 4}))
_ROWS = {"serving_default": Independence(True, "by construction: an H2O MOJO scores row by row")}
_STATUS = ServableStatus(_FQRV, ServableState.AVAILABLE, 1, (ReplicaState.READY,), independence=_ROWS)
_VERSIONS = VersionsReport(
    Watch(_CONTRACT, "file:///Models/mnist", TensorFlow("."), LatestVersions(2)),
    (
        VersionStatus(3, VersionState.RETIRED, "the version policy does not want it"),
        VersionStatus(4, VersionState.AVAILABLE),
        VersionStatus(5, VersionState.WAITING, "its directory must be the same in two looks in succession"),
    ),
    _NOW,
)

# Request bodies by schema name, each with a title.
REQUESTS: Mapping[str, Mapping[str, Any]] = {
    "BasicServeRequest": {
        "An H2O MOJO": SERVE_REQUEST,
        "Two replicas, phased in, under a contract of its own settings": {
            **SERVE_REQUEST,
            "servableSettings": {
                "policySettings": POLICY_SETTINGS,
                "deploymentSettings": {"replicas": 2, "resources": {"cpu": 1, "memoryMB": 1024}},
            },
            "contractSettings": CONTRACT_SETTINGS,
        },
        "A shadow of a tenth of the requests, not logged": {
            **SERVE_REQUEST,
            "servableSettings": {
                "policySettings": {**POLICY_SETTINGS, "validityPolicy": [{"NeverValid": {}}]},
                "shadow": SHADOW_SETTINGS,
            },
        },
        "Numbered version directories, as TensorFlow Serving has them": VERSIONS_REQUEST,
    },
    "ContractSettings": {
        "Keep two releases": CONTRACT_SETTINGS,
        "All traffic to the latest release, old ones kept": {
            "expirationPolicy": {"KeepAll": {}},
            "router": {"LatestPhaseInPctBasedRouter": {}},
        },
        "Share by a reported metric, keep the three best": {
            "expirationPolicy": {"KeepTopRanked": {"servablesToKeep": 3, "metricToEvaluate": "auc"}},
            "router": {"PerformanceRouter": {"metric": "auc", "epsilon": 0.1}},
            "metrics": {"default": "auc", "window": 50},
        },
        "The same release for the same user, record by record": {
            "expirationPolicy": {"MaxAge": {"maxAgeSecs": 604800}},
            "router": {"StickyRouter": {"keyConfig": "user"}},
            "routing": "RECORD",
        },
        "An error that is best low, as an exponential mean": {
            "expirationPolicy": {
                "KeepTopRanked": {"servablesToKeep": 2, "metricToEvaluate": "rmse", "ordering": "ASC"}
            },
            "router": {"PerformanceRouter": {"ordering": "ASC"}},
            "metrics": {"default": "rmse", "alpha": 0.2},
        },
    },
    "PolicySettings": {
        "Phased in over ten minutes": POLICY_SETTINGS,
        "A shadow that never answers users": {**POLICY_SETTINGS, "validityPolicy": [{"NeverValid": {}}]},
        "In steps: 5 %, after ten minutes 25 %, after an hour all": {
            "validityPolicy": [{"ImmediatelyValid": {}}],
            "phaseInPolicy": {
                "StepPhaseIn": {
                    "steps": [
                        {"afterSecs": 0, "percent": 5},
                        {"afterSecs": 600, "percent": 25},
                        {"afterSecs": 3600, "percent": 100},
                    ]
                }
            },
        },
        "By hand, once it has served 1000 requests with a good metric": {
            "validityPolicy": [
                {"MinServedEventsBasedValidity": {"validAfterMinServedEvents": "1000"}},
                {"PerformanceBasedValidity": {"minThreshold": 0.9, "metric": "auc"}},
            ],
            "phaseInPolicy": {"ManualPhaseIn": {"percent": 10}},
        },
    },
    "LoggingSettings": {"Everything, under the config reqid": LOGGING_SETTINGS},
    "ShadowSettings": {
        "A tenth of the requests": SHADOW_SETTINGS,
        "No shadow, whatever is logged": {"enabled": False},
        "As in the original: all requests, when predictions are logged": {},
    },
    "InferenceRequest": {"Two rows": INFERENCE_REQUEST},
    "MetricReports": {
        "One metric of fifty observations": METRIC_REPORTS,
        "Start over, with the times of the samples": {
            "metrics": [
                {"name": "rmse", "value": 4.1, "timeMS": "1570054677899"},
                {"name": "rmse", "value": 3.9, "timeMS": "1570054737899"},
            ],
            "replace": True,
        },
    },
    "SimulationRequest": {
        "Other policies of one release, for an hour": SIMULATION_REQUEST,
        "Other settings of the contract, for a day": {"contractSettings": CONTRACT_SETTINGS, "horizonSecs": 86400},
    },
    "VersionsUpdate": {
        "Two versions by number": VERSIONS_UPDATE,
        "The three highest, looked for every minute": {"versions": {"latest": {"count": 3}}, "pollSeconds": 60},
        "Every version": {"versions": {"all": {}}},
    },
    "RollbackRequest": {"Back to entry 12": ROLLBACK_REQUEST},
}

# Answers by operation.
REPLIES: Mapping[str, Any] = {
    name: orjson.loads(body)
    for name, body in {
        "list_contracts": codec.contracts([_CONTRACT]),
        "create_contract": codec.contract_created(_CONTRACT),
        "update_contract": codec.contract_updated(_CONTRACT),
        "contract_settings": codec.contract_settings(ContractSettings()),
        "list_releases": codec.fqrvs([_FQRV]),
        "stats": codec.metrics([ServableMetrics(_FQRV, 1, 0, 1570054677899, {}, 1570054677902, 100)]),
        "servable_settings": codec.servable_settings_list([_SETTINGS]),
        "metadata": codec.metadata_list([_METADATA]),
        "status": codec.status_list([_STATUS]),
        "deploy": codec.servable_created(_FQRV),
        "deploy_as": codec.servable_created(_FQRV),
        "delete": codec.servables_deleted([_FQRV]),
        "update_policy": codec.servable_updated(_FQRV),
        "update_logging": codec.servable_updated(_FQRV),
        "update_shadow": codec.servable_updated(_FQRV),
        "settings_of": codec.servable_settings(_SETTINGS),
        "metadata_of": codec.metadata(_METADATA),
        "status_of": codec.status(_STATUS),
        "report_metrics": codec.servable_updated(_FQRV),
        "replicas": codec.replicas([_REPLICA]),
        "logs": orjson.dumps("loading the weights\n2026-11-21 05:34:21,120 ERROR scoring failed\n"),
        "plan": codec.plan(_PLAN),
        "simulate": codec.simulation(_CONTRACT, _TIMELINE),
        "history": codec.history(_CONTRACT, _HISTORY),
        "rollback": codec.contract_updated(_CONTRACT),
        "versions": codec.versions_status(_VERSIONS),
        "update_versions": codec.versions_status(_VERSIONS),
        "unwatch_versions": codec.contract_updated(_CONTRACT),
        "alive": b'{"status":"alive"}',
        "ready": b'{"status":"ready"}',
    }.items()
} | {
    "score": {
        "Prediction": {
            "fqrv": orjson.loads(codec.servable_created(_FQRV))["ServableCreatedSuccessfully"]["fqrv"],
            "schema": [{"type": "Float64", "fields": ["Regression"]}],
            "datum": [
                {"tensors": [{"Float64": {"data": [438.18238719825354]}}]},
                {"tensors": [{"Float64": {"data": [442.62614460511372]}}]},
            ],
        }
    }
}


def _error(failure: ForestFlowError) -> Any:
    return orjson.loads(codec.error(failure, None, "4f1c86c2a49e4bd0b7a5d1f1b0a2c3d4"))


# Answers by status, where one stands for the others.
ERRORS: Mapping[int, Any] = {
    400: _error(Malformed("the body is not JSON: unexpected end of data")),
    404: _error(UnknownContract(_CONTRACT)),
    409: _error(ServableAlreadyExists(_FQRV, _SETTINGS)),
    422: _error(NoActiveServables(_CONTRACT)),
    503: _error(Unavailable("the registry is not reachable")),
    507: _error(StorageFailed("the journal could not be written")),
}
