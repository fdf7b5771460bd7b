"""Answers of functions that no tensor holds: what MLflow's scoring server writes as JSON, here in texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forestflow.domain.errors import ModelFailed
from forestflow.domain.requests import MLmodel
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import Batch, Column, Layout, TensorType
from forestflow.servables import loading
from tests.mlmodels import columns, mlmodel, pyfunc

LOADER = """
import datetime
import numpy as np
import pandas

class Model:
    def predict(self, frame):
        return ANSWER

def _load_pyfunc(path):
    return Model()
"""
TWO = Batch(2, (Column(TensorType.Float64, ("a",), np.array([1.5, 2.5])),), Layout.TENSORS)


@pytest.fixture(autouse=True)
def forget_modules() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def served(folder: Path, answer: str) -> Any:
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "outputs_loader.py").write_text(LOADER.replace("ANSWER", answer))
    options = pyfunc("outputs_loader", code="code")
    mlmodel(folder, {"python_function": options}, signature={"inputs": columns(a="double")})
    return loading.load(folder, MLmodel(), Resources())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("[{'k': 1, 'l': [None, 'ä']}, {}]", {"prediction": [{"k": 1, "l": [None, "ä"]}, {}]}),
        ("pandas.DataFrame({'l': [[1.5], []], 'o': [{'n': np.int64(1)}, {'n': np.float32(0.5)}]})",
         {"l": [[1.5], []], "o": [{"n": 1}, {"n": 0.5}]}),
        ("{'m': [{'t': pandas.Timestamp('2020-01-01'), 'd': datetime.date(2020, 1, 2)}, {1: float('nan')}]}",
         {"m": [{"t": "2020-01-01T00:00:00", "d": "2020-01-02"}, {"1": None}]}),
    ],
)  # fmt: skip
def test_lists_and_objects_are_json(tmp_path: Path, answer: str, expected: dict[str, Any]) -> None:
    found = served(tmp_path / "m", answer).predict(TWO, {}).columns
    assert {c.fields[0]: [json.loads(text) for text in c.data] for c in found} == expected
    assert {c.type for c in found} == {TensorType.String}


def test_datetimes_are_iso_8601(tmp_path: Path) -> None:
    servable = served(tmp_path / "m", "pandas.DataFrame({'t': pandas.to_datetime(['2020-01-01T10:00', None])})")
    (column,) = servable.predict(TWO, {}).columns
    assert column.type is TensorType.String
    assert [text[:19] for text in column.data] == ["2020-01-01T10:00:00", ""]


def test_tensors_stay_tensors(tmp_path: Path) -> None:
    servable = served(tmp_path / "m", "{'x': [[1, 2], [3, 4]], 's': np.array(['a', 'b'], object)}")
    found = {c.fields[0]: (c.type.name, c.data.tolist()) for c in servable.predict(TWO, {}).columns}
    assert found == {"x": ("Int64", [[1, 2], [3, 4]]), "s": ("String", ["a", "b"])}


def test_what_cannot_be_json_is_the_models_fault(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="cannot be written as JSON"):
        served(tmp_path / "m", "[{'k': object()}, {}]").predict(TWO, {})
