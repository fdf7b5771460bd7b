"""Categories of a pandas DataFrame through every protocol: values mean what LightGBM takes them for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx
import lightgbm
import numpy as np
import pandas
import pytest

from tests.contract.conftest import PROTOCOLS, release_of
from tests.contract.protocol import BOOLEANS, UNFIT_DATA, Address, Column, Refused, Table, Target, Wire
from tests.mlmodels import mlmodel

ROWS = np.arange(120)
TRAINED = pandas.DataFrame(
    {
        "code": pandas.Categorical(np.array([10, 20, 30])[ROWS % 3]),
        "colour": pandas.Categorical(np.array(["red", "naïve größe 😀", "10", "blue"])[ROWS % 4]),
        "flag": pandas.Categorical(ROWS % 5 == 0),
        "x": ROWS % 7 / 2,
    }
)
TARGET = (ROWS % 3) ** 2 + 10.0 * (ROWS % 4) + 3.0 * (ROWS % 5 == 0) + ROWS % 7


@dataclass(frozen=True)
class CategoriesCase:
    name: ClassVar[str] = "categories"
    flavor: ClassVar[dict[str, Any]] = {"MLmodel": {}}


@pytest.fixture(scope="module")
def model() -> lightgbm.Booster:
    parameters = {"verbose": -1, "min_data_in_leaf": 1, "min_data_per_group": 1, "num_threads": 1}
    return lightgbm.train(parameters, lightgbm.Dataset(TRAINED, TARGET), 30)


@pytest.fixture(scope="module")
def deployed(
    request: pytest.FixtureRequest,
    http: httpx.Client,
    model: lightgbm.Booster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Address]:
    if request.config.getoption("--models"):
        pytest.skip("the server has models of its own, and does not see the one that was trained here")
    folder = mlmodel(tmp_path_factory.mktemp("m"), {"lightgbm": {"data": "model.lgb", "lgb_version": "4.7.0"}})
    model.save_model(folder / "model.lgb")
    with release_of(CategoriesCase(), http, folder.as_uri(), "ImmediatelyValid") as address:  # type: ignore[arg-type]
        yield address


def table(wire: Wire, rows: pandas.DataFrame) -> Table:
    """As clients send them: the last columns first, numbers for categories that are numbers."""
    flag = "UInt8" if BOOLEANS in wire.lacks else "Bool"
    kinds = {"x": "Float64", "flag": flag, "colour": "String", "code": "Int64"}
    return tuple(Column(kind, (name,), [[value] for value in rows[name].tolist()]) for name, kind in kinds.items())


def values(columns: Table) -> list[float]:
    (column,) = columns
    return [row[0] for row in column.rows]


def test_answers_are_those_of_the_dataframe(wire: Wire, deployed: Address, model: lightgbm.Booster) -> None:
    expected = model.predict(TRAINED).tolist()
    assert len(set(expected)) > 50
    assert values(wire.score(deployed, table(wire, TRAINED), {}).columns) == expected
    assert values(wire.score(deployed, table(wire, TRAINED[7:8]), {}).columns) == expected[7:8]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_requests_that_run_together(
    protocol: str, wires: dict[str, Wire], target: Target, deployed: Address, model: lightgbm.Booster
) -> None:
    if protocol not in wires:
        pytest.skip("the server was named without --grpc")
    expected = model.predict(TRAINED).tolist()

    def ask(worker: int) -> dict[int, list[float]]:
        wire = PROTOCOLS[protocol](target)  # a client is for one thread
        try:
            places = range(3 * worker, 120, 12)
            return {i: values(wire.score(deployed, table(wire, TRAINED[i : i + 3]), {}).columns) for i in places}
        finally:
            wire.close()

    with ThreadPoolExecutor(4) as pool:
        answered = {i: found for one in pool.map(ask, range(4)) for i, found in one.items()}
    assert [value for i in sorted(answered) for value in answered[i]] == expected


def test_what_training_has_not_seen_is_missing(wire: Wire, deployed: Address, model: lightgbm.Booster) -> None:
    strange = TRAINED[:4].assign(code=[99, 10, 0, 1], colour=["pink", "", "red", "RED"])
    known = {name: TRAINED[name].cat.categories for name in ("code", "colour")}
    missing = TRAINED[:4].assign(
        code=pandas.Categorical([None, 10, None, None], known["code"]),
        colour=pandas.Categorical([None, None, "red", None], known["colour"]),
    )
    expected = model.predict(missing).tolist()
    assert expected != model.predict(TRAINED[:4]).tolist()
    assert values(wire.score(deployed, table(wire, strange), {}).columns) == expected


def test_a_text_is_no_number(wire: Wire, deployed: Address) -> None:
    sent = table(wire, TRAINED[:1].astype({"code": str}))
    with pytest.raises(Refused) as caught:
        wire.score(deployed, (*sent[:-1], Column("String", ("code",), [["10"]])), {})
    assert caught.value.how == wire.refusals[UNFIT_DATA]
    assert "code" in caught.value.message
    assert "Int64" in caught.value.message
