"""Trees walked in a table: for every model of them, with H2O's own sums, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from forestflow.servables.base import Servable
from tests.integration.h2o.conftest import EXAMPLES, load
from tests.integration.h2o.training import Case

FORESTS = ("gbm_", "drf_", "isolation_")


def java(instance: Any, name: str) -> Any:
    """A field or method that Java keeps to its package."""
    found = instance.getClass()
    member = {str(m.getName()): m for m in (*found.getDeclaredFields(), *found.getDeclaredMethods())}[name]
    member.setAccessible(True)
    return member


def reader_of(model: Servable) -> Any:
    """A fresh TreeReader of the model's trees, its table read."""
    import jpype

    make = jpype.JClass("forestflow.TreeReader").class_.getDeclaredConstructors()[0]
    make.setAccessible(True)
    reader = make.newInstance(model._scorer.model())  # type: ignore[attr-defined]
    assert java(reader, "readAll").invoke(reader)
    return reader


def test_every_forest_has_a_table_and_no_other_model_has(
    trained: dict[str, Case], servable: Callable[[str], Servable]
) -> None:
    models = {name for name, case in trained.items() if case.category != "WordEmbedding"}
    tabled = {name for name in models if servable(name)._scorer.hasTable()}  # type: ignore[attr-defined]
    assert tabled == {name for name in models if name.startswith(FORESTS)}
    assert len(tabled) > 15


@pytest.mark.parametrize("what", ["split", "cell", "value", "sets"])
def test_a_table_with_other_sums_is_refused(what: str) -> None:
    """The rows tried find a single node that is wrong, among those of the third class, too."""
    model = load(EXAMPLES / "visits_gbm.zip")
    reader = reader_of(model)
    table = java(reader, "table").get(reader)
    assert java(reader, "agrees").invoke(reader)
    root = int(java(table, "roots").get(table)[2][5])
    array = java(table, what).get(table)
    at = int(java(table, "set").get(table)[root]) if what == "sets" else root
    if what == "value":
        left = java(table, "left").get(table)
        while left[at] > at:
            at = int(left[at])
    array[at] = ~int(array[at]) if what == "sets" else array[at] + 1
    assert not java(reader, "agrees").invoke(reader)
