"""tf-infer's REST, by json and httpx: a list of objects, one for each row."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import httpx
import numpy as np

from tests.contract.protocol import (
    ANNOUNCED_TYPES,
    CONFIGS,
    DECLARED_SHAPES,
    EMPTY_BATCHES,
    FIELDS,
    FURTHER_FIELDS,
    NO_ACTIVE_RELEASE,
    RAW_BYTES,
    SINGLE_INPUTS,
    TEXTS_APART,
    UNFIT_DATA,
    UNKNOWN_CONTRACT,
    Address,
    Array,
    Column,
    Prediction,
    Refused,
    Table,
    Target,
    dtype_of,
    typed,
)

GROUPS = ("categorical", "numeric")


class TfInferHttp:
    """An H2O model's inputs are its groups of fields, as the list of signatures has them; another's are its columns."""

    lacks: ClassVar = frozenset(
        {
            *(ANNOUNCED_TYPES, CONFIGS, DECLARED_SHAPES, EMPTY_BATCHES, FIELDS, FURTHER_FIELDS),
            *(RAW_BYTES, SINGLE_INPUTS, TEXTS_APART),
        }
    )
    refusals: ClassVar = {UNKNOWN_CONTRACT: (404,), NO_ACTIVE_RELEASE: (422,), UNFIT_DATA: (400,)}

    def __init__(self, target: Target) -> None:
        self._client = httpx.Client(base_url=target.http, timeout=60)

    def score(self, address: Address, table: Table, configs: Mapping[str, str]) -> Prediction:
        assert not configs
        path = _path(address)
        (described,) = self._json(self._client.get(path))
        signature, outputs = described["name"], described["outputs"]
        rows = [_row(table, i, grouped=not described["inputs"].keys().isdisjoint(GROUPS)) for i in range(_rows(table))]
        reply = self._client.post(f"{path}/{quote(signature)}", content=json.dumps(rows))
        examples = self._json(reply)
        organization, project, number, release = map(unquote, reply.headers["x-forestflow-fqrv"].split("/"))
        columns = [_column(name, told, [example[name] for example in examples]) for name, told in outputs.items()]
        return Prediction(Address(organization, project, int(number)), release, tuple(columns))

    def echo(self, address: Address, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """By the signature that casts: numbers are in no type of their own; the list of signatures has the answer's."""
        path = _path(address)
        (outputs,) = [s["outputs"] for s in self._json(self._client.get(path)) if s["name"] == "cast"]
        columns = {name: [_written(value) for value in values.tolist()] for name, values in tensors.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        examples = self._json(self._client.post(f"{path}/cast", content=json.dumps(rows)))
        answered = {name: [example[name] for example in examples] for name in examples[0]}
        return {name: typed(values, _dtype(outputs[name]["type"])) for name, values in answered.items()}

    def _json(self, reply: httpx.Response) -> Any:
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["access-control-allow-origin"] == "*"
        if reply.status_code != 200:
            raise Refused((reply.status_code,), reply.json()["error"])
        return reply.json()

    def close(self) -> None:
        self._client.close()


def _rows(table: Table) -> int:
    return len(table[0].rows)


def _row(table: Table, place: int, *, grouped: bool) -> dict[str, Any]:
    if grouped:
        return {GROUPS[column.type != "String"]: column.rows[place] for column in table}
    return {field: column.rows[place][i] for column in table for i, field in enumerate(column.fields)}


def _path(address: Address) -> str:
    parts = (address.organization, address.project, address.contract_number)
    return "/" + "/".join(quote(str(part), safe="") for part in parts) + "/infer"


def _written(value: Any) -> Any:
    if isinstance(value, list):
        return [_written(entry) for entry in value]
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _dtype(told: str) -> np.dtype[Any]:
    return dtype_of("String") if told == "string" else np.dtype(told)


def _column(name: str, told: Any, values: list[Any]) -> Column:
    kind = {"float64": "Float64", "string": "String"}[told["type"]]
    return Column(kind, (name,), [[value] for value in values])
