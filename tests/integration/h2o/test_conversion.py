"""Odd rows, against EasyPredict: whatever comes, we answer what it answers and refuse what it refuses.

One difference is meant: EasyPredict refuses an integer for a numeric column, we take it (see the module ``inputs``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forestflow.domain.errors import ForestFlowError, InvalidInput
from forestflow.domain.tensors import Batch, Column, TensorType
from forestflow.servables.base import Servable
from tests.integration.h2o.batches import basic, column, predicted
from tests.integration.h2o.easy_predict import EasyPredict, Refused, java_value, same
from tests.integration.h2o.training import CAT, CITY, CODE, ENUMS, FEATURES, GRADE, Case

Get = Callable[[str], Servable]

ODD_TEXTS = [
    "low", "mid", "grade.grade.low", "Grade.low", "cat.red", "RED", " red", "top_10_levels", "other", "", " ", "NA",
    "nan", "NaN", "-NaN", "Infinity", "-Infinity", "inf", "1d", "2F", "3L", "0x1p3", "0X1.8P-2f", "0x10", "1e400",
    "-1e-400", "1_000", "1,5", "+.5", "5.", ".", "-", "\t7\n", "\u00a03", "\u0663", "1e", "1e+", "1 2", "٣", "1.5e3D",
    "4.9e-324", "2.2250738585072012e-308", "9007199254740993", "0x1.fffffffffffff8p1023", "0x1p-99999999999999999999",
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(CAT + GRADE + CODE + CITY[:3] + ODD_TEXTS), st.text(max_size=6))
VALUES: dict[TensorType, st.SearchStrategy[Any]] = {
    TensorType.String: TEXTS.filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)),
    TensorType.Float64: st.one_of(st.just(math.nan), st.floats()),
    TensorType.Int32: st.integers(-(2**31), 2**31 - 1),
    TensorType.Int64: st.integers(-(2**63), 2**63 - 1),
    TensorType.Bool: st.booleans(),
}
LIKELY = st.sampled_from([TensorType.String] * 4 + [TensorType.Float64] * 4 + list(VALUES))
NAMES = [*FEATURES, "unknown", "y", "off"]
MODELS = [
    "gbm_regression", "xgb_regression", "glm_regression", "gbm_one_hot_explicit", "gbm_binary", "gbm_eigen",
    "gbm_enum_limited", "gbm_label_encoder", "deep_regression", "gbm_binomial_offset", "gam_regression", "kmeans",
    "autoencoder", "drf_binomial", "isolation_forest",
]  # fmt: skip


@st.composite
def odd_batches(draw: st.DrawFn) -> Batch:
    """Two columns of any type and any fields, in any order, that may share fields."""
    rows = draw(st.integers(1, 3))
    columns = []
    for _ in range(2):
        type_ = draw(LIKELY)
        fields = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=len(NAMES), unique=True))
        if type_ is not TensorType.String and draw(st.booleans()):
            fields = [f for f in fields if f not in ENUMS] or ["x1"]
        row = st.lists(VALUES[type_], min_size=len(fields), max_size=len(fields))
        columns.append(column(type_, fields, draw(st.lists(row, min_size=rows, max_size=rows))))
    return Batch(rows, tuple(columns))


def easy_answers(easy: EasyPredict, batch: Batch) -> list[Any]:
    offset = easy.model.getOffsetName()
    answers = []
    for i in range(batch.rows):
        row: dict[str, Any] = {}
        its_offset = None if offset is None else 0.0
        for group in batch.columns:
            for position, name in enumerate(group.fields):
                value, type_ = group.data[i].tolist()[position], group.type
                if name not in ENUMS and type_ in (TensorType.Int32, TensorType.Int64):
                    value, type_ = float(value), TensorType.Float64
                if name == offset:
                    its_offset = _number(value, type_)
                else:
                    row[name] = java_value(type_, value)
        answers.append(easy.plain(row, its_offset))
    return answers


def _number(value: Any, type_: TensorType) -> float:
    """The offset is an argument of EasyPredict's, so it has no rule for its text; ours is that of a number."""
    if type_ is TensorType.Bool:
        raise Refused("Boolean for a number")
    if type_ is not TensorType.String:
        return float(value)
    from jpype import JClass, JException

    try:
        return float(JClass("java.lang.Double").parseDouble(JClass("java.lang.String")(value).trim()))
    except JException:
        return math.nan


