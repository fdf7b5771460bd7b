"""tf-infer's REST, by json and httpx: a list of objects, one for each row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import httpx

from tests.contract.protocol import (
    ANNOUNCED_TYPES,
    CONFIGS,
    EMPTY_BATCHES,
    FIELDS,
    FURTHER_FIELDS,
    NO_ACTIVE_RELEASE,
    UNFIT_DATA,
    UNKNOWN_CONTRACT,
    Address,
    Column,
    Prediction,
    Refused,
    Table,
    Target,
)


class TfInferHttp:
    """An H2O model's inputs are its groups of fields, as the list of signatures has them."""

    lacks: ClassVar = frozenset({ANNOUNCED_TYPES, CONFIGS, EMPTY_BATCHES, FIELDS, FURTHER_FIELDS})
    refusals: ClassVar = {UNKNOWN_CONTRACT: (404,), NO_ACTIVE_RELEASE: (422,), UNFIT_DATA: (400,)}

    def __init__(self, target: Target) -> None:
        self._client = httpx.Client(base_url=target.http, timeout=60)

    def score(self, address: Address, table: Table, configs: Mapping[str, str]) -> Prediction:
        assert not configs
        parts = (address.organization, address.project, address.contract_number)
        path = "/" + "/".join(quote(str(part), safe="") for part in parts) + "/infer"
        ((signature, outputs),) = [(s["name"], s["outputs"]) for s in self._json(self._client.get(path))]
        rows = [
            {"categorical" if column.type == "String" else "numeric": column.rows[i] for column in table}
            for i in range(len(table[0].rows))
        ]
        reply = self._client.post(f"{path}/{quote(signature)}", content=json.dumps(rows))
        examples = self._json(reply)
        organization, project, number, release = map(unquote, reply.headers["x-forestflow-fqrv"].split("/"))
        columns = [_column(name, told, [example[name] for example in examples]) for name, told in outputs.items()]
        return Prediction(Address(organization, project, int(number)), release, tuple(columns))

    def _json(self, reply: httpx.Response) -> Any:
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["access-control-allow-origin"] == "*"
        if reply.status_code != 200:
            raise Refused((reply.status_code,), reply.json()["error"])
        return reply.json()

    def close(self) -> None:
        self._client.close()


def _column(name: str, told: Any, values: list[Any]) -> Column:
    kind = {"float64": "Float64", "string": "String"}[told["type"]]
    return Column(kind, (name,), [[value] for value in values])
