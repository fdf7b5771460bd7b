"""The same rows through every protocol to every servable give the same values: those of the model's own framework."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.protocol import (
    ANSWERED_FIELDS,
    CONFIGS,
    FIELDS,
    FURTHER_FIELDS,
    Column,
    Table,
    Wire,
    exact,
    need,
)
from tests.contract.servables import RELEASE, Deployed, Golden, Servable

STRANGE = {"String": "naïve 😀 \u2028", "Float64": -1e300}
MANY = 10_000


def goldens(wire: Wire, servable: Servable) -> list[Golden]:
    """Those that the protocol can ask for, named as it names them."""
    return [
        Golden(golden.configs, nameless(golden.columns) if ANSWERED_FIELDS in wire.lacks else golden.columns)
        for golden in servable.golden
        if not golden.configs or CONFIGS not in wire.lacks
    ]


def nameless(table: Table) -> Table:
    return tuple(replace(column, fields=()) for column in table)


def assert_golden(answer: Table, golden: Table) -> None:
    assert [(c.type, c.fields) for c in answer] == [(c.type, c.fields) for c in golden]
    for ours, theirs in zip(answer, golden, strict=True):
        assert len(ours.rows) == len(theirs.rows)
        for row, expected in zip(ours.rows, theirs.rows, strict=True):
            assert row == (pytest.approx(expected, rel=1e-9) if ours.type.startswith("Float") else expected)


def test_values_are_the_frameworks(wire: Wire, deployed: Deployed):
    servable = deployed.servable
    for golden in goldens(wire, servable):
        answer = wire.score(deployed.address, servable.table(), golden.configs)
        assert_golden(answer.columns, golden.columns)
        assert (answer.address, answer.release) == (deployed.address, RELEASE)


def test_all_protocols_agree_to_the_last_bit(wires: dict[str, Wire], deployed: Deployed):
    servable = deployed.servable
    first, *others = wires.values()
    for golden in servable.golden:
        expected = exact(nameless(first.score(deployed.address, servable.table(), golden.configs).columns))
        for other in others:
            if golden.configs and CONFIGS in other.lacks:
                continue
            answer = other.score(deployed.address, servable.table(), golden.configs).columns
            assert exact(nameless(answer)) == expected


def test_one_row(wire: Wire, deployed: Deployed):
    servable = deployed.servable
    golden = goldens(wire, servable)[-1]
    for row in range(servable.row_count):
        answer = wire.score(deployed.address, servable.table([row]), golden.configs)
        assert_golden(answer.columns, tuple(column.take([row]) for column in golden.columns))


def test_many_rows_keep_their_order(wire: Wire, deployed: Deployed):
    servable = deployed.servable
    golden = goldens(wire, servable)[-1]
    few = wire.score(deployed.address, servable.table(), golden.configs).columns
    rows = [i * i % servable.row_count for i in range(MANY)]
    many = wire.score(deployed.address, servable.table(rows), golden.configs).columns
    assert exact(many) == exact(tuple(column.take(rows) for column in few))


def test_fields_and_columns_in_another_order(wire: Wire, deployed: Deployed):
    need(wire, FIELDS)
    servable = deployed.servable
    golden = goldens(wire, servable)[-1]
    backwards = tuple(
        replace(column, fields=column.fields[::-1], rows=[row[::-1] for row in column.rows])
        for column in reversed(servable.table())
    )
    assert_golden(wire.score(deployed.address, backwards, golden.configs).columns, golden.columns)


def test_further_fields_are_ignored_whatever_they_hold(wire: Wire, deployed: Deployed):
    need(wire, FURTHER_FIELDS)
    servable = deployed.servable
    golden = goldens(wire, servable)[-1]
    wider = tuple(
        replace(
            column,
            fields=(f"größe 😀 {column.type}", *column.fields, f"z {column.type}"),
            rows=[[STRANGE[column.type], *row, STRANGE[column.type]] for row in column.rows],
        )
        for column in servable.table()
    )
    configs = dict(golden.configs) if CONFIGS in wire.lacks else {**golden.configs, "größe 😀": "naïve \u2028"}
    assert_golden(wire.score(deployed.address, wider, configs).columns, golden.columns)


def test_a_column_too_many_is_ignored(wire: Wire, deployed: Deployed):
    need(wire, FIELDS)
    servable = deployed.servable
    golden = goldens(wire, servable)[-1]
    table = servable.table()
    surplus = Column("Int64", ("surplus",), [[2**63 - 1]] * len(table[0].rows))
    assert_golden(wire.score(deployed.address, (*table, surplus), golden.configs).columns, golden.columns)


def test_a_field_left_out_is_one_without_values(wire: Wire, deployed: Deployed):
    need(wire, FIELDS)
    servable = deployed.servable
    configs = goldens(wire, servable)[-1].configs
    for field in servable.types:
        left_out = wire.score(deployed.address, servable.table(without=field), configs).columns
        blank = wire.score(deployed.address, servable.blanked(field), configs).columns
        assert exact(left_out) == exact(blank)


def test_text_that_the_model_never_saw_is_a_missing_value(wire: Wire, deployed: Deployed):
    servable = deployed.servable
    configs = goldens(wire, servable)[-1].configs
    texts = [field for field, type_ in servable.types.items() if type_ == "String"]
    if not texts:
        pytest.skip("it takes no text")
    blank = servable.blanked(texts[0])
    strange = tuple(_with(column, texts[0], STRANGE["String"]) for column in blank)
    answers = [wire.score(deployed.address, table, configs).columns for table in (strange, blank)]
    assert exact(answers[0]) == exact(answers[1])


def _with(column: Column, field: str, value: str) -> Column:
    rows = [[value if f == field else v for f, v in zip(column.fields, row, strict=True)] for row in column.rows]
    return replace(column, rows=rows)