@pytest.mark.parametrize("name", MODELS)
def test_odd_rows(name: str, trained: dict[str, Case], servable: Get) -> None:
    model, easy = servable(name), EasyPredict(trained[name].mojo)
    seen = {"answered": 0, "refused": 0}

    @settings(max_examples=75, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(odd_batches())
    def compare(batch: Batch) -> None:
        if not model.metadata.inputs[1:]:  # a model without categorical inputs takes one tensor
            batch = Batch(batch.rows, batch.columns[:1])
        listed = ((io.description or "")[1:-1].split(",") for io in model.metadata.inputs)
        scored = {field.split(":", 1)[1] for fields in listed for field in fields}
        known = scored.union(map(str, easy.model.getNames()))  # its response is in the training frame
        given = {field for column in batch.columns for field in column.fields}
        if scored.isdisjoint(given) or any(known.isdisjoint(column.fields) for column in batch.columns):
            with pytest.raises(ForestFlowError):  # without its unknown fields the request lacks a tensor
                predicted(model, batch)
            return
        try:
            theirs = easy_answers(easy, batch)
        except Refused:
            seen["refused"] += 1
            with pytest.raises(ForestFlowError):
                predicted(model, batch)
            return
        seen["answered"] += 1
        ours = predicted(model, batch).columns[0].data.tolist()
        assert all(map(same, ours, theirs)), (ours, theirs)

    compare()
    assert min(seen.values()) > 5, seen


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_text_for_a_number(text: str, trained: dict[str, Case]) -> None:
    """The very cell, not only what the model makes of it."""
    from jpype import JClass, JException

    from forestflow.servables.h2o.java_double import parse_java_double

    EasyPredict(trained["gbm_regression"].mojo)  # the JVM runs
    try:
        theirs = float(JClass("java.lang.Double").parseDouble(JClass("java.lang.String")(text).trim()))
    except JException:
        theirs = math.nan
    assert same(parse_java_double(text), theirs)


def _answers(model: Servable, *columns: Column) -> list[Any]:
    answer: list[Any] = predicted(model, Batch(len(columns[0].data), columns)).columns[0].data.tolist()
    return answer


def test_order_of_columns_and_extra_columns(trained: dict[str, Case], servable: Get) -> None:
    case, model = trained["gbm_regression"], servable("gbm_regression")
    texts, numbers = basic(case.rows, case.types).columns
    expected = _answers(model, texts, numbers)
    backwards = [Column(c.type, c.fields[::-1], c.data[:, ::-1]) for c in (numbers, texts)]
    assert _answers(model, *backwards) == expected
    wider = [Column(c.type, ("extra", *c.fields), np.hstack([c.data[:, :1], c.data])) for c in (texts, numbers)]
    assert _answers(model, *wider) == expected


def test_a_column_of_the_metadata_name_carries_the_whole_input(trained: dict[str, Case], servable: Get) -> None:
    case, model = trained["gbm_regression"], servable("gbm_regression")
    texts, numbers = basic(case.rows, case.types).columns
    expected = _answers(model, texts, numbers)
    whole = []
    for io in model.metadata.inputs:
        group = texts if io.name == "categorical" else numbers
        names = [part.split(":", 1)[1] for part in (io.description or "")[1:-1].split(",")]
        order = [group.fields.index(name) for name in names]
        whole.append(Column(group.type, (io.name,), group.data[:, order]))
    assert _answers(model, *whole) == expected
    with pytest.raises(InvalidInput, match="must have"):
        _answers(model, whole[0], Column(TensorType.Float64, ("numeric",), np.zeros((24, 2))))


def test_numbers_of_any_type(trained: dict[str, Case], servable: Get) -> None:
    case, model = trained["gbm_regression"], servable("gbm_regression")
    texts, numbers = basic(case.rows, case.types).columns
    rounded = np.round(numbers.data * 10) / 10
    expected = _answers(model, texts, Column(TensorType.Float64, numbers.fields, rounded))
    narrow = Column(TensorType.Float32, numbers.fields, rounded.astype(np.float32))
    assert _answers(model, texts, narrow) == expected  # 0.1 in Float32 is meant as 0.1
    as_text = [[str(value) for value in row] for row in rounded.tolist()]
    strings = column(TensorType.String, numbers.fields, as_text)
    assert _answers(model, texts, strings) == expected
    encoded = Column(TensorType.Bytes, strings.fields, np.vectorize(str.encode, otypes=[object])(strings.data))
    assert _answers(model, texts, encoded) == expected


def test_the_later_of_two_equal_fields_counts(trained: dict[str, Case], servable: Get) -> None:
    case, model = trained["kmeans"], servable("glm_regression")
    texts, numbers = basic(case.rows, case.types).columns
    both = Column(numbers.type, (*numbers.fields, "x1"), np.hstack([numbers.data, numbers.data[:, :1] * 0 + 3]))
    third = numbers.data.copy()
    third[:, numbers.fields.index("x1")] = np.where(np.isnan(third[:, numbers.fields.index("x1")]), np.nan, 3)
    assert _answers(model, texts, both) == _answers(model, texts, Column(numbers.type, numbers.fields, third))


def test_big_batches_go_through_in_chunks(trained: dict[str, Case], servable: Get) -> None:
    case, model = trained["gbm_multinomial"], servable("gbm_multinomial")
    batch = basic(case.rows, case.types)
    many = 2500
    tall = Batch(batch.rows * many, tuple(Column(c.type, c.fields, np.tile(c.data, (many, 1))) for c in batch.columns))
    answer = model.predict(tall, {"h2o.outputs": "prediction,probabilities"})
    once = model.predict(batch, {"h2o.outputs": "prediction,probabilities"})
    for ours, one in zip(answer.columns, once.columns, strict=True):
        assert ours.data.shape[0] == tall.rows
        assert (ours.data == np.tile(one.data, many if one.data.ndim == 1 else (many, 1))).all()
