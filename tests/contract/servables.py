"""The servables of the suite: what to deploy, rows to score, and the answers that its framework gave for them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from tests.contract.protocol import Address, Column, Table
from tests.serving import MODELS

RELEASE = "v1 ünder test"
MISSING = {"String": "", "Float64": math.nan}  # what stands for a value that is not there


@dataclass(frozen=True)
class Golden:
    """What a request with these configs is to be answered for all rows."""

    configs: Mapping[str, str]
    columns: Table


class H2OCase:
    """An example MOJO; the file beside it has rows and the predictions of the cluster that trained it."""

    def __init__(self, name: str, types: Mapping[str, str]) -> None:
        """``types`` of the inputs, in the order in which the model's metadata has them."""
        self.name = name
        self.types = types

    @property
    def flavor(self) -> dict[str, Any]:
        return {"H2OMojo": {"mojoPath": f"{self.name}.zip"}}

    @cached_property
    def _document(self) -> dict[str, Any]:
        return json.loads((MODELS / f"{self.name}.json").read_text("utf-8"))

    @property
    def row_count(self) -> int:
        return len(self._document["rows"])

    def table(self, rows: Sequence[int] | None = None, *, without: str = "") -> Table:
        """All rows, or those; fields of one type form one column."""
        place = {field: i for i, field in enumerate(self._document["fields"])}
        columns = []
        for type_ in dict.fromkeys(self.types.values()):
            fields = tuple(field for field, its_type in self.types.items() if its_type == type_ and field != without)
            values = [[_present(type_, row[place[f]]) for f in fields] for row in self._document["rows"]]
            columns.append(Column(type_, fields, values))
        taken = range(self.row_count) if rows is None else rows
        return tuple(column.take(taken) for column in columns)

    def blanked(self, field: str) -> Table:
        """All rows, with that field's values missing."""
        return tuple(
            Column(
                column.type,
                column.fields,
                [
                    [MISSING[column.type] if f == field else v for f, v in zip(column.fields, row, strict=True)]
                    for row in column.rows
                ],
            )
            for column in self.table()
        )

    @cached_property
    def golden(self) -> list[Golden]:
        predictions = self._document["predictions"]
        labels = [key for key in predictions if key != "predict"]
        if not labels:
            answer = Column("Float64", ("Regression",), [[value] for value in predictions["predict"]])
            return [Golden({}, (answer,))]
        answer = Column("String", ("Multinomial",), [[value] for value in predictions["predict"]])
        chances = Column(
            "Float64",
            tuple(f"p.{label}" for label in labels),
            [list(row) for row in zip(*(predictions[label] for label in labels), strict=True)],
        )
        return [Golden({}, (answer,)), Golden({"h2o.outputs": "prediction,probabilities"}, (answer, chances))]


def _present(type_: str, value: Any) -> Any:
    if value is None:
        return MISSING[type_]
    return float(value) if type_ == "Float64" else value


class IdentityCase:
    """The Python model of ``identity/serve.py``, of which only test_types asks."""

    name = "identity"
    flavor: ClassVar = {"Python": {"script": "serve.py"}}
    folder = Path(__file__).with_name("identity")


Servable = H2OCase  # others will have the same members

SERVABLES: list[Servable] = [
    H2OCase(
        "energy_gbm_v1",
        dict.fromkeys(
            ("TemperatureCelcius", "ExhaustVacuumHg", "AmbientPressureMillibar", "RelativeHumidity"), "Float64"
        ),
    ),
    H2OCase("visits_gbm", {"channel": "String", "weekday": "String", "minutes": "Float64", "price": "Float64"}),
]


@dataclass(frozen=True)
class Deployed:
    """A servable of the suite and the contract under which it is the only release."""

    servable: Servable
    address: Address
