"""A client's fault is told in the protocol's own form, with the right code, and harms nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.protocol import (
    ANNOUNCED_TYPES,
    BOOLEANS,
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
