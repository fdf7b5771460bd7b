"""A client's fault is told in the protocol's own form, with the right code, and harms nobody."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import httpx
import pytest

from tests.contract.protocol import (
    ANNOUNCED_TYPES,
    BOOLEANS,
    DECLARED_SHAPES,
    EMPTY_BATCHES,
    FIELDS,
    NO_ACTIVE_RELEASE,
    RAGGED_ROWS,
    UNFIT_DATA,
    UNKNOWN_CONTRACT,
    Address,
    Column,
    Refused,
    Table,
    Wire,
    need,
)
from tests.contract.servables import Deployed
from tests.contract.tfserving_wires import TfServingGrpc


def refused(wire: Wire, address: Address, table: Table) -> Refused:
    with pytest.raises(Refused) as caught:
        wire.score(address, table, {})
    return caught.value


def test_an_unknown_contract(wire: Wire, deployed: Deployed):
    for stranger in (
        replace(deployed.address, organization="größer"),
        replace(deployed.address, project="nobody's"),
        replace(deployed.address, contract_number=8),
    ):
        assert refused(wire, stranger, deployed.servable.table()).how == wire.refusals[UNKNOWN_CONTRACT]


def test_a_contract_without_a_valid_release(wire: Wire, dormant: Deployed):
    assert refused(wire, dormant.address, dormant.servable.table()).how == wire.refusals[NO_ACTIVE_RELEASE]


def test_no_data(wire: Wire, deployed: Deployed):
    need(wire, EMPTY_BATCHES)
    nothing = refused(wire, deployed.address, deployed.servable.table([]))
    assert nothing.how == wire.refusals[UNFIT_DATA]
    assert nothing.message == "No input data provided"
    assert refused(wire, deployed.address, ()).how == wire.refusals[UNFIT_DATA]


def test_values_of_another_type_than_announced(wire: Wire, deployed: Deployed):
    need(wire, ANNOUNCED_TYPES)
    *others, last = deployed.servable.table()
    texts = replace(last, rows=[["warm"] * len(row) for row in last.rows], sent_as="String")
    assert last.type == "Float64"
    assert refused(wire, deployed.address, (*others, texts)).how == wire.refusals[UNFIT_DATA]


def test_values_of_a_type_that_the_model_does_not_take(wire: Wire, deployed: Deployed):
    need(wire, BOOLEANS)
    *others, last = deployed.servable.table()
    flags = replace(last, type="Bool", rows=[[True] * len(row) for row in last.rows])
    assert refused(wire, deployed.address, (*others, flags)).how == wire.refusals[UNFIT_DATA]


def test_rows_of_different_lengths(wire: Wire, deployed: Deployed):
    need(wire, RAGGED_ROWS)
    *others, last = deployed.servable.table()
    ragged = replace(last, rows=[*last.rows[:-1], last.rows[-1][:-1]])
    error = refused(wire, deployed.address, (*others, ragged))
    assert error.how == wire.refusals[UNFIT_DATA]
    if ANNOUNCED_TYPES not in wire.lacks:
        assert f"datum {len(last.rows) - 1}" in error.message


def test_nothing_but_columns_of_other_names(wire: Wire, deployed: Deployed):
    need(wire, FIELDS)
    table = deployed.servable.table()
    strange = Column("Float64", ("surplus",), [[0.5]] * len(table[0].rows))
    error = refused(wire, deployed.address, (strange,))
    assert error.how == wire.refusals[UNFIT_DATA]
    assert "there is no input 'surplus'" in error.message


@pytest.mark.parametrize(
    "shape", [(70_000_000, 0), (2**40, 0), (0, 2**62, 2**62), (0, 2**62), (1, 70_000_000, 0)], ids=str
)
def test_more_rows_declared_than_bytes_sent(wire: Wire, deployed: Deployed, shape: tuple[int, ...]):
    """A hundred bytes declare 70 million rows; the replica's memory was gone, and so were its neighbours."""
    need(wire, DECLARED_SHAPES)
    names = [field for column in deployed.servable.table() if column.type == "Float64" for field in column.fields]
    with pytest.raises(Refused, match=r"cannot have the shape \[") as caught:
        wire.declare(deployed.address, dict.fromkeys(names[:1], shape))
    assert caught.value.how == wire.refusals[UNFIT_DATA]
    assert wire.score(deployed.address, deployed.servable.table([0]), {}).columns


def test_one_value_for_more_rows_than_bytes_sent(wire: Wire, deployed: Deployed):
    """TensorFlow's messages may leave out values that are as the last one; so many rows no request has."""
    if not isinstance(wire, TfServingGrpc):
        pytest.skip("the protocol has a value for each element")
    table = deployed.servable.table()
    if any(column.type != "Float64" for column in table):
        pytest.skip("numbers alone may be left out")
    names = [field for column in table for field in column.fields]
    assert wire.repeat(deployed.address, dict.fromkeys(names, (50,)), 1.0) == 50
    with pytest.raises(Refused, match="without a value of their own") as caught:
        wire.repeat(deployed.address, dict.fromkeys(names, (200000,)), 1.0)
    assert caught.value.how == wire.refusals[UNFIT_DATA]


BODIES = {
    "/{path}/score": '{"schema":[],"datum":[],"datum":[]}',
    "/contract/{path}": '{"router":{},"expirationPolicy":{},"router":{}}',
    "/servable/{path}/another": '{"path":"/a","path":"/b"}',
    "/v1/models/{model}:predict": '{"instances":[1.5],"instances":[2.5]}',
    "/v2/models/{model}/infer": '{"inputs":[{"name":"x","shape":[1],"shape":[2],"datatype":"FP64","data":[1]}]}',
    "/hopsworks-api/api/project/1/inference/models/{model}:predict": '{"inputs":[[1]],"inputs":[[2]]}',
    "/{path}/infer/{signature}": '{"numeric":[1],"numeric":[2]}',
}


@pytest.mark.parametrize("path", BODIES)
def test_a_name_twice_in_one_object(http: httpx.Client, deployed: Deployed, path: str):
    """RFC 8259 leaves open which of them counts, and programs on the way may read another one than we do."""
    address = deployed.address
    names = (address.organization, address.project, str(address.contract_number))
    contract = "/".join(quote(name, safe="") for name in names)
    url = path.replace("{path}", contract).replace("{model}", quote(".".join(names), safe=""))
    if "{signature}" in url:
        url = url.replace("{signature}", http.get(f"/{contract}/infer").json()[0]["name"])
    reply = http.post(url, content=BODIES[path], headers={"Content-Type": "application/json"})
    assert (reply.status_code, "is given twice in one object" in reply.text) == (400, True), reply.text
