"""Bodies to try: those of the quick start, shown by OpenAPI and read by the codecs' tests."""

from __future__ import annotations

from typing import Any

CONTRACT_SETTINGS: dict[str, Any] = {
    "expirationPolicy": {"KeepLatest": {"servablesToKeep": 2}},
    "router": {"FairPhaseInPctBasedRouter": {}},
}

POLICY_SETTINGS: dict[str, Any] = {
    "validityPolicy": [{"TimeBasedValidity": {"validAfterMS": "60000"}}],
    "phaseInPolicy": {"LinearTimeBasedPhaseIn": {"phaseInOverSecs": 600}},
}

LOGGING_SETTINGS: dict[str, Any] = {"logLevel": "FULL", "keyFeatures": ["reqid"]}

SHADOW_SETTINGS: dict[str, Any] = {"enabled": True, "samplePercent": 10, "maxBacklog": 64}

SERVE_REQUEST: dict[str, Any] = {
    "path": "file:///models/energy_output",
    "fqrv": {
        "contract": {"organization": "samples", "project": "energy_output", "contractNumber": 0},
        "releaseVersion": "gbm-2024-10-02",
    },
    "flavor": {"H2OMojo": {"mojoPath": "gbm.zip"}},
    "servableSettings": {
        "policySettings": {
            "validityPolicy": [{"ImmediatelyValid": {}}],
            "phaseInPolicy": {"ImmediatePhaseIn": {}},
        },
        "loggingSettings": LOGGING_SETTINGS,
    },
}

INFERENCE_REQUEST: dict[str, Any] = {
    "schema": [
        {
            "type": "Float64",
            "fields": ["TemperatureCelcius", "ExhaustVacuumHg", "AmbientPressureMillibar", "RelativeHumidity"],
        }
    ],
    "datum": [
        {"tensors": [{"Float64": {"data": [33.2, 60.5, 1010.7, 30]}}]},
        {"tensors": [{"Float64": {"data": [29.6, 62, 998.5, 40.62]}}]},
    ],
    "configs": {"reqid": "123-456-789"},
}

METRIC_REPORTS: dict[str, Any] = {"metrics": [{"name": "auc", "value": 0.93, "count": 50}]}

SIMULATION_REQUEST: dict[str, Any] = {
    "policies": {"gbm-2024-10-02": POLICY_SETTINGS},
    "horizonSecs": 3600,
    "eventsPerSecond": 10.0,
}

ROLLBACK_REQUEST: dict[str, Any] = {"seq": "12"}

# The body each message is shown with.
VERSIONS_REQUEST: dict[str, Any] = {
    "path": "file:///Models/mnist",
    "fqrv": {
        "contract": {"organization": "samples", "project": "mnist", "contractNumber": 0},
        "releaseVersion": "ignored",
    },
    "flavor": {"TensorFlow": {"modelPath": "."}},
    "servableSettings": {"policySettings": POLICY_SETTINGS},
    "versions": {"latest": {"count": 2}},
    "pollSeconds": 2,
}

VERSIONS_UPDATE: dict[str, Any] = {"versions": {"specific": {"versions": ["1", "3"]}}}

EXAMPLES: dict[str, dict[str, Any]] = {
    "ContractSettings": CONTRACT_SETTINGS,
    "PolicySettings": POLICY_SETTINGS,
    "LoggingSettings": LOGGING_SETTINGS,
    "ShadowSettings": SHADOW_SETTINGS,
    "BasicServeRequest": SERVE_REQUEST,
    "InferenceRequest": INFERENCE_REQUEST,
    "MetricReports": METRIC_REPORTS,
    "SimulationRequest": SIMULATION_REQUEST,
    "RollbackRequest": ROLLBACK_REQUEST,
    "VersionsUpdate": VERSIONS_UPDATE,
}
