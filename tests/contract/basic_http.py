"""BASIC: JSON over HTTP, by json and httpx."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import httpx

from tests.contract.protocol import (
    DECLARED_SHAPES,
    NO_ACTIVE_RELEASE,
    UNFIT_DATA,
    UNKNOWN_CONTRACT,
    Address,
    Array,
    Column,
    Prediction,
    Refused,
    Table,
    Target,
    as_table,
    as_tensors,
)

KEYS = {"Bytes": "Byte"}  # what a tensor is called where that is not its type's name


class BasicHttp:
    """The status and the error's wrapper say what went wrong."""

    lacks: ClassVar = frozenset({DECLARED_SHAPES})
    refusals: ClassVar = {
        UNKNOWN_CONTRACT: (404, "UnknownContract"),
        NO_ACTIVE_RELEASE: (422, "NoActiveServablesForContract"),
        UNFIT_DATA: (422, "UnknownServableError"),
    }

    def __init__(self, target: Target) -> None:
        self._client = httpx.Client(base_url=target.http, timeout=60)

    def score(self, address: Address, table: Table, configs: Mapping[str, str]) -> Prediction:
        path = "/".join(quote(part, safe="") for part in (address.organization, address.project))
        reply = self._client.post(
            f"/{path}/{address.contract_number}/score",
            content=json.dumps(_body(table, configs), allow_nan=False),
            headers={"Content-Type": "application/json"},
        )
        assert reply.headers["content-type"] == "application/json"
        ((wrapper, content),) = reply.json().items()
        if reply.status_code != 200:
            raise Refused((reply.status_code, wrapper), content.get("errorMessage", ""))
        assert wrapper == "Prediction"
        return _prediction(content)

    def echo(self, address: Address, tensors: Mapping[str, Array]) -> dict[str, Array]:
        return as_tensors(self.score(address, as_table(tensors), {}).columns, tensors)

    def close(self) -> None:
        self._client.close()


def _body(table: Table, configs: Mapping[str, str]) -> dict[str, Any]:
    rows = len(table[0].rows) if table else 0
    sent = [column.sent_as or column.type for column in table]
    return {
        "schema": [{"type": column.type, "fields": column.fields} for column in table],
        "datum": [
            {
                "tensors": [
                    {KEYS.get(type_, type_): {"data": [_written(type_, value) for value in column.rows[i]]}}
                    for type_, column in zip(sent, table, strict=True)
                ]
            }
            for i in range(rows)
        ],
        "configs": configs,
    }


def _prediction(content: Any) -> Prediction:
    columns = []
    for i, entry in enumerate(content.get("schema", [])):
        type_ = entry["type"]
        tensors = [datum["tensors"][i][KEYS.get(type_, type_)] for datum in content["datum"]]
        rows = [[_read(type_, value) for value in tensor.get("data", [])] for tensor in tensors]
        columns.append(Column(type_, tuple(entry["fields"]), rows))
    contract = content["fqrv"]["contract"]
    address = Address(contract["organization"], contract["project"], contract["contractNumber"])
    return Prediction(address, content["fqrv"]["releaseVersion"], tuple(columns))


def _written(type_: str, value: Any) -> Any:
    if type_ == "Bytes":
        return base64.b64encode(value).decode()
    if type_.startswith("Float") and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _read(type_: str, value: Any) -> Any:
    if type_ == "Bytes":
        return base64.b64decode(value, validate=True)
    if type_.startswith("Float"):
        return float(value)
    if type_ in ("Int64", "UInt64"):
        assert isinstance(value, str), "protobuf's JSON has them as strings"
        return int(value)
    return value
