"""The payloads of the benchmark: the quick start's, and the same with more rows; and where the example model is."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

MODELS = Path(__file__).resolve().parent.parent / "forestflow" / "examples" / "models"
MOJO = "energy_gbm_v1.zip"
FIELDS = ("TemperatureCelcius", "ExhaustVacuumHg", "AmbientPressureMillibar", "RelativeHumidity")
# The range of each field in the training data, roughly.
_RANGES = ((2.0, 37.0), (25.0, 81.0), (993.0, 1033.0), (26.0, 100.0))
BATCH_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Address:
    """A contract and one release under it."""

    organization: str = "samples"
    project: str = "energy_output"
    contract_number: int = 0
    release_version: str = "v1"

    @property
    def path(self) -> str:
        """The contract as a URL path, with a slash before it."""
        return f"/{self.organization}/{self.project}/{self.contract_number}"


def _request(rows: list[list[float]]) -> bytes:
    return orjson.dumps(
        {
            "schema": [{"type": "Float64", "fields": FIELDS}],
            "datum": [{"tensors": [{"Float64": {"data": row}}]} for row in rows],
            "configs": {"reqid": "123-456-789"},
        }
    )


@cache
def two_rows() -> bytes:
    """The quick start's two records."""
    return _request([[33.2, 60.5, 1010.7, 30], [29.6, 62, 998.5, 40.62]])


@cache
def batch() -> bytes:
    """10,000 records, seeded, with the two to five digits that the training data has."""
    dice = random.Random(17)
    return _request([[round(dice.uniform(low, high), 2) for low, high in _RANGES] for _ in range(BATCH_ROWS)])


def deploy(address: Address) -> dict[str, Any]:
    """The quick start's deployment of the example GBM; one replica; prediction logging off."""
    return {
        "path": f"file://{MODELS}",
        "fqrv": {
            "contract": {
                "organization": address.organization,
                "project": address.project,
                "contract_number": address.contract_number,
            },
            "release_version": address.release_version,
        },
        "flavor": {"H2OMojo": {"mojoPath": MOJO, "version": "3.46.0.11"}},
        "servableSettings": {
            "policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}},
            "loggingSettings": {"logLevel": "NONE"},
        },
    }
